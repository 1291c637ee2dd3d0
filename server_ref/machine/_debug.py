"""The debug requests that are about records. Those about the clock are the engine's."""

from resonate_trio.protocol import (
    Callback,
    DebugReset,
    DebugSnap,
    Empty,
    Listener,
    OutgoingMessage,
    PromiseTimeout,
    Snapshot,
    TaskState,
    TaskTimeout,
    message_to_wire,
)

from ._draft import Draft
from ._outbox import waiting
from ._outcome import Outcome, done
from ._view import TaskRecord, View

_DISPATCH, _LEASE = 0, 1


def perform_reset(_request: DebugReset, _now: int, draft: Draft) -> Outcome:
    """Perform debug.reset."""
    draft.reset()
    return done(Empty())


def perform_snap(_request: DebugSnap, _now: int, draft: Draft) -> Outcome:
    """Perform debug.snap: records as they are stored, not projected to an instant."""
    return done(snapshot(draft))


def snapshot(view: View) -> Snapshot:
    """Return everything that is stored, each list ordered."""
    promises = list(view.scan_promises("", {}))
    tasks = list(view.scan_tasks(""))
    return Snapshot(
        promises=promises,
        promise_timeouts=[PromiseTimeout(p.id, p.timeout_at) for p in promises if p.is_pending],
        callbacks=[Callback(awaiter, p.id) for p in promises for awaiter in _waiting_for(view, p.id)],
        listeners=[Listener(p.id, address) for p in promises for address in view.listeners(p.id)],
        tasks=[task.to_wire() for task in tasks],
        task_timeouts=[timeout for task in tasks for timeout in _timeouts(task)],
        messages=[OutgoingMessage(item.address, message_to_wire(item.message)) for item in waiting(view)],
    )


def _waiting_for(view: View, id: str) -> list[str]:
    return sorted({*view.awaiters(id), *view.failure_awaiters(id)})


def _timeouts(task: TaskRecord) -> list[TaskTimeout]:
    if task.due_at is None:
        return []
    return [TaskTimeout(task.id, _LEASE if task.state is TaskState.ACQUIRED else _DISPATCH, task.due_at)]
