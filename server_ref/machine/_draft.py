"""A draft: a view that can be written, over one that cannot.

Reads see the writes. What was changed is kept in `changes`; the view below stays as it is.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Protocol, TypeVar, final

from attrs import define, field

from resonate_trio.protocol import Promise, Schedule, TaskState, tags as tag

from ._nothing import Nothing
from ._view import (
    Changes,
    Dispatch,
    Due,
    Sweep,
    TaskRecord,
    View,
    cancellation_due_at,
    matches,
    promise_due_at,
    schedule_due_at,
    task_due_at,
)


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


RecordT = TypeVar("RecordT")
IdentifiedT = TypeVar("IdentifiedT", bound=_Identified)


@final
@define
class _Pairs:
    """Pairs that were added (True) or removed (False), findable by their first half."""

    changed: dict[tuple[str, str], bool]
    _by_first: dict[str, dict[str, bool]] = field(factory=dict, init=False)

    def set(self, first: str, second: str, present: bool) -> None:
        """Add or remove a pair."""
        self.changed[first, second] = present
        self._by_first.setdefault(first, {})[second] = present

    def over(self, first: str, below: Collection[str]) -> Collection[str]:
        """Return the second halves for `first`, given those below, ordered."""
        changed = self._by_first.get(first)
        if changed is None:
            return below
        kept = {second for second in below if second not in changed}
        return sorted(kept.union(second for second, present in changed.items() if present))


@final
@define
class Draft:
    """Records as they will be once `changes` is stored."""

    _below: View
    changes: Changes = field(factory=Changes, init=False)
    _branches: dict[str, set[str]] = field(factory=dict, init=False)  # ids of changed promises
    _children: dict[str, set[str]] = field(factory=dict, init=False)  # likewise
    _callbacks: _Pairs = field(init=False)
    _failure_callbacks: _Pairs = field(init=False)
    _listeners: _Pairs = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._follow_pairs()

    def _follow_pairs(self) -> None:
        self._callbacks = _Pairs(self.changes.callbacks)
        self._failure_callbacks = _Pairs(self.changes.failure_callbacks)
        self._listeners = _Pairs(self.changes.listeners)

    # --- Reading ----------------------------------------------------------------------------------

    def promise(self, id: str) -> Promise | None:
        """Return a promise."""
        return self.changes.promises.get(id) or self._below.promise(id)

    def task(self, id: str) -> TaskRecord | None:
        """Return a task."""
        return self.changes.tasks.get(id) or self._below.task(id)

    def schedule(self, id: str) -> Schedule | None:
        """Return a schedule."""
        if id in self.changes.schedules:
            return self.changes.schedules[id]
        return self._below.schedule(id)

    def awaiters(self, awaited: str) -> Collection[str]:
        """Return the ids of the tasks that wait for a promise, ordered."""
        return self._callbacks.over(awaited, self._below.awaiters(awaited))

    def failure_awaiters(self, awaited: str) -> Collection[str]:
        """Return the ids of the tasks that wait for a promise to fail, ordered. They may be awaiters too."""
        return self._failure_callbacks.over(awaited, self._below.failure_awaiters(awaited))

    def listeners(self, id: str) -> Collection[str]:
        """Return the addresses to be told when a promise settles, ordered."""
        return self._listeners.over(id, self._below.listeners(id))

    def branch(self, branch: str) -> Sequence[Promise]:
        """Return all promises whose tag `resonate:branch` is `branch`, ordered by id."""
        below = self._below.branch(branch)
        changed = self._branches.get(branch)
        if not changed:
            return below
        promises = {promise.id: promise for promise in below}
        promises.update((id, self.changes.promises[id]) for id in changed)
        return [promises[id] for id in sorted(promises)]

    def children(self, parent: str, after: str = "", limit: int | None = None) -> Sequence[Promise]:
        """Return the promises whose tag `resonate:parent` is `parent`, from after `after`, ordered by id."""
        below = self._below.children(parent, after, limit)
        changed = self._children.get(parent)
        if not changed:
            return below
        promises = {promise.id: promise for promise in below}
        promises.update((id, self.changes.promises[id]) for id in changed if id > after)
        return [promises[id] for id in sorted(promises)[:limit]]

    def sweeps(self, limit: int) -> Sequence[tuple[str, Sweep]]:
        """Return up to `limit` promises whose children are to be cancelled, the last ids first."""
        changed = self.changes.sweeps
        below = self._below.sweeps(limit + len(changed))
        if not changed:
            return below
        merged: dict[str, Sweep | None] = {**dict(below), **changed}
        left = [(id, sweep) for id, sweep in merged.items() if sweep is not None]
        return sorted(left, key=itemgetter(0), reverse=True)[:limit]

    def scan_promises(self, after: str, tags: Mapping[str, str]) -> Iterator[Promise]:
        """Yield the promises that carry all `tags` and whose id is greater than `after`, ordered by id."""
        below = self._below.scan_promises(after, tags)
        changed = self.changes.promises
        return _merged(below, after, changed, lambda promise: matches(promise.tags, tags))

    def scan_tasks(self, after: str, state: TaskState | None = None) -> Iterator[TaskRecord]:
        """Yield the tasks (those stored in `state`) whose id is greater than `after`, ordered by id."""
        below = self._below.scan_tasks(after, state)
        return _merged(below, after, self.changes.tasks, lambda task: state in {None, task.state})

    def scan_schedules(self, after: str, tags: Mapping[str, str]) -> Iterator[Schedule]:
        """Yield the schedules whose promises carry all `tags`, ordered by id, from after `after`."""
        below = self._below.scan_schedules(after, tags)
        changed = self.changes.schedules
        return _merged(below, after, changed, lambda schedule: matches(schedule.promise_tags, tags))

    def due(self, now: int, limit: int) -> Due:
        """Return what is due by `now`, at most `limit` of each kind."""
        changes = self.changes
        # Any of what is due below may have been changed here, so ask for that many more.
        most = max(len(changes.promises), len(changes.tasks), len(changes.schedules))
        below = self._below.due(now, limit + most)
        return Due(
            _merged_due(below.promises, changes.promises, promise_due_at, now)[:limit],
            _merged_due(below.tasks, changes.tasks, task_due_at, now)[:limit],
            _merged_due(below.schedules, changes.schedules, schedule_due_at, now)[:limit],
            _merged_due(below.cancellations, changes.tasks, cancellation_due_at, now)[:limit],
        )

    def execute(self, task_id: str) -> Dispatch | None:
        """Return the message to a worker that waits for its delivery."""
        if task_id in self.changes.executes:
            return self.changes.executes[task_id]
        return self._below.execute(task_id)

    def executes(self) -> Iterable[tuple[str, Dispatch]]:
        """Return all messages to workers that wait, by task."""
        waiting: dict[str, Dispatch | None] = {**dict(self._below.executes()), **self.changes.executes}
        return [(id, dispatch) for id, dispatch in waiting.items() if dispatch is not None]

    def unblocks(self) -> Iterable[tuple[str, str]]:
        """Return (promise, address) of all notices to listeners that wait, ordered."""
        changed = self.changes.unblocks
        kept = {pair for pair in self._below.unblocks() if pair not in changed}
        return sorted(kept.union(pair for pair, present in changed.items() if present))

    # --- Writing ----------------------------------------------------------------------------------

    def put_promise(self, promise: Promise) -> None:
        """Store a promise."""
        branch = promise.tags.get(tag.BRANCH)
        if branch is not None:
            self._branches.setdefault(branch, set()).add(promise.id)
        parent = promise.tags.get(tag.PARENT)
        if parent is not None:
            self._children.setdefault(parent, set()).add(promise.id)
        self.changes.promises[promise.id] = promise

    def put_task(self, task: TaskRecord) -> None:
        """Store a task. Unless it is pending, a message about it must no longer be sent.

        A message about an older version need not be looked for: only acquiring changes the version.
        """
        self.changes.tasks[task.id] = task
        if task.state is not TaskState.PENDING:
            self.changes.executes[task.id] = None

    def put_schedule(self, schedule: Schedule) -> None:
        """Store a schedule."""
        self.changes.schedules[schedule.id] = schedule

    def delete_schedule(self, id: str) -> None:
        """Remove a schedule."""
        self.changes.schedules[id] = None

    def add_callback(self, awaited: str, awaiter: str) -> None:
        """Have a task woken when a promise settles."""
        self._callbacks.set(awaited, awaiter, present=True)

    def remove_callback(self, awaited: str, awaiter: str) -> None:
        """Forget that a task waits for a promise."""
        self._callbacks.set(awaited, awaiter, present=False)

    def add_failure_callback(self, awaited: str, awaiter: str) -> None:
        """Have a task woken when a promise fails."""
        self._failure_callbacks.set(awaited, awaiter, present=True)

    def remove_failure_callback(self, awaited: str, awaiter: str) -> None:
        """Forget that a task waits for a promise to fail."""
        self._failure_callbacks.set(awaited, awaiter, present=False)

    def add_listener(self, id: str, address: str) -> None:
        """Have an address told when a promise settles."""
        self._listeners.set(id, address, present=True)

    def remove_listener(self, id: str, address: str) -> None:
        """Forget that an address is to be told."""
        self._listeners.set(id, address, present=False)

    def put_sweep(self, id: str, sweep: Sweep) -> None:
        """Note how far the children of a promise have been cancelled."""
        self.changes.sweeps[id] = sweep

    def remove_sweep(self, id: str) -> None:
        """Note that all children of a promise have been cancelled."""
        self.changes.sweeps[id] = None

    def put_cancel(self, task_id: str) -> None:
        """Have the holder of a task told that it is to be cancelled."""
        self.changes.cancels.add(task_id)

    def note_suspended(self, task_id: str, pid: str | None) -> None:
        """Note which process suspended a task, None if it was taken since."""
        self.changes.suspended_by[task_id] = pid

    def note_heard(self, task_id: str) -> None:
        """Note that the holder of a task knows that it has it."""
        self.changes.heard.add(task_id)

    def put_execute(self, task_id: str, dispatch: Dispatch) -> None:
        """Put a message to a worker into the outbox, in the place of an older one for the same task."""
        self.changes.executes[task_id] = dispatch

    def remove_execute(self, task_id: str) -> None:
        """Take a message to a worker out of the outbox."""
        self.changes.executes[task_id] = None

    def put_unblock(self, promise_id: str, address: str) -> None:
        """Put a notice to a listener into the outbox."""
        self.changes.unblocks[promise_id, address] = True

    def remove_unblock(self, promise_id: str, address: str) -> None:
        """Take a notice to a listener out of the outbox."""
        self.changes.unblocks[promise_id, address] = False

    def reset(self) -> None:
        """Drop everything."""
        self._below = Nothing()
        self.changes = Changes(reset=True, now=self.changes.now)
        self._branches = {}
        self._children = {}
        self._follow_pairs()


def _merged(
    below: Iterable[IdentifiedT],
    after: str,
    changed: Mapping[str, IdentifiedT] | Mapping[str, IdentifiedT | None],
    is_wanted: Callable[[IdentifiedT], bool],
) -> Iterator[IdentifiedT]:
    """Merge a scan of what is below with those changed records that belong into it, ordered by id."""
    unchanged = (record for record in below if record.id not in changed)
    above = [changed[id] for id in sorted(changed) if id > after]
    wanted = [record for record in above if record is not None and is_wanted(record)]
    return heapq.merge(unchanged, wanted, key=lambda record: record.id)


def _merged_due(
    below: Iterable[tuple[int, str]],
    changed: Mapping[str, RecordT] | Mapping[str, RecordT | None],
    due_at: Callable[[RecordT], int | None],
    now: int,
) -> list[tuple[int, str]]:
    """Merge what is due below with those changed records that are due, earliest first."""
    merged = [entry for entry in below if entry[1] not in changed]
    for id, record in changed.items():
        at = None if record is None else due_at(record)
        if at is not None and at <= now:
            merged.append((at, id))
    merged.sort()
    return merged
