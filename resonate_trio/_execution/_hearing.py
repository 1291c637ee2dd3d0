"""Hearing of what happens elsewhere while something runs here: a task that is not suspended is not woken."""

import logging
from collections.abc import Iterable
from typing import Final, final

import trio

from resonate_trio._errors import ResonateError

from ._ledger import Ledger
from ._life import Life
from ._runtime import Listen, Runtime

logger = logging.getLogger("resonate_trio.execution")

HEAR_AFTER: Final = 0.2
"""After how long (s) in which something runs here it is worth a request to hear of each of the others."""


@final
class Hearing:
    """Waits for promises as a client does, for as long as the task is held."""

    def __init__(self, runtime: Runtime, life: Life, ledger: Ledger) -> None:
        self._listen = runtime.listen
        self._life = life
        self._ledger = ledger
        self._scopes: dict[str, trio.CancelScope] = {}

    def __repr__(self) -> str:
        return f"<Hearing of {len(self._scopes)} promises>"

    def start(self, ids: Iterable[str], nursery: trio.Nursery) -> None:
        """Wait for these as well."""
        if self._listen is None:
            return
        for id in ids:
            if id not in self._scopes:
                self._scopes[id] = trio.CancelScope()
                nursery.start_soon(self._hear, id, self._listen, self._scopes[id])

    def stop(self) -> None:
        """Wait no longer: the task is suspended, and the server tells when it wakes it."""
        for scope in self._scopes.values():
            scope.cancel()
        self._scopes.clear()

    async def _hear(self, id: str, listen: Listen, scope: trio.CancelScope) -> None:
        with scope:
            try:
                promise = await listen(id)
            except ResonateError as error:
                logger.info("%r is not listened for: %s", id, error)
            else:
                if self._life.is_held:
                    self._ledger.learn([promise])
