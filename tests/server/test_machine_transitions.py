"""The machine: the table of what may happen to a task."""

import pytest
from attrs import evolve

from resonate_trio.protocol import EMPTY, TaskState
from server_ref.machine import Cancellation, TaskRecord
from server_ref.machine._transitions import (
    TRANSITIONS,
    Event,
    acquired,
    allows,
    cancelled,
    continued,
    dispatched,
    extended,
    fulfilled,
    halted,
    released,
    suspended,
    woken,
)

CANCELLATION = Cancellation(at=8, until=20, value=EMPTY, version=3)
MOVES = {
    Event.ACQUIRE: lambda task: acquired(task, pid="p", ttl_ms=5, until=15),
    Event.EXTEND: lambda task: extended(task, until=15),
    Event.RELEASE: lambda task: released(task, due_at=10),
    Event.SUSPEND: suspended,
    Event.WAKE: lambda task: woken(task, by="x", due_at=10),
    Event.HALT: halted,
    Event.CONTINUE: lambda task: continued(task, due_at=10),
    Event.DISPATCH: lambda task: dispatched(task, again_at=15),
    Event.CANCEL: lambda task: cancelled(task, CANCELLATION, due_at=10),
    Event.FULFILL: fulfilled,
}


def in_state(state: TaskState) -> TaskRecord:
    """Return a task in a state, as it could be stored."""
    is_held = state is TaskState.ACQUIRED
    due_at = 7 if state in {TaskState.PENDING, TaskState.ACQUIRED} else None
    return TaskRecord("t", state, 3, (), 5 if is_held else None, "p" if is_held else None, due_at)


every_case = pytest.mark.parametrize(
    ("event", "state"), [(event, state) for event in Event for state in TaskState]
)


@every_case
def test_a_transition_follows_the_table(event: Event, state: TaskState) -> None:
    """What the table allows leads where it says; what it does not allow raises, and says why."""
    task = in_state(state)
    if allows(event, task):
        assert MOVES[event](task).state is TRANSITIONS[event][state]
    else:
        with pytest.raises(RuntimeError, match=f"cannot {event.value} the task 't': it is {state}"):
            MOVES[event](task)


@every_case
def test_what_a_state_implies_holds_after_every_transition(event: Event, state: TaskState) -> None:
    """Holder and lease while acquired and only then, due while something will happen, version by acquiring."""
    task = in_state(state)
    if not allows(event, task):
        return
    after = MOVES[event](task)
    is_held = after.state is TaskState.ACQUIRED
    assert (after.pid is not None, after.ttl is not None) == (is_held, is_held)
    assert (after.due_at is not None) == (after.state in {TaskState.PENDING, TaskState.ACQUIRED})
    assert after.version == task.version + (event is Event.ACQUIRE)
    assert not (after.resumes and after.state in {TaskState.SUSPENDED, TaskState.FULFILLED})


@pytest.mark.parametrize("state", [TaskState.PENDING, TaskState.ACQUIRED, TaskState.HALTED])
def test_what_woke_a_task_is_noted_once(state: TaskState) -> None:
    """Hearing of the same promise again adds nothing."""
    once = woken(in_state(state), by="x", due_at=10)
    assert once.resumes == ("x",)
    assert woken(once, by="x", due_at=11) == once


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (event, state)
        for event in Event
        for state in TRANSITIONS[event]
        if event not in {Event.FULFILL, Event.CANCEL}
    ],
)
def test_a_task_stays_to_be_cancelled_until_it_ends(event: Event, state: TaskState) -> None:
    """Whatever else happens to it."""
    task = evolve(in_state(state), cancellation=CANCELLATION)
    assert MOVES[event](task).cancellation == CANCELLATION
    assert fulfilled(task).cancellation is None


def test_fulfilled_is_final() -> None:
    """Nothing leads out of it."""
    leading_out = [
        event for event in Event if TRANSITIONS[event].get(TaskState.FULFILLED) not in {None, TaskState.FULFILLED}
    ]
    assert leading_out == []
