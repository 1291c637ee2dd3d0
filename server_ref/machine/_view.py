"""What the machine sees, and what it changes.

A `View` answers questions about stored records. A `Draft` is a view too: it lies over another one and keeps
what was changed in it as plain data (`Changes`), which a store then applies in one transaction. Nothing here
does I/O, knows a clock, or knows which store is below.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar, final

from attrs import define, field, frozen

from resonate_trio.protocol import Promise, Schedule, Task, TaskState, Value

RecordT = TypeVar("RecordT")


@final
@frozen
class Cancellation:
    """A request to cancel a task: when (ms), until when the task has time, and who asked and why.

    `version` is that of the task at the request. Who holds the task at a later version was told as it took it.
    """

    at: int
    until: int
    value: Value
    version: int


@final
@frozen
class TaskRecord:
    """A task as it is stored.

    `due_at` is the instant (ms) at which the server acts by itself: `pending` dispatches the task, `acquired`
    ends its lease. It is None in all other states. `resumes` are the awaited promises that have settled since
    the task was acquired last. `cancellation` is the first request to cancel it.
    """

    id: str
    state: TaskState
    version: int
    resumes: tuple[str, ...] = ()
    ttl: int | None = None
    pid: str | None = None
    due_at: int | None = None
    cancellation: Cancellation | None = None

    @property
    def cancelled_at(self) -> int | None:
        """The instant (ms) of the request to cancel the task."""
        return None if self.cancellation is None else self.cancellation.at

    def to_wire(self) -> Task:
        """Return the task as replies show it."""
        resumes = len(self.resumes)
        return Task(self.id, self.state, self.version, resumes, self.ttl, self.pid, self.cancelled_at)


@final
@frozen
class Dispatch:
    """An `execute` message on its way: where to, at which version of the task, and since when it is cancelled."""

    address: str
    version: int
    cancelled_at: int | None = None


@final
@frozen
class Sweep:
    """How far the children of a promise have been cancelled: up to the id `after`, because of `cause`."""

    after: str
    cause: str


@final
@frozen
class Due:
    """What is due, each as (instant, id), earliest first.

    Pending promises are due at their deadline, cancellations (by the id of the task) when their time is over.
    """

    promises: Sequence[tuple[int, str]] = field(factory=list)
    tasks: Sequence[tuple[int, str]] = field(factory=list)
    schedules: Sequence[tuple[int, str]] = field(factory=list)
    cancellations: Sequence[tuple[int, str]] = field(factory=list)


def existing(record: RecordT | None, id: str) -> RecordT:
    """Return a record that another one points at, so that it must be there."""
    if record is None:
        raise LookupError(f"the store is damaged: something in it points at {id!r}, which is missing")
    return record


def promise_due_at(promise: Promise) -> int | None:
    """Return the instant at which the server settles the promise by itself."""
    return promise.timeout_at if promise.is_pending else None


def task_due_at(task: TaskRecord) -> int | None:
    """Return the instant at which the server dispatches the task or ends its lease."""
    return task.due_at


def cancellation_due_at(task: TaskRecord) -> int | None:
    """Return the instant from which the server cancels the task by itself."""
    return None if task.cancellation is None else task.cancellation.until


def schedule_due_at(schedule: Schedule) -> int | None:
    """Return the instant at which the schedule creates its next promise."""
    return schedule.next_run_at


def matches(record_tags: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    """Tell whether a record carries all of `tags`."""
    return all(record_tags.get(name) == value for name, value in tags.items())


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

    def failure_awaiters(self, awaited: str) -> Collection[str]:
        """Return the ids of the tasks that wait for a promise to fail, ordered. They may be awaiters too."""

    def listeners(self, id: str) -> Collection[str]:
        """Return the addresses to be told when a promise settles, ordered."""

    def branch(self, branch: str) -> Sequence[Promise]:
        """Return all promises whose tag `resonate:branch` is `branch`, ordered by id."""

    def children(self, parent: str, after: str = "", limit: int | None = None) -> Sequence[Promise]:
        """Return the promises whose tag `resonate:parent` is `parent`, ordered by id.

        Args:
            parent: the id of the caller. A root may be its own.
            after: what the ids are greater than.
            limit: how many there are at most, None for all.
        """

    def sweeps(self, limit: int) -> Sequence[tuple[str, "Sweep"]]:
        """Return promises whose children are to be cancelled, and how far that has come: those with the last ids.

        There are up to `limit`, the last first: so what lies below another one comes before it.
        """

    def scan_promises(self, after: str, tags: Mapping[str, str]) -> Iterator[Promise]:
        """Yield the promises that carry all `tags` and whose id is greater than `after`, ordered by id."""

    def scan_tasks(self, after: str, state: TaskState | None = None) -> Iterator[TaskRecord]:
        """Yield the tasks (those stored in `state`) whose id is greater than `after`, ordered by id."""

    def scan_schedules(self, after: str, tags: Mapping[str, str]) -> Iterator[Schedule]:
        """Yield the schedules whose promises carry all `tags`, ordered by id, from after `after`."""

    def due(self, now: int, limit: int) -> Due:
        """Return what is due by `now`, at most `limit` of each kind."""

    def execute(self, task_id: str) -> Dispatch | None:
        """Return the message to a worker that waits for its delivery."""

    def executes(self) -> Iterable[tuple[str, Dispatch]]:
        """Return all messages to workers that wait, by task."""

    def unblocks(self) -> Iterable[tuple[str, str]]:
        """Return (promise, address) of all notices to listeners that wait, ordered."""


@final
@define
class Changes:
    """What a turn of the machine changed, to be stored by one commit.

    Of pairs, True means added and False removed. `executes` maps a task to its message, or to None when it
    must no longer be sent. With `reset` everything stored before is dropped first. `now` is the highest instant of
    the turn; a store keeps the highest of all, so that the clock never goes back.

    Three are on no store: `cancels`, the tasks whose holders are to be told of a cancellation, of which they hear
    anyway, but later; `suspended_by`, who suspended a task, or None if it was taken since; and `heard`, the tasks
    whose holders showed that they know of it.
    """

    promises: dict[str, Promise] = field(factory=dict)
    tasks: dict[str, TaskRecord] = field(factory=dict)
    schedules: dict[str, Schedule | None] = field(factory=dict)
    callbacks: dict[tuple[str, str], bool] = field(factory=dict)  # (awaited, awaiter)
    failure_callbacks: dict[tuple[str, str], bool] = field(factory=dict)  # (awaited, awaiter)
    listeners: dict[tuple[str, str], bool] = field(factory=dict)  # (promise, address)
    sweeps: dict[str, Sweep | None] = field(factory=dict)
    executes: dict[str, Dispatch | None] = field(factory=dict)  # by task
    unblocks: dict[tuple[str, str], bool] = field(factory=dict)  # (promise, address)
    cancels: set[str] = field(factory=set)
    suspended_by: dict[str, str | None] = field(factory=dict)  # pid, by task
    heard: set[str] = field(factory=set)
    reset: bool = False
    now: int = 0

    @property
    def is_durable(self) -> bool:
        """Tell whether anything must reach the disk. Messages to workers need not: they are sent again."""
        return bool(
            self.promises
            or self.tasks
            or self.schedules
            or self.callbacks
            or self.failure_callbacks
            or self.listeners
            or self.unblocks
            or self.sweeps
            or self.reset
        )
