"""What the machine sees, and what it changes.

A `View` answers questions about stored records. A `Draft` is a view too: it lies over another one and keeps
what was changed in it as plain data (`Changes`), which a store then applies in one transaction. Nothing here
does I/O, knows a clock, or knows which store is below.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol, final

from attrs import define, field, frozen

from resonate_trio.protocol import Promise, Schedule, Task, TaskState


@final
@frozen
class TaskRecord:
    """A task as it is stored.

    `due_at` is the instant (ms) at which the server acts by itself: `pending` dispatches the task, `acquired`
    ends its lease. It is None in all other states. `resumes` are the awaited promises that have settled since
    the task was acquired last.
    """

    id: str
    state: TaskState
    version: int
    resumes: tuple[str, ...] = ()
    ttl: int | None = None
    pid: str | None = None
    due_at: int | None = None

    def to_wire(self) -> Task:
        """Return the task as replies show it."""
        return Task(self.id, self.state, self.version, len(self.resumes), self.ttl, self.pid)


@final
@frozen
class Dispatch:
    """An `execute` message on its way: where to, and at which version of the task."""

    address: str
    version: int


@final
@frozen
class Due:
    """What is due by some instant: ids of pending promises, of tasks and of schedules, earliest first."""

    promises: Sequence[str] = ()
    tasks: Sequence[str] = ()
    schedules: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.promises or self.tasks or self.schedules)


class View(Protocol):
    """Stored records. They are raw: projection (time) is the machine's affair."""

    def promise(self, id: str) -> Promise | None:
        """Return a promise."""

    def task(self, id: str) -> TaskRecord | None:
        """Return a task."""

    def schedule(self, id: str) -> Schedule | None:
        """Return a schedule."""

    def awaiters(self, awaited: str) -> Collection[str]:
        """Return the ids of the tasks that wait for a promise, ordered."""

    def listeners(self, id: str) -> Collection[str]:
        """Return the addresses to be told when a promise settles, ordered."""

    def branch(self, branch: str) -> Sequence[Promise]:
        """Return all promises whose tag `resonate:branch` is `branch`, ordered by id."""

    def scan_promises(self, after: str, tags: Mapping[str, str]) -> Iterator[Promise]:
        """Yield the promises that carry all `tags` and whose id is greater than `after`, ordered by id."""

    def scan_tasks(self, after: str) -> Iterator[TaskRecord]:
        """Yield the tasks whose id is greater than `after`, ordered by id."""

    def scan_schedules(self, after: str, tags: Mapping[str, str]) -> Iterator[Schedule]:
        """Yield the schedules whose promises carry all `tags`, ordered by id, from after `after`."""

    def due(self, now: int, limit: int) -> Due:
        """Return what is due by `now`, at most `limit` of each kind: `timeout_at`, `due_at`, `next_run_at` <= now."""


@final
@define
class Changes:
    """What a turn of the machine changed, to be stored by one commit.

    Of pairs, True means added and False removed. `executes` maps a task to its message, or to None when it
    must no longer be sent. With `reset` everything stored before is dropped first.
    """

    promises: dict[str, Promise] = field(factory=dict)
    tasks: dict[str, TaskRecord] = field(factory=dict)
    schedules: dict[str, Schedule | None] = field(factory=dict)
    callbacks: dict[tuple[str, str], bool] = field(factory=dict)  # (awaited, awaiter)
    listeners: dict[tuple[str, str], bool] = field(factory=dict)  # (promise, address)
    executes: dict[str, Dispatch | None] = field(factory=dict)  # by task
    unblocks: dict[tuple[str, str], bool] = field(factory=dict)  # (promise, address)
    reset: bool = False
