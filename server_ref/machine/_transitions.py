"""All transitions of a task, in one table.

Whether a request may cause one (who holds the task, at which version, whether its promise is pending) is
decided before, by `_tasks` and `_background`. What is not in the table cannot happen: a bug raises.

`due_at` belongs to the state: `pending` is dispatched then, `acquired` loses its lease then, and all
others are left alone. Only acquiring changes the version.
"""

import enum
from collections.abc import Mapping
from typing import Final

from attrs import evolve

from resonate_trio.protocol import TaskState

from ._view import Cancellation, TaskRecord


class Event(enum.Enum):
    """What happens to a task."""

    ACQUIRE = "acquire"
    EXTEND = "extend"
    RELEASE = "release"
    SUSPEND = "suspend"
    WAKE = "wake"
    HALT = "halt"
    CONTINUE = "continue"
    DISPATCH = "dispatch"
    CANCEL = "cancel"
    FULFILL = "fulfill"


_PENDING, _ACQUIRED, _SUSPENDED, _HALTED, _FULFILLED = TaskState

TRANSITIONS: Final[Mapping[Event, Mapping[TaskState, TaskState]]] = {
    Event.ACQUIRE: {_PENDING: _ACQUIRED},
    Event.EXTEND: {_ACQUIRED: _ACQUIRED},
    Event.RELEASE: {_ACQUIRED: _PENDING},
    Event.SUSPEND: {_ACQUIRED: _SUSPENDED},
    Event.WAKE: {_SUSPENDED: _PENDING, _PENDING: _PENDING, _ACQUIRED: _ACQUIRED, _HALTED: _HALTED},
    Event.HALT: {_PENDING: _HALTED, _ACQUIRED: _HALTED, _SUSPENDED: _HALTED, _HALTED: _HALTED},
    Event.CONTINUE: {_HALTED: _PENDING},
    Event.DISPATCH: {_PENDING: _PENDING},
    Event.CANCEL: {_PENDING: _PENDING, _ACQUIRED: _ACQUIRED, _SUSPENDED: _PENDING, _HALTED: _PENDING},
    Event.FULFILL: dict.fromkeys(TaskState, _FULFILLED),
}


def allows(event: Event, task: TaskRecord) -> bool:
    """Tell whether `event` may happen to a task in the state it is in."""
    return task.state in TRANSITIONS[event]


def _next(event: Event, task: TaskRecord) -> TaskState:
    state = TRANSITIONS[event].get(task.state)
    if state is None:
        raise RuntimeError(f"cannot {event.value} the task {task.id!r}: it is {task.state}")
    return state


def created(id: str, *, due_at: int) -> TaskRecord:
    """Return a new task, dispatched at `due_at`."""
    return TaskRecord(id, TaskState.PENDING, 0, due_at=due_at)


def acquired(task: TaskRecord, *, pid: str, ttl_ms: int, until: int) -> TaskRecord:
    """Lend the task to `pid`. What has woken it is known to the reply, and forgotten here."""
    state = _next(Event.ACQUIRE, task)
    return TaskRecord(task.id, state, task.version + 1, (), ttl_ms, pid, until, task.cancellation)


def extended(task: TaskRecord, *, until: int) -> TaskRecord:
    """Let the lease last until then."""
    return evolve(task, state=_next(Event.EXTEND, task), due_at=until)


def released(task: TaskRecord, *, due_at: int) -> TaskRecord:
    """Take the task back: its holder gave it up, or lost it."""
    return evolve(task, state=_next(Event.RELEASE, task), ttl=None, pid=None, due_at=due_at)


def suspended(task: TaskRecord) -> TaskRecord:
    """Let the task wait, held by nobody."""
    return TaskRecord(task.id, _next(Event.SUSPEND, task), task.version, cancellation=task.cancellation)


def woken(task: TaskRecord, *, by: str, due_at: int) -> TaskRecord:
    """Note that the awaited promise `by` has settled; a suspended task goes on."""
    state = _next(Event.WAKE, task)
    if task.state is TaskState.SUSPENDED:
        return evolve(task, state=state, resumes=(by,), due_at=due_at)
    return task if by in task.resumes else evolve(task, resumes=(*task.resumes, by))


def up_to_date(task: TaskRecord) -> TaskRecord:
    """Note that the holder has seen what has settled meanwhile."""
    return evolve(task, resumes=())


def halted(task: TaskRecord) -> TaskRecord:
    """Stop the task until it is continued."""
    return evolve(task, state=_next(Event.HALT, task), ttl=None, pid=None, due_at=None)


def continued(task: TaskRecord, *, due_at: int) -> TaskRecord:
    """Let a halted task go on."""
    return evolve(task, state=_next(Event.CONTINUE, task), due_at=due_at)


def dispatched(task: TaskRecord, *, again_at: int) -> TaskRecord:
    """Note that a message was sent, and when to send it again."""
    return evolve(task, state=_next(Event.DISPATCH, task), due_at=again_at)


def cancelled(task: TaskRecord, cancellation: Cancellation, *, due_at: int) -> TaskRecord:
    """Note that the task is to be cancelled. Unless somebody holds it, it goes on, whatever it waited for."""
    state = _next(Event.CANCEL, task)
    if state is TaskState.PENDING:
        return evolve(task, state=state, cancellation=cancellation, due_at=due_at)
    return evolve(task, state=state, cancellation=cancellation)


def fulfilled(task: TaskRecord) -> TaskRecord:
    """End the task: its promise is settled."""
    return TaskRecord(task.id, _next(Event.FULFILL, task), task.version)
