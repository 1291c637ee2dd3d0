"""What is due first in the SQLite store.

Nearly always nothing is due, and a turn changes nothing that is due first. So what is first is kept in memory, in
step with the commits, and only asked for again when it is that which was changed.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final, final

from attrs import define, field

from server_ref.machine import NEVER, Changes, cancellation_due_at, promise_due_at, schedule_due_at, task_due_at

# As the indexes have them: within an instant, any order will do.
_FIRST_PROMISE: Final = "SELECT timeout_at, id FROM promises WHERE state = 'pending' ORDER BY timeout_at LIMIT 1"
_FIRST_TASK: Final = "SELECT due_at, id FROM tasks WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1"
_FIRST_SCHEDULE: Final = "SELECT next_run_at, id FROM schedules ORDER BY next_run_at LIMIT 1"
_FIRST_CANCELLATION: Final = """
    SELECT cancel_until, id FROM tasks WHERE cancel_until IS NOT NULL ORDER BY cancel_until LIMIT 1
"""
_FIRST_SWEEP: Final = "SELECT 0, id FROM sweeps LIMIT 1"


@final
@define
class First:
    """The first of one kind, as far as it is known."""

    _statement: str
    _is_known: bool = field(default=False, init=False)
    _at: int | None = field(default=None, init=False)
    _id: str = field(default="", init=False)

    def read(self, connection: sqlite3.Connection) -> int | None:
        """Return its instant, None if there is none."""
        if not self._is_known:
            self._set(*(connection.execute(self._statement).fetchone() or (None, "")))
        return self._at

    def follow(self, changed: Iterable[tuple[str, int | None]]) -> None:
        """Take in when each of those is due, by its id, whose records were stored."""
        for id, at in changed:
            if at is not None and (self._at is None or at <= self._at):
                if self._is_known:
                    self._set(at, id)
            elif id == self._id:
                self.forget()

    def clear(self) -> None:
        """Take in that there is none."""
        self._set(None, "")

    def forget(self) -> None:
        """Know nothing."""
        self._set(None, "")
        self._is_known = False

    def _set(self, at: int | None, id: str) -> None:
        self._is_known, self._at, self._id = True, at, id


@final
@define
class Agenda:
    """The first of each kind. Sweeps are due at once."""

    promises: First = field(factory=lambda: First(_FIRST_PROMISE), init=False)
    tasks: First = field(factory=lambda: First(_FIRST_TASK), init=False)
    schedules: First = field(factory=lambda: First(_FIRST_SCHEDULE), init=False)
    cancellations: First = field(factory=lambda: First(_FIRST_CANCELLATION), init=False)
    sweeps: First = field(factory=lambda: First(_FIRST_SWEEP), init=False)

    def next_due(self, connection: sqlite3.Connection) -> int | None:
        """Return the earliest instant (ms) at which anything is due."""
        instants = [first.read(connection) for first in self._all()]
        return min((at for at in instants if at is not None and at < NEVER), default=None)

    def follow(self, changes: Changes) -> None:
        """Take in what was committed."""
        if changes.reset:
            for first in self._all():
                first.clear()
        self.promises.follow((id, promise_due_at(promise)) for id, promise in changes.promises.items())
        self.tasks.follow((id, task_due_at(task)) for id, task in changes.tasks.items())
        self.schedules.follow(
            (id, None if schedule is None else schedule_due_at(schedule))
            for id, schedule in changes.schedules.items()
        )
        self.cancellations.follow((id, cancellation_due_at(task)) for id, task in changes.tasks.items())
        self.sweeps.follow((id, None if sweep is None else 0) for id, sweep in changes.sweeps.items())

    def forget(self) -> None:
        """Know nothing: it will be asked for."""
        for first in self._all():
            first.forget()

    def _all(self) -> tuple[First, ...]:
        return (self.promises, self.tasks, self.schedules, self.cancellations, self.sweeps)
