"""Trap: every guard and every reply uses the projected view, on a promise that expired a moment ago.

Nothing has been done by the server itself when these requests come: the store still says `pending`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from resonate_trio.protocol import (
    Acquired,
    Envelope,
    Fenced,
    Promise,
    PromisePage,
    PromiseRegisterCallback,
    PromiseRegisterListener,
    PromiseReply,
    PromiseSearch,
    PromiseSettle,
    PromiseState,
    Suspended,
    TaskAcquire,
    TaskContinue,
    TaskFence,
    TaskHalt,
    TaskHeartbeat,
    TaskPage,
    TaskRef,
    TaskRelease,
    TaskSearch,
    TaskState,
)

from .machine_kit import (
    FAR,
    GROUP,
    LOCAL,
    START,
    TARGET,
    TIMER,
    Machine,
    create,
    fulfill,
    head,
    suspend,
    task_create,
)
from .traps_kit import STORES, machine_over

if TYPE_CHECKING:
    from resonate_trio.protocol import (
        PromiseCreate,
    )

DEADLINE = START + 100


@pytest.fixture(params=STORES)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """Give a machine over each store."""
    with machine_over(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def held(machine: Machine) -> Machine:
    """Give a machine at the very deadline of a task that is held at version 1."""
    machine.start("t", timeout_at=DEADLINE)
    machine.now = DEADLINE
    return machine


@pytest.fixture
def expired(machine: Machine) -> Machine:
    """Give a machine at the very deadline of a promise without a task."""
    machine.create("p", {}, timeout_at=DEADLINE)
    machine.now = DEADLINE
    return machine


def is_expired(promise: Promise) -> bool:
    """Tell whether a promise is settled by its deadline, as of its deadline."""
    return (promise.state, promise.settled_at) == (PromiseState.TIMEDOUT, DEADLINE)


def test_one_millisecond_earlier_it_is_pending(expired: Machine) -> None:
    """The deadline is the first instant at which it is settled."""
    expired.now = DEADLINE - 1
    assert expired.promise("p").is_pending


def test_get_shows_it_settled(expired: Machine) -> None:
    """As of its deadline, however late it is read."""
    expired.now = FAR
    assert is_expired(expired.promise("p"))


def test_create_returns_it_settled(expired: Machine) -> None:
    """Creating it again does not bring it back to life."""
    again = expired.ok(create("p", {}, timeout_at=FAR), PromiseReply).promise
    assert is_expired(again)
    assert again.timeout_at == DEADLINE


def test_settle_comes_too_late(expired: Machine) -> None:
    """The deadline has decided: the reply says so, and so does the store."""
    assert is_expired(expired.settle("p"))
    expired.fire()
    assert is_expired(expired.promise("p"))


def test_settle_of_a_timer_comes_too_late(machine: Machine) -> None:
    """A timer is resolved by its deadline, and nobody rejects it any more."""
    machine.create("timer", TIMER, timeout_at=DEADLINE)
    machine.now = DEADLINE
    late = machine.settle("timer", PromiseState.REJECTED)
    assert (late.state, late.settled_at) == (PromiseState.RESOLVED, DEADLINE)


def test_task_create_returns_it_settled(held: Machine) -> None:
    """There is nothing left to run."""
    reply = held.ok(task_create("t", timeout_at=FAR, pid="other"), Acquired)
    assert is_expired(reply.promise)
    assert (reply.task.state, reply.task.pid, reply.task.ttl) == (TaskState.FULFILLED, None, None)


def test_acquire_is_refused(machine: Machine) -> None:
    """Nobody starts what is over."""
    machine.create("t", TARGET, timeout_at=DEADLINE)
    machine.now = DEADLINE
    machine.refused(409, TaskAcquire("t", 0, "p1", 1000))


def test_fence_is_refused(held: Machine) -> None:
    """The holder writes nothing more, neither new nor existing."""
    held.create("t:1", LOCAL)
    for action in (create("t:2", LOCAL), PromiseSettle("t:1", PromiseState.RESOLVED)):
        envelope: Envelope[PromiseCreate | PromiseSettle] = Envelope(head(), action)
        held.refused(409, TaskFence("t", 1, envelope))
    assert held.promise("t:1").is_pending


def test_settling_by_a_fence_comes_too_late(machine: Machine) -> None:
    """The fence holds, but the promise inside it has expired."""
    machine.start("t")
    machine.create("t:1", LOCAL, timeout_at=DEADLINE)
    machine.now = DEADLINE
    late: Envelope[PromiseCreate | PromiseSettle] = Envelope(head(), PromiseSettle("t:1", PromiseState.RESOLVED))
    inner = machine.ok(TaskFence("t", 1, late), Fenced).action.data
    assert isinstance(inner, PromiseReply)
    assert is_expired(inner.promise)


def test_suspend_is_refused(held: Machine) -> None:
    """It would wait for ever."""
    held.create("t:1")
    held.refused(409, suspend("t", "t:1"))


def test_suspending_on_it_goes_on_at_once(machine: Machine) -> None:
    """300: what is awaited is settled, whatever is stored."""
    machine.start("t")
    machine.create("t:1", {**TARGET, "resonate:branch": "t"}, timeout_at=DEADLINE)
    machine.now = DEADLINE
    outcome = machine.do(suspend("t", "t:1"))
    assert outcome.status == 300
    assert isinstance(outcome.data, Suspended)
    assert [is_expired(promise) for promise in outcome.data.preload or ()] == [True]


def test_fulfill_is_refused(held: Machine) -> None:
    """The result comes too late, and is not stored."""
    held.refused(409, fulfill("t", data="late"))
    held.fire()
    assert is_expired(held.promise("t"))


def test_release_is_refused(held: Machine) -> None:
    """There is nothing to be dispatched again."""
    held.refused(409, TaskRelease("t", 1))


def test_halt_is_refused(held: Machine) -> None:
    """What is fulfilled cannot be halted."""
    held.refused(409, TaskHalt("t"))


def test_continue_is_refused(machine: Machine) -> None:
    """A halted task that has expired is fulfilled, not halted."""
    machine.start("t", timeout_at=DEADLINE)
    machine.done(TaskHalt("t"))
    machine.now = DEADLINE
    machine.refused(409, TaskContinue("t"))


def test_heartbeat_extends_nothing(held: Machine) -> None:
    """It succeeds, as ever, and the lease stays as it was."""
    before = held.record("t")
    held.done(TaskHeartbeat("p1", [TaskRef("t", 1)]))
    assert held.record("t") == before


def test_search_finds_the_promise_by_its_new_state(expired: Machine) -> None:
    """Among the timed out, and not among the pending."""
    found = {
        state: [promise.id for promise in expired.ok(PromiseSearch(state), PromisePage).promises]
        for state in (PromiseState.PENDING, PromiseState.TIMEDOUT)
    }
    assert found == {PromiseState.PENDING: [], PromiseState.TIMEDOUT: ["p"]}


def test_search_finds_the_task_by_its_new_state(held: Machine) -> None:
    """Among the fulfilled, and not among the acquired."""
    found = {
        state: [(task.id, task.pid) for task in held.ok(TaskSearch(state), TaskPage).tasks]
        for state in (TaskState.ACQUIRED, TaskState.FULFILLED)
    }
    assert found == {TaskState.ACQUIRED: [], TaskState.FULFILLED: [("t", None)]}


def test_a_callback_is_not_kept(machine: Machine) -> None:
    """The reply says that it is settled, and nothing is remembered."""
    machine.create("t")
    machine.create("t:1", TARGET, timeout_at=DEADLINE)
    machine.now = DEADLINE
    reply = machine.ok(PromiseRegisterCallback("t:1", "t"), PromiseReply)
    assert is_expired(reply.promise)
    assert machine.turn(lambda draft: list(draft.awaiters("t:1"))) == []


def test_a_callback_of_an_expired_awaiter_is_not_kept(machine: Machine) -> None:
    """Nobody is left to be woken."""
    machine.create("t", TARGET, timeout_at=DEADLINE)
    machine.create("t:1")
    machine.now = DEADLINE
    assert machine.ok(PromiseRegisterCallback("t:1", "t"), PromiseReply).promise.is_pending
    assert machine.turn(lambda draft: list(draft.awaiters("t:1"))) == []


def test_a_listener_is_not_kept(expired: Machine) -> None:
    """The reply is its notice, and there is no other."""
    assert is_expired(expired.ok(PromiseRegisterListener("p", GROUP), PromiseReply).promise)
    assert expired.turn(lambda draft: list(draft.listeners("p"))) == []
    assert expired.fire() == []
