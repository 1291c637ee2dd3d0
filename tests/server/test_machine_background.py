"""The machine: what it does by itself, and what follows from a settled promise."""

from typing import Any

import pytest

from resonate_trio.protocol import (
    MAX_MILLIS,
    Execute,
    PromiseRegisterListener,
    PromiseReply,
    PromiseState,
    TaskHalt,
    TaskRelease,
    TaskState,
)
from server_ref.machine import Settings, TaskRecord, handed_over, recover, release_all

from .machine_kit import FAR, GROUP, START, TARGET, TIMER, Machine, fulfill

RETRY = Settings().retry_interval_ms


@pytest.fixture
def machine() -> Machine:
    """Give an empty machine."""
    return Machine()


# --- Dispatch -------------------------------------------------------------------------------------


def test_a_new_task_is_dispatched_to_its_target(machine: Machine) -> None:
    """One message, at its version."""
    machine.create("a")
    (item,) = machine.fire()
    assert (item.key, item.address, item.message) == (("execute", "a", 0), GROUP, Execute("a", 0))
    assert machine.store.outbox() == [item]


def test_a_task_that_nobody_acquires_is_dispatched_again(machine: Machine) -> None:
    """After the retry interval, not before."""
    machine.create("a")
    machine.fire()
    machine.now = START + RETRY - 1
    assert machine.fire() == []
    machine.now = START + RETRY
    assert [item.key for item in machine.fire()] == [("execute", "a", 0)]


def test_a_delayed_task_is_dispatched_at_its_delay(machine: Machine) -> None:
    """Not before."""
    machine.create("a", {**TARGET, "resonate:delay": str(START + 50)})
    machine.now = START + 49
    assert machine.fire() == []
    machine.now = START + 50
    assert len(machine.fire()) == 1


def test_firing_twice_does_nothing_new(machine: Machine) -> None:
    """Each step looks at the state again."""
    machine.create("a")
    machine.create("b", timeout_at=START + 1)
    machine.now += 1
    machine.fire()
    assert machine.fire() == []


# --- Promise timeouts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "state"),
    [({}, PromiseState.TIMEDOUT), (TARGET, PromiseState.TIMEDOUT), (TIMER, PromiseState.RESOLVED)],
)
def test_a_deadline_settles_a_promise(machine: Machine, tags: dict[str, str], state: PromiseState) -> None:
    """Settled at the deadline, however late that is stored, and the task ends."""
    machine.create("a", tags, timeout_at=START + 10)
    machine.now = START + 9
    machine.fire()
    assert machine.promise("a").is_pending
    machine.now = START + 500
    machine.fire()
    stored = machine.turn(lambda draft: draft.promise("a"))
    assert stored is not None
    assert (stored.state, stored.settled_at) == (state, START + 10)
    assert stored == machine.promise("a")
    assert machine.store.outbox() == []


def test_a_deadline_tells_listeners(machine: Machine) -> None:
    """As settling does."""
    machine.create("a", {}, timeout_at=START + 10)
    machine.ok(PromiseRegisterListener("a", GROUP), PromiseReply)
    machine.now = START + 10
    assert [item.key for item in machine.fire()] == [("unblock", "a", GROUP)]


def test_a_deadline_wakes_and_dispatches_the_awaiter_at_once(machine: Machine) -> None:
    """The whole cascade in the turn that sees the deadline."""
    machine.start("root")
    machine.create("root:1", TIMER, timeout_at=START + 10)
    machine.suspend("root", "root:1")
    machine.now = START + 10
    assert [item.key for item in machine.fire()] == [("execute", "root", 1)]
    assert machine.record("root").resumes == ("root:1",)


def test_settling_an_expired_promise_changes_nothing(machine: Machine) -> None:
    """A settle that comes late gets the projected outcome, and the deadline's effects are not lost."""
    machine.start("root")
    machine.create("root:1", timeout_at=START + 10)
    machine.suspend("root", "root:1")
    machine.now = START + 10
    assert machine.settle("root:1").state is PromiseState.TIMEDOUT
    assert machine.record("root").state is TaskState.SUSPENDED
    machine.fire()
    assert machine.record("root").state is TaskState.PENDING


# --- Waking ---------------------------------------------------------------------------------------


def awaiting(machine: Machine, *children: str) -> None:
    """Suspend `root` on promises."""
    machine.start("root")
    for child in children:
        machine.create(child)
    machine.suspend("root", *children)


def test_settling_wakes_a_suspended_awaiter(machine: Machine) -> None:
    """Pending, due now, with what woke it; the callback is used up."""
    awaiting(machine, "root:1")
    machine.now += 5
    machine.settle("root:1")
    assert machine.record("root") == TaskRecord("root", TaskState.PENDING, 1, ("root:1",), due_at=START + 5)
    assert machine.turn(lambda draft: list(draft.awaiters("root:1"))) == []


def test_an_awaiter_that_was_woken_collects_the_others(machine: Machine) -> None:
    """In `pending` each further outcome is added."""
    awaiting(machine, "root:1", "root:2")
    machine.settle("root:2")
    machine.settle("root:1")
    assert machine.record("root").resumes == ("root:2", "root:1")
    assert machine.task("root").resumes == 2


def test_a_holder_collects_outcomes_without_being_disturbed(machine: Machine) -> None:
    """In `acquired` the lease stays as it is."""
    awaiting(machine, "root:1", "root:2")
    machine.settle("root:1")
    machine.acquire("root", 1)
    before = machine.record("root")
    machine.now += 5
    machine.settle("root:2")
    after = machine.record("root")
    assert after.resumes == ("root:2",)
    assert (after.state, after.pid, after.due_at) == (before.state, before.pid, before.due_at)


def test_a_halted_awaiter_collects_outcomes_and_stays(machine: Machine) -> None:
    """It is not dispatched."""
    awaiting(machine, "root:1")
    machine.done(TaskHalt("root"))
    machine.settle("root:1")
    assert machine.record("root") == TaskRecord("root", TaskState.HALTED, 1, ("root:1",))


def test_a_settled_awaiter_is_left_alone(machine: Machine) -> None:
    """Its task stays fulfilled."""
    awaiting(machine, "root:1")
    machine.settle("root")
    machine.settle("root:1")
    assert machine.record("root") == TaskRecord("root", TaskState.FULFILLED, 1)


def test_an_expired_awaiter_is_never_dispatched_again(machine: Machine) -> None:
    """Its own deadline has passed, though that is not stored yet."""
    machine.start("root", timeout_at=START + 10)
    machine.create("root:1")
    machine.suspend("root", "root:1")
    machine.now = START + 10
    machine.settle("root:1")
    assert machine.record("root").state is TaskState.SUSPENDED
    assert machine.fire() == []
    assert machine.record("root").state is TaskState.FULFILLED


# --- Leases ---------------------------------------------------------------------------------------


def test_a_lease_that_is_over_sends_the_task_on(machine: Machine) -> None:
    """Taken back and dispatched in one turn, at the version it had."""
    machine.start("a", ttl_ms=50)
    machine.now = START + 49
    assert machine.fire() == []
    machine.now = START + 50
    assert [item.key for item in machine.fire()] == [("execute", "a", 1)]
    assert machine.record("a") == TaskRecord("a", TaskState.PENDING, 1, due_at=START + 50 + RETRY)


def test_what_settled_meanwhile_outlives_the_lease(machine: Machine) -> None:
    """The next holder gets the resumes of the one that was lost."""
    awaiting(machine, "root:1", "root:2")
    machine.settle("root:1")
    machine.acquire("root", 1, ttl_ms=50)
    machine.settle("root:2")
    machine.now += 50
    machine.fire()
    assert machine.record("root").resumes == ("root:2",)
    assert [p.id for p in machine.acquire("root", 2).preload] == ["root:2"]


def test_a_deadline_goes_before_the_end_of_a_lease(machine: Machine) -> None:
    """When both are past, the task is over, and not dispatched."""
    machine.start("a", ttl_ms=10, timeout_at=START + 20)
    machine.now = START + 20
    assert machine.fire() == []
    assert machine.record("a").state is TaskState.FULFILLED


# --- Limits ---------------------------------------------------------------------------------------


def test_more_than_a_batch_takes_more_turns(machine: Machine) -> None:
    """Each turn handles at most the limit of each kind, and nothing is missed or done twice."""
    machine.settings = Settings(batch_limit=3)
    for n in range(10):
        machine.create(f"task{n}")
        machine.create(f"timer{n}", TIMER, timeout_at=START + 1)
        machine.create(f"expiring{n}", timeout_at=START + 1)
    machine.now += 1
    messages = machine.fire()
    assert sorted(item.key for item in messages) == [("execute", f"task{n}", 0) for n in range(10)]
    assert machine.store.next_due() == START + 1 + RETRY


def test_a_task_whose_deadline_is_in_a_later_batch_is_not_dispatched(machine: Machine) -> None:
    """It is settled when it is met."""
    machine.settings = Settings(batch_limit=1)
    machine.create("a", timeout_at=START + 1)
    machine.create("b", timeout_at=START + 1)
    machine.now += 1
    assert machine.fire() == []
    assert machine.record("b").state is TaskState.FULFILLED


def test_what_is_due_at_the_last_instant_is_never_due(machine: Machine) -> None:
    """Otherwise a clock that stands at its end would never let the server rest."""
    machine.start("a", ttl_ms=MAX_MILLIS, timeout_at=MAX_MILLIS)
    assert machine.store.next_due() is None
    machine.now = MAX_MILLIS
    assert machine.fire() == []


@pytest.mark.parametrize("name", ["retry_interval_ms", "batch_limit"])
def test_settings_must_be_positive(name: str) -> None:
    """A retry without an interval would never end."""
    options: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=name):
        Settings(**options)


# --- The outbox -----------------------------------------------------------------------------------


def test_what_was_handed_over_leaves_the_outbox(machine: Machine) -> None:
    """Both kinds of messages, by their keys; to say so again does nothing."""
    machine.create("a")
    machine.ok(PromiseRegisterListener("a", GROUP), PromiseReply)
    machine.settle("a")
    machine.create("b")
    machine.fire()
    keys = [item.key for item in machine.store.outbox()]
    assert keys == [("execute", "b", 0), ("unblock", "a", GROUP)]
    for _ in range(2):
        machine.turn(lambda draft: handed_over(keys, draft))
        assert machine.store.outbox() == []


def test_a_late_report_does_not_take_a_newer_message_away(machine: Machine) -> None:
    """The key of an `execute` holds the version."""
    machine.create("a")
    machine.fire()
    machine.acquire("a", 0)
    machine.done(TaskRelease("a", 1))
    machine.fire()
    machine.turn(lambda draft: handed_over([("execute", "a", 0)], draft))
    assert [item.key for item in machine.store.outbox()] == [("execute", "a", 1)]


# --- Starting again -------------------------------------------------------------------------------


def test_recovering_dispatches_pending_tasks_again(machine: Machine) -> None:
    """Their messages were in memory. What is delayed stays so; what is held keeps its lease."""
    machine.create("a")
    machine.create("later", {**TARGET, "resonate:delay": str(START + 900)})
    machine.start("held")
    machine.fire()
    machine.now += 1
    machine.turn(lambda draft: recover(machine.now, draft))
    assert machine.record("a").due_at == START + 1
    assert machine.record("later").due_at == START + 900
    assert [item.key for item in machine.fire()] == [("execute", "a", 0)]


def test_releasing_all_takes_back_what_is_held(machine: Machine) -> None:
    """Due now, at the version it had; all else stays."""
    machine.start("a")
    machine.start("b")
    machine.ok(fulfill("b"), PromiseReply)
    machine.now += 1
    machine.turn(lambda draft: release_all(machine.now, draft))
    assert machine.record("a") == TaskRecord("a", TaskState.PENDING, 1, due_at=START + 1)
    assert machine.record("b").state is TaskState.FULFILLED


def test_a_damaged_store_is_named_as_such(machine: Machine) -> None:
    """A task without its promise, which no request can bring about."""
    machine.turn(lambda draft: draft.put_task(TaskRecord("a", TaskState.PENDING, 0, due_at=START)))
    with pytest.raises(LookupError, match=r"damaged.*'a'"):
        machine.fire()


def test_nothing_due_means_nothing_to_wait_for(machine: Machine) -> None:
    """The next instant is the earliest of deadlines, leases and dispatches."""
    assert machine.store.next_due() is None
    machine.create("a", {}, timeout_at=FAR)
    assert machine.store.next_due() == FAR
    machine.start("b", ttl_ms=70)
    assert machine.store.next_due() == START + 70
