"""Promises as such: for those that an application settles itself."""

from collections.abc import Callable
from typing import final

from ._outcome import CLIENT, Cancellation
from ._roots import Roots
from ._transport import promise_of
from .protocol import Promise, PromiseSettle, PromiseState, Value, origin_of


@final
class Promises:
    """Reads promises, and settles those that a durable function made by `ctx.promise()`."""

    def __init__(self, roots: Callable[[], Roots]) -> None:
        self._roots = roots

    async def get(self, id: str) -> Promise:
        """Return a promise as it is stored now. Raises PromiseNotFoundError."""
        return await self._roots().read(id)

    async def resolve(self, id: str, value: object = None) -> Promise:
        """Settle a promise with a value; one that is settled already stays as it is. Returns the promise.

        Raises:
            EncodingError: the value cannot be written as JSON.
            PromiseNotFoundError: there is no such promise.
        """
        return await self._settle(id, PromiseState.RESOLVED, self._roots().codec.encode(value))

    async def reject(self, id: str, error: Exception) -> Promise:
        """Settle a promise with an error, which is raised where it is awaited. Otherwise as `resolve`."""
        return await self._settle(id, PromiseState.REJECTED, self._roots().codec.encode_error(error))

    async def cancel(self, id: str, *, reason: str | None = None) -> Promise:
        """Settle a promise as cancelled: awaiting it raises InvocationCancelled. Otherwise as `resolve`.

        It is for promises that somebody outside settles. Invocations are cancelled by `Client.cancel`, which lets
        them clean up.
        """
        value = Cancellation(CLIENT, reason).encode(self._roots().codec)
        return await self._settle(id, PromiseState.CANCELED, value)

    async def _settle(self, id: str, state: PromiseState, value: Value) -> Promise:
        request = PromiseSettle(id, state, value)
        return promise_of(await self._roots().link.ask(request, origin=origin_of(id)), id)
