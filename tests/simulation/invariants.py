"""What must be true of the server's records after every step, whatever happens."""

from collections.abc import Callable, Mapping
from typing import Final, final

from attrs import define, field

from resonate_trio.protocol import Promise, Request, TaskState, tags
from server_ref.machine import TaskRecord

MOVES: Final[Mapping[TaskState, frozenset[TaskState]]] = {
    TaskState.PENDING: frozenset({TaskState.ACQUIRED, TaskState.FULFILLED}),
    TaskState.ACQUIRED: frozenset({TaskState.PENDING, TaskState.SUSPENDED, TaskState.FULFILLED}),
    TaskState.SUSPENDED: frozenset({TaskState.PENDING, TaskState.FULFILLED}),
    TaskState.FULFILLED: frozenset(),
    TaskState.HALTED: frozenset(),
}
"""Where a task can go between two looks at it, at its next version or at this one."""


@final
@define(eq=False)
class Watch:
    """Compares the records with those of the step before.

    Attributes:
        steps: how often it has looked.
        troubles: what was wrong.
        cancelled_at: since when (ms) a task is to be cancelled, by id.
    """

    promises: Callable[[], Mapping[str, Promise]]
    tasks: Callable[[], Mapping[str, TaskRecord]]
    now_ms: Callable[[], int]
    steps: int = field(default=0, init=False)
    troubles: list[str] = field(factory=list, init=False)
    cancelled_at: dict[str, int] = field(factory=dict, init=False)
    _promises: dict[str, Promise] = field(factory=dict, init=False)
    _tasks: dict[str, TaskRecord] = field(factory=dict, init=False)
    _holders: dict[tuple[str, int], str | None] = field(factory=dict, init=False)
    _children: dict[str, list[str]] = field(factory=dict, init=False)

    def passes(self, process: str, request: Request, side: str) -> bool:
        """Look, at a boundary of a worker; it does not crash there on our account."""
        self.look()
        return False

    def look(self) -> None:
        """Look at what has changed."""
        self.steps += 1
        before, after = self._promises, dict(self.promises())
        changed = [promise for id, promise in after.items() if before.get(id) is not promise]
        for promise in changed:
            self._check_promise(before.get(promise.id), promise)
        for promise in changed:
            if not promise.is_pending:
                self._check_joined(promise)
        self._promises = after
        for id, task in self.tasks().items():
            if self._tasks.get(id) is not task:
                self._check_task(self._tasks.get(id), task)
                self._tasks[id] = task

    def _check_promise(self, before: Promise | None, after: Promise) -> None:
        id = after.id
        if before is None:
            self._check_new(after)
        elif not before.is_pending and before != after:
            self._note(f"the outcome of {id} has changed from {before.state} to {after.state}")
        elif (before.timeout_at, before.created_at, before.param, before.tags) != (
            after.timeout_at,
            after.created_at,
            after.param,
            after.tags,
        ):
            self._note(f"the promise {id} has changed")

    def _check_new(self, promise: Promise) -> None:
        parent = promise.tags.get(tags.PARENT)
        if parent in {None, promise.id} or promise.tags.get(tags.DETACHED) == "true":
            return
        assert parent is not None
        self._children.setdefault(parent, []).append(promise.id)
        above = self.promises().get(parent)
        if above is None:
            self._note(f"{promise.id} is stored, and the invocation that made it is not")
        elif self._had_ended(parent) and promise.is_pending and not may_stay(promise):
            self._note(f"{promise.id} was made after {parent} had ended")
        elif above.timeout_at < promise.timeout_at:
            self._note(f"{promise.id} may outlive the invocation that made it")

    def _had_ended(self, id: str) -> bool:
        before = self._promises.get(id)
        return before is not None and not before.is_pending

    def _check_joined(self, parent: Promise) -> None:
        """See that nothing is pending below what has ended, except what was detached."""
        for id in self._children.get(parent.id, ()):
            child = self.promises()[id]
            if child.is_pending and child.timeout_at > self.now_ms() and not may_stay(child):
                self._note(f"{id} is pending, and {parent.id} has ended as {parent.state}")

    def _check_task(self, before: TaskRecord | None, after: TaskRecord) -> None:
        id = after.id
        if before is not None:
            if after.version < before.version:
                self._note(f"the version of the task {id} went from {before.version} to {after.version}")
            if after.version == before.version and after.state is not before.state:
                self._check_move(before, after)
            is_over = after.state is TaskState.FULFILLED
            if before.cancelled_at is not None and after.cancelled_at != before.cancelled_at and not is_over:
                self._note(f"the request to cancel {id} was forgotten")
        if after.cancelled_at is not None:
            self.cancelled_at[id] = after.cancelled_at
        if after.state is TaskState.HALTED:
            self._note(f"the task {id} is halted")
        if after.state is TaskState.ACQUIRED:
            holder = self._holders.setdefault((id, after.version), after.pid)
            if holder != after.pid:
                self._note(f"{holder} and {after.pid} hold the task {id} at version {after.version}")
        if (after.state is TaskState.FULFILLED) != (not self.promises()[id].is_pending):
            self._note(f"the task {id} is {after.state}, its promise is {self.promises()[id].state}")

    def _check_move(self, before: TaskRecord, after: TaskRecord) -> None:
        # Between two looks there may be several moves, but without another version no acquisition.
        back = {TaskState.PENDING, TaskState.SUSPENDED, TaskState.FULFILLED}
        allowed = back if before.state is TaskState.ACQUIRED else MOVES[before.state] - {TaskState.ACQUIRED}
        if after.state not in allowed:
            self._note(f"the task {before.id} went from {before.state} to {after.state} at one version")

    def _note(self, trouble: str) -> None:
        if trouble not in self.troubles:
            self.troubles.append(trouble)


def may_stay(child: Promise) -> bool:
    """Tell whether a promise may be pending when the invocation that made it has ended.

    One that is settled from outside belongs to whoever does that. The timer of a scope is settled when the scope
    is left, but nobody waits for that: after a crash at that moment it runs out by itself.
    """
    return child.tags.get(tags.EXTERNAL) == "true" or tags.is_timer(child.tags)
