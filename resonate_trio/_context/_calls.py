"""The calls that a durable function makes: rfi, rfc, lfi, lfc, detached."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack, overload

from resonate_trio._errors import UsageError
from resonate_trio._execution import Work, with_arguments
from resonate_trio._instrument import InvocationKind
from resonate_trio._options import Options, OptionValues
from resonate_trio._targets import RemoteCall, remote_call
from resonate_trio.protocol import PromiseCreate, tags

from ._children import Children
from ._handle import Handle

if TYPE_CHECKING:
    from ._context import Context
    from ._frame import Frame

P = ParamSpec("P")
T = TypeVar("T")
AnyFunction = Callable[..., object]


class Calls:
    """Durable calls that belong to one scope, made with certain options.

    A *remote* invocation (rfi, rfc) runs in a worker of a group, this or another one; a *local* one (lfi, lfc)
    runs right here, within the caller's task. Either way it is stored, and not done again once it has an outcome.
    An invocation (rfi, lfi) returns a handle at once; a call (rfc, lfc) waits for the result.

    `fn` is a function, which gives a typed result, or a name. `ctx` is passed by the runtime to those functions
    that take it: leave it out. All calls raise UsageError, with the right call in the message, if they can never
    work, and must be made from the function's own task.
    """

    def __init__(self, children: Children, options: Options) -> None:
        self._children = children
        self._frame: Frame = children.frame
        self._options = options

    def options(self, **values: Unpack[OptionValues]) -> "Calls":
        """Return the same calls with other options.

        Args:
            **values: `group` (name of the group that executes a remote invocation), `timeout` (seconds), `version`
                (of the function), `retry` (a policy, for local invocations).
        """
        return Calls(self._children, self._options.merged(values))

    # --- Remote -----------------------------------------------------------------------------------

    @overload
    def rfi(self, fn: str, /, *args: object, **kwargs: object) -> Handle[Any]: ...
    @overload
    def rfi(
        self, fn: "Callable[Concatenate[Context, P], Awaitable[T]]", /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[T]: ...
    @overload
    def rfi(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Handle[T]: ...
    @overload
    def rfi(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Handle[T]: ...
    def rfi(self, fn: AnyFunction | str, /, *args: object, **kwargs: object) -> Handle[Any]:
        """Invoke a function remotely; return its handle at once.

        A name that is registered here runs in this worker's group; any other name stands for a service whose group
        has that name, unless `options(group=...)` says otherwise.

        Raises:
            UnregisteredFunctionError: `fn` is an object that was never registered.
            ArgumentsError: the arguments do not fit its signature.
            EncodingError: an argument cannot be written as JSON.
        """
        handle = self._invoke_remote(fn, args, kwargs)
        self._children.own(handle)
        return handle

    @overload
    async def rfc(self, fn: str, /, *args: object, **kwargs: object) -> Any: ...
    @overload
    async def rfc(
        self, fn: "Callable[Concatenate[Context, P], Awaitable[T]]", /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def rfc(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    async def rfc(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def rfc(self, fn: AnyFunction | str, /, *args: object, **kwargs: object) -> object:
        """Call a function remotely: invoke it as `rfi` does, and wait for its result.

        While it runs elsewhere, this task is suspended and costs its worker memory only.

        Raises:
            Exception: what the function raised, rebuilt, or RemoteError.
            InvocationTimedOut: its deadline passed first.
            InvocationCancelled: it was cancelled.
            DecodingError: its result does not fit its annotation.
        """
        return await self._received(self._invoke_remote(fn, args, kwargs))

    # --- Local ------------------------------------------------------------------------------------

    @overload
    def lfi(self, fn: str, /, *args: object, **kwargs: object) -> Handle[Any]: ...
    @overload
    def lfi(
        self, fn: "Callable[Concatenate[Context, P], Awaitable[T]]", /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[T]: ...
    @overload
    def lfi(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Handle[T]: ...
    @overload
    def lfi(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Handle[T]: ...
    def lfi(self, fn: AnyFunction | str, /, *args: object, **kwargs: object) -> Handle[Any]:
        """Invoke a function locally, concurrently with the caller; return its handle at once.

        `fn` need not be registered. An async function runs in a trio task, a plain one in a thread.

        Raises:
            ArgumentsError: the arguments do not fit its signature.
        """
        handle, request, work = self._local(fn, args, kwargs)
        self._frame.execution.start_local(request, work, is_first=self._frame.is_first)
        self._children.own(handle)
        return handle

    @overload
    async def lfc(self, fn: str, /, *args: object, **kwargs: object) -> Any: ...
    @overload
    async def lfc(
        self, fn: "Callable[Concatenate[Context, P], Awaitable[T]]", /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def lfc(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    async def lfc(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def lfc(self, fn: AnyFunction | str, /, *args: object, **kwargs: object) -> object:
        """Call a function locally, as a step: its result is stored, and found again after a crash.

        The caller gets the result as it was stored, so that the first run and a replay see the same.

        Raises:
            Exception: what the function raised in its last attempt, as it was stored.
            EncodingError: its result cannot be written as JSON.
        """
        handle, request, work = self._local(fn, args, kwargs)
        return await handle.conclude(await self._frame.call_local(request, work))

    # --- Detached ---------------------------------------------------------------------------------

    def detached(self, fn: AnyFunction | str, /, *args: object, **kwargs: object) -> str:
        """Invoke a function remotely that nobody waits for and that outlives its caller; return its id.

        It is stored before the calling function ends. Its outcome is its own affair: a failure is not told here.

        Raises:
            UnregisteredFunctionError, ArgumentsError, EncodingError: as `rfi` does.
        """
        call = self._remote_call(fn, args, kwargs)
        lineage = self._frame.next_remote()
        request = self._frame.create(lineage, self._frame.free_deadline(call.timeout), {tags.DETACHED: "true"})
        self._start_remote(request, call, "detached")
        self._children.own_detached(lineage.id)
        return lineage.id

    # --- Common -----------------------------------------------------------------------------------

    def _check(self, fn: AnyFunction | str) -> None:
        call = f"invoking {_name(fn)}"
        self._frame.check_task(call)
        self._children.check_open(call)

    def _remote_call(
        self, fn: AnyFunction | str, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> RemoteCall:
        runtime = self._frame.runtime
        self._check(fn)
        return remote_call(runtime.registry, runtime.group, self._options, fn, args, kwargs)

    def _invoke_remote(
        self, fn: AnyFunction | str, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Handle[Any]:
        call = self._remote_call(fn, args, kwargs)
        lineage = self._frame.next_remote()
        request = self._frame.create(lineage, self._frame.child_deadline(call.timeout), {})
        self._start_remote(request, call, "remote")
        return Handle(self._frame, lineage.id, call.call.func, call.result_type)

    def _start_remote(self, request: PromiseCreate, call: RemoteCall, kind: InvocationKind) -> None:
        frame = self._frame
        full = call.to_create(request.id, request.timeout_at, request.tags, frame.runtime.codec)
        frame.runtime.instrument.invoked(request.id, kind, call.call.func, frame.lineage.id)
        frame.execution.start_remote(full)

    def _local(
        self, fn: AnyFunction | str, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> tuple[Handle[Any], PromiseCreate, Work]:
        frame, runtime, options = self._frame, self._frame.runtime, self._options
        self._check(fn)
        options.check_local()
        registry = runtime.registry
        function = registry.named(fn, options.version or 0) if isinstance(fn, str) else registry.adhoc(fn)
        function.check_arguments(args, kwargs)
        lineage = frame.next_local()
        timeout = function.timeout if options.timeout is None else options.timeout
        # The arguments stay here, so they may be anything; what is stored tells a reader which step this is.
        param = runtime.codec.encode_step(function.name, function.version)
        param = with_arguments(param, args, kwargs, runtime.codec)
        request = frame.create(lineage, frame.child_deadline(timeout), {tags.SCOPE: tags.LOCAL}, param)
        work = Work(function, args, kwargs, frame.context_factory(lineage), options.retry)
        handle: Handle[Any] = Handle(frame, lineage.id, function.name, function.result_type)
        runtime.instrument.invoked(lineage.id, "local", function.name, frame.lineage.id)
        return handle, request, work

    async def _received(self, handle: Handle[Any]) -> object:
        """Wait for a call. It is no child, as its caller gets the outcome; but it must end before its caller."""
        try:
            return await handle
        except UsageError:
            if not handle.was_awaited:
                self._children.own(handle)
            raise


def _name(fn: AnyFunction | str) -> str:
    return fn if isinstance(fn, str) else getattr(fn, "__qualname__", repr(fn))
