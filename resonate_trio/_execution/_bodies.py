"""Which bodies of an execution run, and which are blocked.

A body is the task's function, or one of its local invocations, or a request that one of them left on its way. It
runs, or it is blocked in a durable wait. When no body runs, nothing can happen here until a promise settles
elsewhere: then the task can be suspended.

Whoever wakes a body counts it as running at that very moment, not when trio schedules it, so that "none runs"
is never true in between.
"""

from collections.abc import Callable, Sequence
from typing import final

import trio


@final
class Wait:
    """A body that is blocked until all of some promises are settled.

    `ids` are in the order of their creation, those still unknown or pending only.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = dict.fromkeys(ids)
        self.over = trio.Event()


@final
class Bodies:
    """Counts the running bodies of one execution and keeps the waits of the blocked ones."""

    def __init__(self) -> None:
        self._running = 0
        self._waits: dict[Wait, None] = {}
        self._by_id: dict[str, list[Wait]] = {}  # may name waits that are over
        self._all_blocked = trio.Event()

    def __repr__(self) -> str:
        return f"<Bodies: {self._running} running, {len(self._waits)} blocked>"

    def started(self) -> None:
        """Count one more running body."""
        self._running += 1

    def ended(self) -> None:
        """Count one running body less."""
        self._running -= 1
        if not self._running:
            self._all_blocked.set()

    async def all_blocked(self) -> None:
        """Wait until no body runs."""
        while self._running:
            self._all_blocked = trio.Event()
            await self._all_blocked.wait()

    async def block(self, ids: Sequence[str]) -> None:
        """Block the calling body until `settled` has named all `ids`."""
        wait = Wait(ids)
        self._waits[wait] = None
        for id in wait.ids:
            self._by_id.setdefault(id, []).append(wait)
        self.ended()
        try:
            await wait.over.wait()
        finally:
            if wait in self._waits:  # cancelled: nobody counted us
                del self._waits[wait]
                self.started()

    def settled(self, ids: Sequence[str]) -> None:
        """Wake the bodies whose last promise is among `ids`."""
        for id in ids:
            for wait in self._by_id.pop(id, ()):
                wait.ids.pop(id)
                if not wait.ids and wait in self._waits:
                    del self._waits[wait]
                    self.started()
                    wait.over.set()

    def has_running(self) -> bool:
        """Tell whether a body runs."""
        return self._running > 0

    def newest(self, can_be_awaited: Callable[[str], bool]) -> list[str]:
        """Return for each blocked body the newest promise it waits for, of those that a task may await.

        A body needs all of its promises, so one of them suffices to be woken in time: the one created last, which
        is the likeliest to be the last to settle. A fan-out of a thousand costs a handful of requests this way,
        not one for each child.
        """
        newest = (next((id for id in reversed(wait.ids) if can_be_awaited(id)), None) for wait in self._waits)
        return list(dict.fromkeys(id for id in newest if id is not None))

    def awaited(self, can_be_awaited: Callable[[str], bool]) -> list[str]:
        """Return all promises that blocked bodies wait for, of those that a task may await."""
        ids = dict.fromkeys(id for wait in self._waits for id in wait.ids)
        return [id for id in ids if can_be_awaited(id)]
