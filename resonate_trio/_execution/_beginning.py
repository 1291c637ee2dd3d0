"""Steps that begin before it is stored that they do: most are over so soon that both travel together."""

from typing import Final, final

import trio

from resonate_trio.protocol import PromiseCreate, PromiseState, Value

from ._ledger import Ledger

HOLD: Final = 0.005
"""For how long (s) the creation of a step's promise is held back, to travel with the outcome."""


@final
class Beginnings:
    """Promises of steps that run already, and that are about to be created.

    That nobody has created them before must be certain. If the process dies meanwhile a step is run again, as it
    would be if its promise existed.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held: dict[str, Beginning] = {}  # the oldest first
        self._is_watching = False

    def __repr__(self) -> str:
        return f"<Beginnings of {len(self._held)} steps>"

    def begin(self, request: PromiseCreate, nursery: trio.Nursery) -> "Beginning":
        """Hold a promise back, until its step has an outcome, or a moment has passed."""
        beginning = self._held[request.id] = Beginning(self, request, trio.current_time() + HOLD)
        if not self._is_watching:
            # One watch for all: it goes on for a moment when nothing is held any more, as the next step is near.
            self._is_watching = True
            nursery.start_soon(self._watch)
        return beginning

    async def create(self, request: PromiseCreate) -> None:
        """Create the promise, or wait until it is."""
        if self._held.pop(request.id, None) is not None:
            await self._ledger.create(request)
        else:
            await self._ledger.stored(request.id)

    async def settle(self, request: PromiseCreate, state: PromiseState, value: Value) -> None:
        """Store the outcome, and that it has begun if that is not stored yet."""
        if self._held.pop(request.id, None) is not None:
            await self._ledger.create_settled(request, state, value)
        elif await self._ledger.stored(request.id) is None:
            await self._ledger.settle(request.id, state, value)

    async def _watch(self) -> None:
        await trio.sleep(HOLD)
        while self._held:
            now = trio.current_time()
            due = [beginning.request for beginning in self._held.values() if beginning.held_until <= now]
            for request in due:
                del self._held[request.id]
            if due:
                await self._ledger.create_all(due)
            else:
                await trio.sleep_until(next(iter(self._held.values())).held_until)
        self._is_watching = False


@final
class Beginning:
    """One of them.

    Attributes:
        request: creates the promise.
        held_until: on trio's clock.
    """

    def __init__(self, beginnings: Beginnings, request: PromiseCreate, held_until: float) -> None:
        self.request = request
        self.held_until = held_until
        self._beginnings = beginnings

    def __repr__(self) -> str:
        return f"<Beginning of {self.request.id!r}>"

    async def write(self) -> None:
        """Create the promise, or wait until it is."""
        await self._beginnings.create(self.request)

    async def settle(self, state: PromiseState, value: Value) -> None:
        """Store the outcome, and that it has begun if that is not stored yet."""
        await self._beginnings.settle(self.request, state, value)
