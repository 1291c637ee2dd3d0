"""Waiting for promises from the ephemeral world: listeners, and the `unblock` messages that answer them."""

import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import final

import anyio

from ._errors import PromiseNotFoundError, ResonateError
from ._transport import Link, accepted
from .protocol import PollAddress, Promise, PromiseCreate, PromiseRegisterListener, PromiseReply, origin_of


@final
class _Waiter:
    """Those who wait for one promise.

    Attributes:
        may_be_missing: it is only being created.
        is_stale: a connection came meanwhile, so messages may have been lost.
    """

    def __init__(self) -> None:
        self.settled = anyio.Event()
        self.promise: Promise | None = None
        self.error: ResonateError | None = None
        self.count = 0
        self.may_be_missing = False
        self.is_stale = False

    async def outcome(self) -> Promise:
        """Wait until it is settled. Raises what has gone wrong meanwhile."""
        await self.settled.wait()
        if self.promise is None:
            raise self.error or RuntimeError("a waiter was woken without its promise")
        return self.promise


@final
class Listeners:
    """Waits for promises. The address is that of this process; its messages must reach `settle`."""

    def __init__(self, link: Link, address: PollAddress) -> None:
        self._link = link
        self._address = str(address)
        self._waiters: dict[str, _Waiter] = {}

    def __repr__(self) -> str:
        return f"<Listeners of {self._address}: {len(self._waiters)} waiting>"

    async def wait(self, id: str) -> Promise:
        """Return the promise `id` once it is settled.

        Raises:
            PromiseNotFoundError: there is none, or none any more: the server has lost what it knew.
            ServerUnreachableError: the server could not even be asked. While it is away later, the wait goes on.
        """
        with self._waiting(id) as waiter:
            waiter.may_be_missing = False
            promise = await self._register(id)
            return await waiter.outcome() if promise.is_pending else promise

    async def create(self, request: PromiseCreate) -> Promise:
        """Create a promise, and return it once it is settled. The server must offer batches: it is one round trip.

        Raises:
            RequestRefusedError: it was not created.
            ServerUnreachableError: the server could not be asked.
        """
        id = request.id
        with self._waiting(id) as waiter:
            waiter.may_be_missing = waiter.count == 1
            listen = PromiseRegisterListener(id, self._address)
            created, registered = await self._link.ask_all([request, listen], origin=origin_of(id))
            accepted(created, PromiseReply)
            promise = accepted(registered, PromiseReply).promise
            waiter.may_be_missing = False
            if promise.is_pending and waiter.is_stale:
                promise = await self._register(id)
            return await waiter.outcome() if promise.is_pending else promise

    def settle(self, promise: Promise) -> None:
        """Take the news that a promise is settled."""
        waiter = self._waiters.get(promise.id)
        if waiter is not None and not promise.is_pending:
            waiter.promise = promise
            waiter.settled.set()

    async def refresh(self) -> None:
        """Ask again about all that is waited for: messages may have been lost with a connection.

        What cannot be asked for is told to those who wait for it.
        """
        for id, waiter in list(self._waiters.items()):
            if self._waiters.get(id) is not waiter:
                continue
            if waiter.may_be_missing:
                waiter.is_stale = True
                continue
            try:
                self.settle(await self._register(id, patience=math.inf))
            except ResonateError as error:
                waiter.error = error
                waiter.settled.set()

    @contextmanager
    def _waiting(self, id: str) -> Generator[_Waiter]:
        waiter = self._waiters.setdefault(id, _Waiter())
        waiter.count += 1
        try:
            yield waiter
        finally:
            waiter.count -= 1
            if not waiter.count and self._waiters.get(id) is waiter:
                del self._waiters[id]

    async def _register(self, id: str, patience: float | None = None) -> Promise:
        request = PromiseRegisterListener(id, self._address)
        reply = await self._link.ask(request, origin=origin_of(id), patience=patience)
        if reply.status == 404:
            raise PromiseNotFoundError(id)
        return accepted(reply, PromiseReply).promise
