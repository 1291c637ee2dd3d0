"""Invocations from the ephemeral world: each is the root of a call graph, under an id that the caller chooses."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast, final

from attrs import frozen

from ._cancelling import cancel, check_budget
from ._clock import deadline_ms
from ._codec import Codec
from ._ids import Dialect, Lineage
from ._listeners import Listeners
from ._options import Options
from ._outcome import CLIENT, Cancellation, outcome_of
from ._registry import Registry
from ._targets import remote_call
from ._transport import Link, accepted, promise_of
from .protocol import Promise, PromiseCreate, PromiseGet, PromiseReply, PromiseState, extensions, origin_of

T = TypeVar("T")


@final
class RootHandle(Generic[T]):
    """An invocation seen from outside. Awaiting it gives its result, as often as one likes.

    Attributes:
        id: the id of the invocation.
    """

    def __init__(self, roots: "Roots", promise: Promise, result_type: object) -> None:
        self.id = promise.id
        self._roots = roots
        self._promise = promise
        self._result_type = result_type

    def __repr__(self) -> str:
        return f"<RootHandle {self.id!r} {self._promise.state}>"

    def __await__(self) -> Generator[Any, Any, T]:
        return self.result().__await__()

    async def result(self) -> T:
        """Wait for the result and return it.

        Cancelling this wait leaves the invocation alone.

        Raises:
            Exception: what the function raised, rebuilt, or RemoteError.
            InvocationTimedOut: its deadline passed first.
            InvocationCancelled: it was cancelled.
            DecodingError: its result does not fit the type that was asked for.
        """
        if self._promise.is_pending:
            self._promise = await self._roots.listeners.wait(self.id)
        return cast("T", outcome_of(self._promise, self._result_type, self._roots.codec).unwrap())

    async def cancel(self, *, budget: float = 30.0, reason: str | None = None) -> bool:
        """Cancel the invocation, wait until it has ended, and return whether it was cancelled.

        The arguments, and all else, are as with `Client.cancel`.
        """
        self._promise = await self._roots.cancel(self.id, budget, reason)
        return self._promise.state is PromiseState.CANCELED

    async def done(self) -> bool:
        """Ask the server whether the invocation has ended."""
        if self._promise.is_pending:
            self._promise = await self._roots.read(self.id)
        return not self._promise.is_pending


@final
@frozen
class Roots:
    """Creates root invocations, and waits for them."""

    link: Link
    listeners: Listeners
    codec: Codec
    registry: Registry
    group: str | None
    dialect: Dialect

    async def invoke(
        self,
        id: str,
        fn: Callable[..., object] | str,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        options: Options,
    ) -> RootHandle[object]:
        """Create the invocation `id`, or find it, and return its handle once it is stored."""
        create, result_type = self.request(id, fn, args, kwargs, options)
        promise = accepted(await self.link.ask(create, origin=id), PromiseReply).promise
        return RootHandle(self, promise, result_type)

    async def call(
        self,
        id: str,
        fn: Callable[..., object] | str,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        options: Options,
    ) -> object:
        """Create the invocation `id`, or find it, and wait for its result."""
        if not self.link.offers(extensions.BATCH):
            return await (await self.invoke(id, fn, args, kwargs, options))
        create, result_type = self.request(id, fn, args, kwargs, options)
        return outcome_of(await self.listeners.create(create), result_type, self.codec).unwrap()

    def request(
        self,
        id: str,
        fn: Callable[..., object] | str,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        options: Options,
    ) -> tuple[PromiseCreate, object]:
        """Return the request that creates the invocation `id`, and the type of its result."""
        lineage = Lineage.root(id, self.dialect)
        remote = remote_call(self.registry, self.group, options, fn, args, kwargs)
        timeout_at = deadline_ms(self.link.transport.clock.now_ms(), remote.timeout)
        return remote.to_create(id, timeout_at, lineage.tags(), self.codec), remote.result_type

    async def read(self, id: str) -> Promise:
        """Return the promise `id` as it is now. Raises PromiseNotFoundError."""
        return promise_of(await self.link.ask(PromiseGet(id), origin=origin_of(id)), id)

    async def cancel(self, id: str, budget: float, reason: str | None) -> Promise:
        """Cancel the invocation `id`, wait until it has ended, and return it."""
        value = Cancellation(CLIENT, reason).encode(self.codec)
        promise = await cancel(self.link, id, value=value, budget_ms=check_budget(budget))
        return await self.listeners.wait(id) if promise.is_pending else promise
