"""A store in memory: for development, for tests, and for an embedded server that nothing needs to outlive."""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import TypeVar, final

from attrs import define, field

from resonate_trio.protocol import Promise, Schedule, TaskState, tags as tag
from server_ref.machine import (
    NEVER,
    Changes,
    Dispatch,
    Draft,
    Due,
    Outgoing,
    Sweep,
    TaskRecord,
    cancellation_due_at,
    matches,
    promise_due_at,
    schedule_due_at,
    task_due_at,
    waiting,
)

from ._indexes import DueIndex, SortedIds
from ._store import apply_executes, raised_floor

T = TypeVar("T")


@final
@define
class _Pairs:
    """Pairs, by their first half."""

    _by_first: dict[str, set[str]] = field(factory=dict, init=False)

    def get(self, first: str) -> Collection[str]:
        """Return the second halves, ordered."""
        return sorted(self._by_first.get(first, ()))

    def all(self) -> Iterable[tuple[str, str]]:
        """Return all pairs, ordered."""
        return [(first, second) for first in sorted(self._by_first) for second in self.get(first)]

    def apply(self, changed: Mapping[tuple[str, str], bool]) -> None:
        """Add and remove pairs."""
        for (first, second), present in changed.items():
            seconds = self._by_first.setdefault(first, set())
            if present:
                seconds.add(second)
            else:
                seconds.discard(second)
            if not seconds:
                del self._by_first[first]


@final
@define
class _Records:
    """Everything that is stored, as a view."""

    promises: dict[str, Promise] = field(factory=dict, init=False)
    tasks: dict[str, TaskRecord] = field(factory=dict, init=False)
    schedules: dict[str, Schedule] = field(factory=dict, init=False)
    callbacks: _Pairs = field(factory=_Pairs, init=False)
    failure_callbacks: _Pairs = field(factory=_Pairs, init=False)
    told: _Pairs = field(factory=_Pairs, init=False)
    notices: _Pairs = field(factory=_Pairs, init=False)
    waiting: dict[str, Dispatch] = field(factory=dict, init=False)
    promise_ids: SortedIds = field(factory=SortedIds, init=False)
    task_ids: SortedIds = field(factory=SortedIds, init=False)
    schedule_ids: SortedIds = field(factory=SortedIds, init=False)
    branches: dict[str, SortedIds] = field(factory=dict, init=False)
    parents: dict[str, SortedIds] = field(factory=dict, init=False)
    unswept: dict[str, Sweep] = field(factory=dict, init=False)
    promises_due: DueIndex = field(factory=DueIndex, init=False)
    tasks_due: DueIndex = field(factory=DueIndex, init=False)
    schedules_due: DueIndex = field(factory=DueIndex, init=False)
    cancellations_due: DueIndex = field(factory=DueIndex, init=False)

    # --- Reading ----------------------------------------------------------------------------------

    def promise(self, id: str) -> Promise | None:
        """Return a promise."""
        return self.promises.get(id)

    def task(self, id: str) -> TaskRecord | None:
        """Return a task."""
        return self.tasks.get(id)

    def schedule(self, id: str) -> Schedule | None:
        """Return a schedule."""
        return self.schedules.get(id)

    def awaiters(self, awaited: str) -> Collection[str]:
        """Return the ids of the tasks that wait for a promise, ordered."""
        return self.callbacks.get(awaited)

    def failure_awaiters(self, awaited: str) -> Collection[str]:
        """Return the ids of the tasks that wait for a promise to fail, ordered."""
        return self.failure_callbacks.get(awaited)

    def listeners(self, id: str) -> Collection[str]:
        """Return the addresses to be told when a promise settles, ordered."""
        return self.told.get(id)

    def branch(self, branch: str) -> Sequence[Promise]:
        """Return all promises of a branch, ordered by id."""
        ids = self.branches.get(branch)
        return [] if ids is None else [self.promises[id] for id in ids.after("")]

    def children(self, parent: str, after: str = "", limit: int | None = None) -> Sequence[Promise]:
        """Return the promises that a promise has called, from after `after`, ordered by id."""
        ids = self.parents.get(parent)
        return [] if ids is None else [self.promises[id] for id in islice(ids.after(after), limit)]

    def sweeps(self, limit: int) -> Sequence[tuple[str, Sweep]]:
        """Return up to `limit` promises whose children are to be cancelled, the last ids first."""
        return heapq.nlargest(limit, self.unswept.items(), key=itemgetter(0))

    def scan_promises(self, after: str, tags: Mapping[str, str]) -> Iterator[Promise]:
        """Yield the promises that carry all `tags`, from after `after`, ordered by id."""
        promises = (self.promises[id] for id in self.promise_ids.after(after))
        return (promise for promise in promises if matches(promise.tags, tags))

    def scan_tasks(self, after: str, state: TaskState | None = None) -> Iterator[TaskRecord]:
        """Yield the tasks (those in `state`) from after `after`, ordered by id."""
        tasks = (self.tasks[id] for id in self.task_ids.after(after))
        return (task for task in tasks if state in {None, task.state})

    def scan_schedules(self, after: str, tags: Mapping[str, str]) -> Iterator[Schedule]:
        """Yield the schedules whose promises carry all `tags`, from after `after`, ordered by id."""
        schedules = (self.schedules[id] for id in self.schedule_ids.after(after))
        return (schedule for schedule in schedules if matches(schedule.promise_tags, tags))

    def due(self, now: int, limit: int) -> Due:
        """Return what is due by `now`, at most `limit` of each kind."""
        return Due(
            self.promises_due.until(now, limit),
            self.tasks_due.until(now, limit),
            self.schedules_due.until(now, limit),
            self.cancellations_due.until(now, limit),
        )

    def execute(self, task_id: str) -> Dispatch | None:
        """Return the message to a worker that waits for its delivery."""
        return self.waiting.get(task_id)

    def executes(self) -> Iterable[tuple[str, Dispatch]]:
        """Return all messages to workers that wait, by task."""
        return self.waiting.items()

    def unblocks(self) -> Iterable[tuple[str, str]]:
        """Return (promise, address) of all notices to listeners that wait, ordered."""
        return self.notices.all()

    # --- Writing ----------------------------------------------------------------------------------

    def apply(self, changes: Changes) -> None:
        """Store what a turn changed."""
        for promise in changes.promises.values():
            self._put_promise(promise)
        for task in changes.tasks.values():
            self._put_task(task)
        for id, schedule in changes.schedules.items():
            self._put_schedule(id, schedule)
        self.callbacks.apply(changes.callbacks)
        self.failure_callbacks.apply(changes.failure_callbacks)
        self.told.apply(changes.listeners)
        self.notices.apply(changes.unblocks)
        for id, sweep in changes.sweeps.items():
            if sweep is None:
                self.unswept.pop(id, None)
            else:
                self.unswept[id] = sweep
        apply_executes(self.waiting, changes)

    def _put_promise(self, promise: Promise) -> None:
        self.promises[promise.id] = promise
        self.promise_ids.add(promise.id)
        branch = promise.tags.get(tag.BRANCH)
        if branch is not None:
            self.branches.setdefault(branch, SortedIds()).add(promise.id)
        parent = promise.tags.get(tag.PARENT)
        if parent is not None:
            self.parents.setdefault(parent, SortedIds()).add(promise.id)
        self.promises_due.set(promise.id, promise_due_at(promise))

    def _put_task(self, task: TaskRecord) -> None:
        self.tasks[task.id] = task
        self.task_ids.add(task.id)
        self.tasks_due.set(task.id, task_due_at(task))
        self.cancellations_due.set(task.id, cancellation_due_at(task))

    def _put_schedule(self, id: str, schedule: Schedule | None) -> None:
        if schedule is None:
            self.schedules.pop(id, None)
            self.schedule_ids.remove(id)
            self.schedules_due.set(id, None)
        else:
            self.schedules[id] = schedule
            self.schedule_ids.add(id)
            self.schedules_due.set(id, schedule_due_at(schedule))


@final
@define
class MemoryStore:
    """Keeps everything in dicts. It is gone when the process ends, not when the store is closed."""

    blocking: bool = field(default=False, init=False)
    _records: _Records = field(factory=_Records, init=False)
    _floor: int = field(default=0, init=False)

    def open(self) -> None:
        """Do nothing: it is always ready."""

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def transact(self, step: Callable[[Draft], T]) -> T:
        """Run `step` on a draft, store its changes, return its result. If it raises, nothing is stored."""
        draft = Draft(self._records)
        result = step(draft)
        if draft.changes.reset:
            self._records = _Records()
        self._records.apply(draft.changes)
        self._floor = raised_floor(self._floor, draft.changes)
        return result

    def next_due(self) -> int | None:
        """Return the earliest instant (ms) at which anything is due."""
        records = self._records
        if records.unswept:
            return 0
        indexes = (records.promises_due, records.tasks_due, records.schedules_due, records.cancellations_due)
        first = (index.first() for index in indexes)
        return min((at for at in first if at is not None and at < NEVER), default=None)

    def outbox(self) -> Sequence[Outgoing]:
        """Return the messages that wait for their delivery."""
        return waiting(self._records)

    def clock_floor(self) -> int:
        """Return the highest instant (ms) of any turn since the last reset."""
        return self._floor
