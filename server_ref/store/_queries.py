"""What the SQLite store reads and writes, statement by statement."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, final

from attrs import field, frozen

from resonate_trio.protocol import Promise, Schedule, TaskState
from server_ref.machine import Changes, Dispatch, Due, Sweep, TaskRecord

from ._agenda import Agenda, First
from ._rows import (
    PROMISE_COLUMNS,
    SCHEDULE_COLUMNS,
    TASK_COLUMNS,
    promise_from,
    promise_row,
    schedule_from,
    schedule_row,
    task_from,
    task_row,
)
from .schema import TABLES

_PROMISE: Final = f"SELECT {PROMISE_COLUMNS} FROM promises"
_TASK: Final = f"SELECT {TASK_COLUMNS} FROM tasks"
_SCHEDULE: Final = f"SELECT {SCHEDULE_COLUMNS} FROM schedules"
_PROMISE_BY_ID: Final = f"{_PROMISE} WHERE id = ?"
_TASK_BY_ID: Final = f"{_TASK} WHERE id = ?"
_WITH_TAG: Final = " AND EXISTS (SELECT 1 FROM json_each(tags) AS tag WHERE tag.key = ? AND tag.value = ?)"

# As the indexes have them: within an instant, any order will do.
_PROMISES_DUE: Final = """
    SELECT timeout_at, id FROM promises WHERE state = 'pending' AND timeout_at <= ? ORDER BY timeout_at LIMIT ?
"""
_TASKS_DUE: Final = "SELECT due_at, id FROM tasks WHERE due_at <= ? ORDER BY due_at LIMIT ?"
_SCHEDULES_DUE: Final = """
    SELECT next_run_at, id FROM schedules WHERE next_run_at <= ? ORDER BY next_run_at LIMIT ?
"""
_CANCELLATIONS_DUE: Final = """
    SELECT cancel_until, id FROM tasks WHERE cancel_until <= ? ORDER BY cancel_until LIMIT ?
"""
# What is left out of an update never changes.
_PUT_PROMISE: Final = f"""
    INSERT INTO promises ({PROMISE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, settled_at = excluded.settled_at,
        value_headers = excluded.value_headers, value_data = excluded.value_data
"""
_PUT_TASK: Final = f"""
    INSERT INTO tasks ({TASK_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, version = excluded.version,
        resumes = excluded.resumes, ttl = excluded.ttl, pid = excluded.pid, due_at = excluded.due_at,
        cancelled_at = excluded.cancelled_at, cancel_until = excluded.cancel_until,
        cancel_version = excluded.cancel_version, cancel_headers = excluded.cancel_headers,
        cancel_data = excluded.cancel_data
"""
_PUT_SCHEDULE: Final = f"""
    INSERT OR REPLACE INTO schedules ({SCHEDULE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


@final
@frozen
class SqliteView:
    """What is stored. The messages to workers are not: they are in memory only.

    It is for one turn, and reads each promise and each task once.
    """

    _connection: sqlite3.Connection
    _executes: Mapping[str, Dispatch]
    _agenda: Agenda
    _promises: dict[str, Promise | None] = field(factory=dict, init=False)
    _tasks: dict[str, TaskRecord | None] = field(factory=dict, init=False)

    def promise(self, id: str) -> Promise | None:
        """Return a promise."""
        if id not in self._promises:
            row = self._connection.execute(_PROMISE_BY_ID, (id,)).fetchone()
            self._promises[id] = None if row is None else promise_from(row)
        return self._promises[id]

    def task(self, id: str) -> TaskRecord | None:
        """Return a task."""
        if id not in self._tasks:
            row = self._connection.execute(_TASK_BY_ID, (id,)).fetchone()
            self._tasks[id] = None if row is None else task_from(row)
        return self._tasks[id]

    def schedule(self, id: str) -> Schedule | None:
        """Return a schedule."""
        row = self._connection.execute(f"{_SCHEDULE} WHERE id = ?", (id,)).fetchone()
        return None if row is None else schedule_from(row)

    def awaiters(self, awaited: str) -> Collection[str]:
        """Return the ids of the tasks that wait for a promise, ordered."""
        return self._waiting_for(awaited, "SELECT awaiter FROM callbacks WHERE awaited = ? ORDER BY awaiter")

    def failure_awaiters(self, awaited: str) -> Collection[str]:
        """Return the ids of the tasks that wait for a promise to fail, ordered."""
        return self._waiting_for(
            awaited, "SELECT awaiter FROM failure_callbacks WHERE awaited = ? ORDER BY awaiter"
        )

    def listeners(self, id: str) -> Collection[str]:
        """Return the addresses to be told when a promise settles, ordered."""
        return self._waiting_for(id, "SELECT address FROM listeners WHERE id = ? ORDER BY address")

    def _waiting_for(self, promise_id: str, statement: str) -> Collection[str]:
        if self._promises.get(promise_id, self) is None:  # nobody waits for what this turn creates
            return ()
        return [one for (one,) in self._connection.execute(statement, (promise_id,))]

    def branch(self, branch: str) -> Sequence[Promise]:
        """Return all promises of a branch, ordered by id."""
        rows = self._connection.execute(f"{_PROMISE} WHERE branch = ? ORDER BY id", (branch,))
        return [promise_from(row) for row in rows]

    def children(self, parent: str, after: str = "", limit: int | None = None) -> Sequence[Promise]:
        """Return the promises that a promise has called, from after `after`, ordered by id."""
        statement = f"{_PROMISE} WHERE parent = ? AND id > ? ORDER BY id LIMIT ?"
        rows = self._connection.execute(statement, (parent, after, -1 if limit is None else limit))
        return [promise_from(row) for row in rows]

    def sweeps(self, limit: int) -> Sequence[tuple[str, Sweep]]:
        """Return up to `limit` promises whose children are to be cancelled, the last ids first."""
        if self._agenda.sweeps.read(self._connection) is None:
            return []
        statement = "SELECT id, after, cause FROM sweeps ORDER BY id DESC LIMIT ?"
        rows = self._connection.execute(statement, (limit,))
        return [(id, Sweep(after, cause)) for id, after, cause in rows]

    def scan_promises(self, after: str, tags: Mapping[str, str]) -> Iterator[Promise]:
        """Yield the promises that carry all `tags`, from after `after`, ordered by id."""
        return (promise_from(row) for row in self._scan(_PROMISE, after, tags))

    def scan_tasks(self, after: str, state: TaskState | None = None) -> Iterator[TaskRecord]:
        """Yield the tasks (those in `state`) from after `after`, ordered by id."""
        if state is None:
            rows = self._connection.execute(f"{_TASK} WHERE id > ? ORDER BY id", (after,))
        else:
            statement = f"{_TASK} WHERE id > ? AND state = ? ORDER BY id"
            rows = self._connection.execute(statement, (after, state.value))
        return (task_from(row) for row in rows)

    def scan_schedules(self, after: str, tags: Mapping[str, str]) -> Iterator[Schedule]:
        """Yield the schedules whose promises carry all `tags`, from after `after`, ordered by id."""
        return (schedule_from(row) for row in self._scan(_SCHEDULE, after, tags))

    def _scan(self, select: str, after: str, tags: Mapping[str, str]) -> sqlite3.Cursor:
        statement = f"{select} WHERE id > ?{_WITH_TAG * len(tags)} ORDER BY id"
        return self._connection.execute(statement, [after, *(part for item in tags.items() for part in item)])

    def due(self, now: int, limit: int) -> Due:
        """Return what is due by `now`, at most `limit` of each kind."""
        agenda = self._agenda
        return Due(
            self._due(agenda.promises, _PROMISES_DUE, now, limit),
            self._due(agenda.tasks, _TASKS_DUE, now, limit),
            self._due(agenda.schedules, _SCHEDULES_DUE, now, limit),
            self._due(agenda.cancellations, _CANCELLATIONS_DUE, now, limit),
        )

    def _due(self, first: First, statement: str, now: int, limit: int) -> Sequence[tuple[int, str]]:
        first_at = first.read(self._connection)
        if first_at is None or first_at > now:
            return []
        return self._connection.execute(statement, (now, limit)).fetchall()

    def execute(self, task_id: str) -> Dispatch | None:
        """Return the message to a worker that waits for its delivery."""
        return self._executes.get(task_id)

    def executes(self) -> Iterable[tuple[str, Dispatch]]:
        """Return all messages to workers that wait, by task."""
        return self._executes.items()

    def unblocks(self) -> Iterable[tuple[str, str]]:
        """Return (promise, address) of all notices to listeners that wait, ordered."""
        return self._connection.execute("SELECT id, address FROM unblocks ORDER BY id, address").fetchall()


def clock_floor(connection: sqlite3.Connection) -> int:
    """Return the clock floor that is stored."""
    return int(connection.execute("SELECT floor FROM clock").fetchone()[0])


def write(connection: sqlite3.Connection, changes: Changes, floor: int) -> None:
    """Write what a turn changed, and the clock floor."""
    if changes.reset:
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")
    if changes.promises:
        connection.executemany(_PUT_PROMISE, map(promise_row, changes.promises.values()))
    if changes.tasks:
        connection.executemany(_PUT_TASK, map(task_row, changes.tasks.values()))
    for id, schedule in changes.schedules.items():
        if schedule is None:
            connection.execute("DELETE FROM schedules WHERE id = ?", (id,))
        else:
            connection.execute(_PUT_SCHEDULE, schedule_row(schedule))
    _write_pairs(connection, "callbacks", "awaited, awaiter", changes.callbacks)
    _write_pairs(connection, "failure_callbacks", "awaited, awaiter", changes.failure_callbacks)
    _write_pairs(connection, "listeners", "id, address", changes.listeners)
    _write_pairs(connection, "unblocks", "id, address", changes.unblocks)
    _write_sweeps(connection, changes.sweeps)
    connection.execute("UPDATE clock SET floor = ?", (floor,))


def _write_pairs(
    connection: sqlite3.Connection, table: str, columns: str, changed: Mapping[tuple[str, str], bool]
) -> None:
    if not changed:
        return
    added = [pair for pair, present in changed.items() if present]
    removed = [pair for pair, present in changed.items() if not present]
    connection.executemany(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES (?, ?)", added)
    connection.executemany(f"DELETE FROM {table} WHERE ({columns}) = (?, ?)", removed)


def _write_sweeps(connection: sqlite3.Connection, sweeps: Mapping[str, Sweep | None]) -> None:
    for id, sweep in sweeps.items():
        if sweep is None:
            connection.execute("DELETE FROM sweeps WHERE id = ?", (id,))
        else:
            statement = "INSERT OR REPLACE INTO sweeps (id, after, cause) VALUES (?, ?, ?)"
            connection.execute(statement, (id, sweep.after, sweep.cause))
