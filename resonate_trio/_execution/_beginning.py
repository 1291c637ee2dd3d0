"""Steps that begin before it is stored that they do: most are over so soon that both travel together."""

from typing import Final, final

import trio

from resonate_trio.protocol import PromiseCreate, PromiseState, Value

from ._ledger import Ledger

HOLD: Final = 0.005
"""For how long (s) the creation of a step's promise is held back, to travel with the outcome."""


@final
class Beginning:
    """A promise of a step that runs already, and that is about to be created.

    That nobody has created it before must be certain. If the process dies meanwhile the step is run again, as it
    would be if the promise existed.
    """

    def __init__(self, ledger: Ledger, request: PromiseCreate) -> None:
        self._ledger = ledger
        self._request = request
        self._is_held = True
        self._holding = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<Beginning of {self._request.id!r}>"

    async def hold(self) -> None:
        """Create the promise after a moment, unless that is done by then."""
        with self._holding:
            await trio.sleep(HOLD)
        if self._is_held:
            await self.write()

    async def write(self) -> None:
        """Create the promise, or wait until it is."""
        if self._is_held:
            self._is_held = False
            self._holding.cancel()
            await self._ledger.create(self._request)
        else:
            await self._ledger.stored(self._request.id)

    async def settle(self, state: PromiseState, value: Value) -> None:
        """Store the outcome, and that it has begun if that is not stored yet."""
        if self._is_held:
            self._is_held = False
            self._holding.cancel()
            await self._ledger.create_settled(self._request, state, value)
        else:
            refusal = await self._ledger.stored(self._request.id)
            if refusal is None:
                await self._ledger.settle(self._request.id, state, value)
