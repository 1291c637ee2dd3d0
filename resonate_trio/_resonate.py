"""What an application constructs: registry, client and worker in one."""

import logging
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, final, overload

import trio
from attrs import frozen

from ._codec import Codec
from ._config import load_settings
from ._errors import RequestRefusedError, UsageError
from ._execution import Runtime
from ._ids import Dialect
from ._listeners import Listeners
from ._listening import listen
from ._options import NO_OPTIONS, Options
from ._promises import Promises
from ._registry import Registry
from ._retry import RetryPolicy
from ._root_calls import RootCalls
from ._roots import RootHandle, Roots
from ._schedules import Schedules
from ._services import open_services, open_shelter
from ._sources import Killed
from ._transport import BatchingTransport, EmbeddedTransport, HttpTransport, Link, Transport, accepted
from ._worker import Worker, WorkerOptions
from .protocol import Acquired, PollAddress, TaskCreate, TaskState

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from server_ref.engine import Engine

    from ._context import Context

logger = logging.getLogger("resonate_trio")

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])
E = TypeVar("E", bound=type[Exception])
AnyFunction = Callable[..., object]


@final
@frozen
class _Running:
    """What exists while a `Resonate` is open."""

    roots: Roots
    worker: Worker


@final
class Resonate(RootCalls):
    """Registers durable functions, executes them for its group, and invokes them.

    ```python
    resonate = Resonate("http://localhost:8001", group="foo")


    @resonate.register
    async def foo(ctx: Context, order: Order) -> Receipt: ...


    async def main() -> None:
        async with resonate:
            print(await resonate.rfc("order-17", foo, Order(...)))


    trio.run(main)
    ```

    Everything lives in the `async with` block: connection, worker, leases. Its end drains the worker: nothing new
    is taken, running functions get a grace, what is left then is released for other workers.

    Attributes:
        registry: the functions and exception classes that are registered here.
        promises: reads promises and settles external ones.
        schedules: reads and deletes schedules.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        path: str | PathLike[str] | None = None,
        engine: "Engine | Transport | None" = None,
        group: str | None = None,
        token: str | None = None,
        registry: Registry | None = None,
        worker: WorkerOptions | None = None,
        id_dialect: Dialect = "colon",
    ) -> None:
        """Configure; `async with` opens. Arguments win over RESONATE_URL, RESONATE_GROUP and RESONATE_TOKEN.

        Args:
            url: the server. Without one, and without RESONATE_URL, a server is embedded in this process.
            path: a SQLite file for the embedded server; without it, all is forgotten at the end.
            engine: an open engine of `server_ref` to work on, which other `Resonate` objects may share. The test
                kit passes a transport.
            group: the group that this process works for.
            token: a JWT for a server that asks for one.
            registry: what was registered already, with another `Resonate`: an application can be run on an
                embedded server in a test.
            worker: how the worker works.
            id_dialect: how ids of children are written: "colon" (`root:1.2`), or "dot" (`root.1.2`) for servers
                that know only that.

        Raises:
            UsageError: the arguments contradict each other, or cannot be meant.
        """
        if (url is not None) + (path is not None) + (engine is not None) > 1:
            raise UsageError("url=, path= and engine= each say where the server is: give one of them at most")
        self._worker_options = worker or WorkerOptions()
        self._settings = load_settings(url, token, group, self._worker_options.pid)
        self._path = path
        self._engine = engine
        self._is_embedded = path is not None or self._settings.url is None
        self._dialect: Dialect = id_dialect
        self.registry = Registry() if registry is None else registry
        self.promises = Promises(self._roots)
        self.schedules = Schedules(self._roots)
        self._running: _Running | None = None
        self._block: AbstractAsyncContextManager[None] | None = None

    def __repr__(self) -> str:
        where = "an engine" if self._engine else "an embedded server" if self._is_embedded else self._settings.url
        return f"<Resonate {self._settings.group!r} on {where}, {'open' if self._running else 'closed'}>"

    # --- Registration -----------------------------------------------------------------------------

    @overload
    def register(self, fn: F, /) -> F: ...
    @overload
    def register(
        self,
        /,
        *,
        name: str | None = None,
        version: int = 1,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
    ) -> Callable[[F], F]: ...
    def register(
        self,
        fn: AnyFunction | None = None,
        /,
        *,
        name: str | None = None,
        version: int = 1,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Register a function, so that it can be invoked remotely: `@resonate.register`, with or without options.

        The function itself stays as it is.

        Args:
            fn: an async function, or a plain one, which then runs in a thread. Its first parameter may be the
                context.
            name: its name for others; without one, its own.
            version: its version. Several versions of a name may be registered side by side.
            retry: how failed attempts are repeated, as long as the function has made no durable call.
            timeout: seconds that an invocation of it may take.

        Raises:
            UsageError: it is no function, or another one has this name and version.
        """

        def add(fn: F) -> F:
            self.registry.register(fn, name=name, version=version, retry=retry, timeout=timeout)
            return fn

        return add if fn is None else add(fn)

    @overload
    def register_error(self, cls: E, /) -> E: ...
    @overload
    def register_error(self, /, *, name: str | None = None) -> Callable[[E], E]: ...
    def register_error(self, cls: type[Exception] | None = None, /, *, name: str | None = None) -> Any:
        """Register an exception class: `@resonate.register_error`, with or without a name.

        Its exceptions then arrive as what they were, with arguments and attributes, in every process that has
        registered it by this name. Elsewhere, and if something in one cannot be encoded, they are a RemoteError.

        An attrs class or a dataclass is built from its fields, read by their annotations. Of any other class the
        arguments and attributes are set, and `__init__` is not called; attributes are read by the annotations of
        the class, or of the parameter of that name, and without one they are JSON data.

        Args:
            cls: a subclass of Exception. Its own subclasses are not meant.
            name: what it travels by; without one, its own name.

        Raises:
            UsageError: it is no such class, or it or its name is registered already.
        """

        def add(cls: E) -> E:
            self.registry.register_error(cls, name=name)
            return cls

        return add if cls is None else add(cls)

    # --- Invocations that run here ----------------------------------------------------------------

    @overload
    async def lfi(self, id: str, fn: str, /, *args: object, **kwargs: object) -> RootHandle[Any]: ...
    @overload
    async def lfi(
        self,
        id: str,
        fn: "Callable[Concatenate[Context, P], Awaitable[T]]",
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> RootHandle[T]: ...
    @overload
    async def lfi(
        self, id: str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> RootHandle[T]: ...
    @overload
    async def lfi(self, id: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> RootHandle[T]: ...
    async def lfi(self, id: str, fn: AnyFunction | str, /, *args: object, **kwargs: object) -> RootHandle[Any]:
        """Invoke a registered function in this very process, at once; return its handle once that is stored.

        If this process dies, another worker of the group takes over. If the invocation exists already and is
        executed elsewhere, the handle waits for that. Otherwise as `rfi`.

        Raises:
            UnknownFunctionError: there is no function of this name here.
        """
        return await self._invoke_here(id, fn, args, kwargs)

    @overload
    async def lfc(self, id: str, fn: str, /, *args: object, **kwargs: object) -> Any: ...
    @overload
    async def lfc(
        self,
        id: str,
        fn: "Callable[Concatenate[Context, P], Awaitable[T]]",
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    async def lfc(self, id: str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    async def lfc(self, id: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def lfc(self, id: str, fn: AnyFunction | str, /, *args: object, **kwargs: object) -> object:
        """Call a registered function in this very process: invoke it as `lfi` does, and wait for its result."""
        return await (await self._invoke_here(id, fn, args, kwargs))

    async def _invoke_here(
        self, id: str, fn: AnyFunction | str, args: Sequence[object], kwargs: dict[str, object]
    ) -> RootHandle[object]:
        running = self._require_running()
        if isinstance(fn, str):
            self.registry.named(fn)  # what is not registered here cannot run here
        roots, worker = running.roots, running.worker
        create, result_type = roots.request(id, fn, args, kwargs, NO_OPTIONS)
        asked_at = trio.current_time()
        request = TaskCreate(self._settings.pid, worker.ttl_ms, roots.link.envelope(create))
        reply = await roots.link.ask(request, origin=id)
        try:
            acquired = accepted(reply, Acquired)
        except RequestRefusedError as error:
            if error.status != 409:  # 409: somebody else is at it
                raise
            return RootHandle(roots, await roots.read(id), result_type)
        if acquired.task.state is TaskState.ACQUIRED:
            worker.start(acquired, asked_at)
        return RootHandle(roots, acquired.promise, result_type)

    # --- Opening and closing ----------------------------------------------------------------------

    async def serve(self) -> None:
        """Open, execute tasks until SIGINT or SIGTERM, and drain: `trio.run(resonate.serve)`.

        During the drain a second signal has its usual effect, which is to end the process at once. It works in the
        main thread only, as all that has to do with signals.
        """
        async with self:
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                logger.info("executing tasks of the group %r", self._settings.group)
                async for number in signals:
                    logger.info("%s: closing", signal.Signals(number).name)
                    break

    async def __aenter__(self) -> Self:
        if self._block is not None:
            raise UsageError("this Resonate is open already: one `async with resonate` at a time")
        self._block = block = self._run()
        try:
            await block.__aenter__()
        except BaseException:
            self._block = None
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._block is not None
        try:
            return await self._block.__aexit__(kind, error, traceback)
        finally:
            self._block = None

    @asynccontextmanager
    async def _run(self) -> AsyncGenerator[None]:
        settings, options = self._settings, self._worker_options
        # Only the application's own block can be cancelled from outside: draining needs all the rest.
        async with open_shelter() as block, self._open_transport() as transport, open_services() as services:
            link = Link(transport, token=settings.token)
            listeners = Listeners(link, PollAddress("uni", settings.group, settings.pid))
            codec = Codec(self.registry.errors, f"{settings.group}/{settings.pid}")
            runtime = Runtime(
                link,
                transport.clock,
                codec,
                self.registry,
                settings.group,
                self._dialect,
                options.instrument,
                listeners.wait,
            )
            worker = Worker(runtime, options, token=settings.token)
            await services.start(worker.run)
            roots = Roots(link, listeners, codec, self.registry, settings.group, self._dialect)
            self._running = _Running(roots, worker)
            source = transport.source(settings.group, settings.pid, worker.terms)
            is_killed = False
            try:
                async with open_services() as listening:
                    listening.start_soon(listen, source, listeners, worker)
                    try:
                        with block:
                            yield
                    finally:
                        if not listening.cancel_scope.cancel_called:  # that is, messages still come
                            worker.stop_taking()
                            with trio.CancelScope(shield=True):  # bounded
                                await worker.show_life()
            except Killed:
                is_killed = True
                raise
            finally:
                self._running = None
                if not is_killed:
                    with trio.CancelScope(shield=True):  # bounded by the grace
                        await worker.drain()

    @asynccontextmanager
    async def _open_transport(self) -> AsyncGenerator[Transport]:
        if self._engine is not None:
            yield self._engine if isinstance(self._engine, Transport) else EmbeddedTransport(self._engine)
        elif self._is_embedded:
            from ._embed import embedded_engine  # who talks to a server elsewhere needs none of it

            place = "in memory" if self._path is None else f"on {self._path}"
            logger.info("a server is embedded in this process, %s: no url was given, and no RESONATE_URL", place)
            async with embedded_engine(self._path) as engine:
                yield EmbeddedTransport(engine)
        else:
            assert self._settings.url is not None
            http = HttpTransport(self._settings.url, token=self._settings.token)
            async with BatchingTransport(http) as transport:
                yield transport

    def _require_running(self) -> _Running:
        if self._running is None:
            raise UsageError("this Resonate is not open: use it inside `async with resonate:`")
        return self._running

    def _roots(self) -> Roots:
        return self._require_running().roots

    def _default_options(self) -> Options:
        return NO_OPTIONS
