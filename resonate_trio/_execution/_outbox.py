"""Promises that are about to be created, together: with one another, and with the suspension that may follow."""

from collections.abc import Sequence
from itertools import islice
from typing import Final, final

import trio

from resonate_trio.protocol import PromiseCreate

from ._bodies import Bodies
from ._ledger import Ledger

MAX_CREATES: Final = 500
"""How many promises are created in one round trip at most."""
TICKS: Final = 2
"""For how many turns of the event loop they wait for the suspension."""


@final
class Outbox:
    """Holds promises back for a moment. The server must offer batches."""

    def __init__(self, ledger: Ledger, bodies: Bodies) -> None:
        self._ledger = ledger
        self._bodies = bodies
        self._requests: dict[str, PromiseCreate] = {}

    def __repr__(self) -> str:
        return f"<Outbox of {len(self._requests)} promises>"

    def add(self, request: PromiseCreate, nursery: trio.Nursery) -> None:
        """Have a promise created soon."""
        self._requests[request.id] = request
        if len(self._requests) == 1:
            nursery.start_soon(self._flush)

    def get(self, id: str) -> PromiseCreate | None:
        """Return the request that creates a promise, if it has not left yet."""
        return self._requests.get(id)

    async def take(self) -> Sequence[PromiseCreate]:
        """Take out what is to travel with the suspension; of very many, the others are created first."""
        while len(self._requests) > MAX_CREATES:
            await self._ledger.create_all(self._next())
        return self._next()

    def _next(self) -> Sequence[PromiseCreate]:
        ids = list(islice(self._requests, MAX_CREATES))
        return [self._requests.pop(id) for id in ids]

    async def _flush(self) -> None:
        for _ in range(TICKS):
            await trio.lowlevel.checkpoint()
        while self._requests:
            self._bodies.started()  # meanwhile the task is not suspended
            try:
                await self._ledger.create_all(self._next())
            finally:
                self._bodies.ended()
