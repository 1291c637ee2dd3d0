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
from attrs import frozen


@final
@frozen
class Alarms:
    """What cuts a wait short, besides what is waited for.

    Attributes:
        settling: promises that do so however they settle: timers of scopes.
        failing: promises that do so unless they are resolved: children of a nursery.
    """

    settling: Sequence[str] = ()
    failing: Sequence[str] = ()


NO_ALARMS = Alarms()


@final
class Wait:
    """A body that is blocked until some promises are settled.

    Args:
        ids: the promises, in the order of their creation, those still unknown or pending only.
        alarms: tells what else to listen for.
        first: the wait is over when any of them is settled, instead of all.
    """

    def __init__(
        self, ids: Sequence[str], alarms: Callable[[], Alarms] = lambda: NO_ALARMS, *, first: bool = False
    ) -> None:
        self.ids = dict.fromkeys(ids)
        self.alarms = alarms
        self.first = first
        self.sleeper: trio.lowlevel.Task | None = None  # the body's task while it is blocked


@final
class Bodies:
    """Counts the running bodies of one execution and keeps the waits of the blocked ones."""

    def __init__(self) -> None:
        self._running = 0
        self._waits: dict[Wait, None] = {}
        self._by_id: dict[str, list[Wait]] = {}  # may name waits that are over
        self._all_blocked: trio.Event | None = None  # while it is waited for
        self._changed: trio.Event | None = None
        self._attentive: dict[Callable[[], Alarms], None] = {}

    def __repr__(self) -> str:
        return f"<Bodies: {self._running} running, {len(self._waits)} blocked>"

    def started(self) -> None:
        """Count one more running body."""
        self._running += 1

    def ended(self) -> None:
        """Count one running body less."""
        self._running -= 1
        if not self._running:
            if self._all_blocked is not None:
                self._all_blocked.set()
            self._note_change()

    async def all_blocked(self) -> None:
        """Wait until no body runs."""
        while self._running:
            self._all_blocked = trio.Event()
            try:
                await self._all_blocked.wait()
            finally:
                self._all_blocked = None

    async def block(self, wait: Wait) -> None:
        """Block the calling body until `settled` has named what it waits for, or it is interrupted."""
        self._waits[wait] = None
        for id in wait.ids:
            self._by_id.setdefault(id, []).append(wait)
        wait.sleeper = trio.lowlevel.current_task()
        self._note_change()
        self.ended()

        def abort(_: object) -> trio.lowlevel.Abort:
            wait.sleeper = None
            self.interrupt(wait)  # nobody has counted it
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)  # an event would cost half a KiB more while it is parked

    def interrupt(self, wait: Wait) -> None:
        """Wake the body of a wait, whatever it waits for. Does nothing if it is awake."""
        if wait in self._waits:
            del self._waits[wait]
            self.started()
            if wait.sleeper is not None:
                trio.lowlevel.reschedule(wait.sleeper)

    def interrupt_all(self) -> None:
        """Wake all bodies."""
        for wait in list(self._waits):
            self.interrupt(wait)

    def settled(self, ids: Sequence[str]) -> None:
        """Wake the bodies whose last promise is among `ids`."""
        for id in ids:
            for wait in self._by_id.pop(id, ()):
                wait.ids.pop(id)
                if wait.first or not wait.ids:
                    self.interrupt(wait)

    def attend(self, alarms: Callable[[], Alarms]) -> None:
        """Note that a body which runs is concerned by `alarms` nevertheless: it stands at a local invocation."""
        self._attentive[alarms] = None
        self._note_change()

    def go_on(self, alarms: Callable[[], Alarms]) -> None:
        """Note that it does not stand there any more."""
        del self._attentive[alarms]

    async def changed(self) -> None:
        """Wait until no body runs, or one of them stands at something new."""
        self._changed = trio.Event()
        try:
            await self._changed.wait()
        finally:
            self._changed = None

    def _note_change(self) -> None:
        if self._changed is not None:
            self._changed.set()

    def has_running(self) -> bool:
        """Tell whether a body runs."""
        return self._running > 0

    def wait_for_many(self) -> bool:
        """Tell whether a body waits for more than one promise."""
        return any(len(wait.ids) > 1 for wait in self._waits)

    def awaited(self, can_be_awaited: Callable[[str], bool], *, every: bool) -> dict[str, bool]:
        """Return what to listen for, of what a task may await.

        The values tell whether only a failure matters.

        A body needs all of its promises, so one of them suffices to be woken in time: the one created last, which
        is the likeliest to be the last to settle. A fan-out of a thousand is woken once this way, not a thousand
        times.

        Args:
            can_be_awaited: tells whether a task may await a promise.
            every: all that bodies wait for, not the newest only.
        """
        awaited: dict[str, bool] = {}
        for wait in self._waits:
            candidates = [id for id in wait.ids if can_be_awaited(id)]
            for id in candidates if every or wait.first else candidates[-1:]:
                awaited[id] = False
        for each in (*self._attentive, *(wait.alarms for wait in self._waits)):
            alarms = each()
            for id in filter(can_be_awaited, alarms.settling):
                awaited[id] = False
            for id in filter(can_be_awaited, alarms.failing):
                awaited.setdefault(id, True)
        return awaited
