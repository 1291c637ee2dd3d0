"""The machine: asking for the end of a promise, and what becomes of the task that executes it."""

from collections.abc import Mapping

import pytest

from resonate_trio.protocol import (
    EMPTY,
    Beaten,
    CancelledTask,
    Envelope,
    Execute,
    Fenced,
    PromiseCancel,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    Suspended,
    Task,
    TaskContinue,
    TaskFence,
    TaskFulfill,
    TaskHalt,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskState,
    TaskSuspend,
    Value,
)
from server_ref.machine import Draft, Outgoing, Settings, perform, recover

from .machine_kit import LOCAL, START, TARGET, TIMER, Machine, create, head, suspend

WHY = Value(None, "why")
BUDGET = 2_000


def cancel(machine: Machine, id: str, budget: int = BUDGET, value: Value = WHY) -> PromiseState:
    """Ask that a promise be cancelled, and return the state that it has after that."""
    return machine.ok(PromiseCancel(id, budget, value), PromiseReply).promise.state


def dispatched(messages: list[Outgoing]) -> list[Execute]:
    """Return the messages to workers."""
    return [item.message for item in messages if isinstance(item.message, Execute)]


def suspended(machine: Machine, id: str, *awaited: str, version: int = 1, knows: bool = False) -> Suspended:
    """Suspend a task, and return the reply."""
    return machine.ok(
        TaskSuspend(id, version, suspend(id, *awaited).actions, knows_cancelled=knows),
        Suspended,
    )


def started(machine: Machine) -> None:
    """Have a task acquired that has called another one."""
    machine.start("root")
    machine.create("root:1")
    machine.fire()


# --- Without a task -------------------------------------------------------------------------------


def test_an_unknown_promise_cannot_be_cancelled() -> None:
    """There is nothing to end."""
    assert "does not exist" in Machine().refused(404, PromiseCancel("none", 1))


@pytest.mark.parametrize("tags", [LOCAL, TIMER, {**TARGET, **TIMER}, {}])
def test_a_promise_without_a_task_is_settled_at_once(tags: Mapping[str, str]) -> None:
    """With the value of the request: who asked, and why."""
    machine = Machine()
    machine.create("p", tags)
    machine.now += 5
    assert cancel(machine, "p") is PromiseState.CANCELED
    promise = machine.promise("p")
    assert (promise.value, promise.settled_at) == (WHY, START + 5)


def test_who_waits_for_a_promise_without_a_task_is_woken_by_its_cancellation() -> None:
    """As by any other outcome."""
    machine = Machine()
    machine.start("root")
    machine.create("root:1", {})
    machine.suspend("root", "root:1")
    cancel(machine, "root:1")
    assert machine.task("root").state is TaskState.PENDING


@pytest.mark.parametrize("state", [PromiseState.RESOLVED, PromiseState.CANCELED])
def test_a_settled_promise_stays_as_it_is(state: PromiseState) -> None:
    """The reply shows it."""
    machine = Machine()
    machine.create("p")
    before = machine.settle("p", state)
    assert machine.ok(PromiseCancel("p", 1, WHY), PromiseReply).promise == before
    assert machine.task("p").cancelled_at is None


def test_a_promise_whose_deadline_has_passed_stays_as_it_is() -> None:
    """Whatever the store says."""
    machine = Machine()
    machine.create("p", timeout_at=START + 1)
    machine.now += 1
    assert cancel(machine, "p") is PromiseState.TIMEDOUT


# --- With a task ----------------------------------------------------------------------------------


def test_a_pending_task_is_dispatched_as_cancelled_at_once() -> None:
    """Its promise stays pending: the task is fulfilled by its worker, as any other."""
    machine = Machine()
    machine.create("t")
    machine.fire()
    machine.now += 1
    assert cancel(machine, "t") is PromiseState.PENDING
    assert dispatched(machine.fire()) == [Execute("t", 0, cancelled_at=START + 1)]


def test_a_cancelled_task_is_dispatched_whatever_its_delay() -> None:
    """Nor does the delay hold when it is released, continued, or found after a restart."""
    machine = Machine()
    machine.create("t", {**TARGET, "resonate:delay": str(START + 50_000)})
    assert machine.fire() == []
    cancel(machine, "t", 40_000)
    assert len(dispatched(machine.fire())) == 1
    machine.acquire("t", 0)
    machine.done(TaskRelease("t", 1))
    assert len(dispatched(machine.fire())) == 1
    machine.done(TaskHalt("t"))
    machine.done(TaskContinue("t"))
    assert len(dispatched(machine.fire())) == 1
    machine.turn(lambda draft: recover(machine.now, draft))
    assert len(dispatched(machine.fire())) == 1


def test_a_suspended_task_is_woken() -> None:
    """Whatever it waits for."""
    machine = Machine()
    started(machine)
    machine.suspend("root", "root:1")
    cancel(machine, "root")
    assert machine.task("root") == Task("root", TaskState.PENDING, 1, cancelled_at=START)
    assert dispatched(machine.fire()) == [Execute("root", 1, cancelled_at=START)]


def test_a_halted_task_goes_on() -> None:
    """So that it can clean up; it can be halted again."""
    machine = Machine()
    machine.create("t")
    machine.done(TaskHalt("t"))
    cancel(machine, "t")
    assert dispatched(machine.fire()) == [Execute("t", 0, cancelled_at=START)]
    machine.done(TaskHalt("t"))
    cancel(machine, "t")
    assert machine.task("t").state is TaskState.HALTED


def test_the_first_request_stays() -> None:
    """Its instant, its budget and its value; asking again changes nothing."""
    machine = Machine()
    machine.create("t")
    cancel(machine, "t")
    before = machine.record("t")
    machine.now += 1
    cancel(machine, "t", 1, Value(None, "other"))
    assert machine.record("t") == before


def test_a_task_is_lent_as_cancelled() -> None:
    """However often, and a search shows it too."""
    machine = Machine()
    machine.create("t")
    cancel(machine, "t")
    assert machine.acquire("t", 0).task.cancelled_at == START
    machine.done(TaskRelease("t", 1))
    assert machine.acquire("t", 1).task.cancelled_at == START
    assert machine.task("t").cancelled_at == START


def test_a_task_that_ended_is_no_longer_to_be_cancelled() -> None:
    """Nothing is left to be asked."""
    machine = Machine()
    machine.create("t")
    cancel(machine, "t")
    machine.settle("t")
    assert machine.task("t") == Task("t", TaskState.FULFILLED, 0)
    machine.now += BUDGET
    assert machine.fire() == []
    assert machine.promise("t").state is PromiseState.RESOLVED


# --- The holder hears of it -----------------------------------------------------------------------


def told(machine: Machine, id: str) -> set[str]:
    """Ask that a promise be cancelled, and return the tasks whose holders are to be told at once."""

    def step(draft: Draft) -> set[str]:
        perform(PromiseCancel(id, BUDGET, WHY), machine.now, draft)
        return draft.changes.cancels

    return machine.turn(step)


def test_the_holder_is_told_at_once() -> None:
    """By the first request only, and its lease is not touched."""
    machine = Machine()
    started(machine)
    before = machine.record("root")
    assert told(machine, "root") == {"root"}
    assert told(machine, "root") == set()
    assert told(machine, "root:1") == set()
    after = machine.record("root")
    assert (after.state, after.pid, after.due_at) == (before.state, before.pid, before.due_at)
    assert "root" not in [message.id for message in dispatched(machine.fire())]


def test_every_heartbeat_tells_the_holder() -> None:
    """And nobody else."""
    machine = Machine()
    started(machine)
    cancel(machine, "root")
    machine.now += 1
    for _ in range(2):
        beaten = machine.ok(TaskHeartbeat("p1", [TaskRef("root", 1)]), Beaten)
        assert beaten == Beaten(cancelled=(CancelledTask("root", START),))
    assert machine.ok(TaskHeartbeat("p2", [TaskRef("root", 1)]), Beaten).cancelled == ()


def test_every_fence_tells_the_holder() -> None:
    """Beside the reply to what it wraps."""
    machine = Machine()
    started(machine)
    fence = TaskFence("root", 1, Envelope(head(), create("root:2", LOCAL)))
    assert machine.ok(fence, Fenced).cancelled_at is None
    cancel(machine, "root")
    assert machine.ok(fence, Fenced).cancelled_at == START


def test_a_holder_that_suspends_without_having_heard_is_asked_again() -> None:
    """As if the request had come just after: the task is due at once, and who takes it next knows."""
    machine = Machine()
    started(machine)
    cancel(machine, "root")
    assert suspended(machine, "root", "root:1") == Suspended(cancelled_at=START)
    assert machine.task("root").state is TaskState.PENDING
    assert dispatched(machine.fire()) == [Execute("root", 1, cancelled_at=START)]
    machine.acquire("root", 1)
    assert suspended(machine, "root", "root:1", version=2) == Suspended(cancelled_at=START)
    assert machine.task("root").state is TaskState.SUSPENDED
    machine.settle("root:1")
    assert machine.task("root") == Task("root", TaskState.PENDING, 2, 1, cancelled_at=START)


def test_a_holder_that_says_it_has_heard_suspends() -> None:
    """It waits for what it has cancelled itself."""
    machine = Machine()
    started(machine)
    cancel(machine, "root")
    assert suspended(machine, "root", "root:1", knows=True) == Suspended(cancelled_at=START)
    assert machine.task("root").state is TaskState.SUSPENDED


def test_a_holder_that_took_the_task_as_cancelled_suspends() -> None:
    """The reply to that has told it."""
    machine = Machine()
    machine.create("root")
    machine.create("root:1")
    cancel(machine, "root")
    machine.acquire("root", 0)
    suspended(machine, "root", "root:1")
    assert machine.task("root").state is TaskState.SUSPENDED


def test_a_task_that_goes_on_is_told_too() -> None:
    """Status 300 has both: what is settled, and since when the task is cancelled."""
    machine = Machine()
    started(machine)
    settled = machine.settle("root:1")
    cancel(machine, "root")
    outcome = machine.do(suspend("root", "root:1"))
    assert (outcome.status, outcome.data) == (300, Suspended([settled], START))


def test_a_request_within_a_fence_needs_the_task_to_be_held() -> None:
    """Guard and request are one step; the task's own promise is not to be cancelled in it."""
    machine = Machine()
    started(machine)

    def fence(id: str, version: int) -> TaskFence:
        return TaskFence("root", version, Envelope(head(), PromiseCancel(id, BUDGET, WHY)))

    machine.refused(409, fence("root:1", 2))
    machine.refused(400, fence("root", 1))
    assert machine.task("root:1").cancelled_at is None
    assert machine.ok(fence("none", 1), Fenced).action.status == 404
    reply = machine.ok(fence("root:1", 1), Fenced).action
    assert (reply.status, reply.data) == (200, PromiseReply(machine.promise("root:1")))
    assert machine.task("root:1").cancelled_at == START


# --- The value ------------------------------------------------------------------------------------


def ended(machine: Machine, id: str, state: PromiseState, value: Value) -> Value:
    """Have the holder of a task fulfill it, and return the value that its promise has then."""
    machine.done(TaskFulfill(id, 1, Envelope(head(), PromiseSettle(id, state, value))))
    return machine.promise(id).value


@pytest.mark.parametrize(
    ("state", "value", "kept"),
    [
        (PromiseState.CANCELED, EMPTY, WHY),
        (PromiseState.CANCELED, Value(None, "mine"), Value(None, "mine")),
        (PromiseState.RESOLVED, EMPTY, EMPTY),
        (PromiseState.REJECTED, EMPTY, EMPTY),
    ],
)
def test_a_cancelled_promise_says_who_asked(state: PromiseState, value: Value, kept: Value) -> None:
    """Where its worker says nothing, and only if it ends as cancelled."""
    machine = Machine()
    started(machine)
    cancel(machine, "root")
    assert ended(machine, "root", state, value) == kept


def test_settling_from_outside_says_who_asked_too() -> None:
    """But not without a request."""
    machine = Machine()
    machine.create("t")
    machine.create("u")
    cancel(machine, "t")
    assert machine.settle("t", PromiseState.CANCELED).value == WHY
    assert machine.settle("u", PromiseState.CANCELED).value == EMPTY


# --- Without the extension ------------------------------------------------------------------------


def test_without_the_extension_it_is_not_offered() -> None:
    """Nor within a fence; and what an earlier run was asked for is still done, but not shown in heartbeats."""
    machine = Machine()
    started(machine)
    cancel(machine, "root")
    machine.settings = Settings(extensions=frozenset())
    machine.refused(501, PromiseCancel("root:1", 1))
    fence = TaskFence("root", 1, Envelope(head(), PromiseCancel("root:1", 1)))
    assert machine.ok(fence, Fenced).action.status == 501
    assert machine.ok(TaskHeartbeat("p1", [TaskRef("root", 1)]), Beaten) == Beaten()
    machine.now += BUDGET
    machine.fire()
    assert machine.promise("root").state is PromiseState.CANCELED
