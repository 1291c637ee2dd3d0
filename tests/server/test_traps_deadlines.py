"""Traps about time: a task's own deadline, its delay, the retry interval, and the clock."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resonate_trio.protocol import (
    PromiseReply,
    PromiseState,
    TaskContinue,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskState,
)
from server_ref.machine import Settings, release_all

from . import engine_kit
from .machine_kit import START, TARGET, TIMER, TTL, Machine, task_create
from .traps_kit import STORES, executes, machine_over, new_store

DEADLINE = START + 100
RETRY = Settings().retry_interval_ms
HOUR = 3_600_000


@pytest.fixture(params=STORES)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """Give a machine over each store."""
    with machine_over(request.param, tmp_path) as opened:
        yield opened


# --- A task whose own deadline has passed ---------------------------------------------------------


def test_an_expired_task_is_not_resumed_by_what_it_awaits(machine: Machine) -> None:
    """What it waited for settles at the very deadline of the task: too late."""
    machine.start("t", timeout_at=DEADLINE)
    machine.create("t:1")
    machine.suspend("t", "t:1")
    machine.now = DEADLINE
    machine.settle("t:1")
    assert machine.record("t").state is TaskState.SUSPENDED
    assert machine.fire() == []
    assert machine.record("t").state is TaskState.FULFILLED


def test_an_expired_task_is_not_resumed_by_the_same_deadline(machine: Machine) -> None:
    """Both expire at once, in whatever order that is stored."""
    for task, awaited in (("a", "a:1"), ("b:1", "b")):
        machine.start(task, timeout_at=DEADLINE)
        machine.create(awaited, TIMER, timeout_at=DEADLINE)
        machine.suspend(task, awaited)
    machine.now = DEADLINE
    assert machine.fire() == []
    assert {machine.record(id).state for id in ("a", "b:1")} == {TaskState.FULFILLED}


def test_an_expired_task_is_not_dispatched(machine: Machine) -> None:
    """Nobody is asked to run what is over, and a message that waits is taken back."""
    machine.create("waiting", timeout_at=DEADLINE)
    assert executes(machine) == []
    machine.fire()
    assert executes(machine) == [("waiting", 0)]
    machine.create("new", timeout_at=DEADLINE)
    machine.now = DEADLINE
    assert machine.fire() == []
    assert executes(machine) == []


def test_an_expired_task_is_not_offered_when_its_lease_ends(machine: Machine) -> None:
    """The lease and the promise end at the same instant: the promise decides."""
    machine.start("t", ttl_ms=100, timeout_at=DEADLINE)
    machine.now = DEADLINE
    assert machine.fire() == []
    assert machine.record("t").state is TaskState.FULFILLED


def test_an_expired_task_is_not_leased_again(machine: Machine) -> None:
    """A heartbeat at the deadline extends nothing, so nothing is due any more."""
    machine.start("t", ttl_ms=1_000, timeout_at=DEADLINE)
    machine.now = DEADLINE
    machine.done(TaskHeartbeat("p1", [TaskRef("t", 1)]))
    machine.fire()
    assert machine.store.next_due() is None


# --- The retry interval, and the delay ------------------------------------------------------------


@pytest.mark.parametrize("ttl_ms", [1, 10 * RETRY])
def test_the_retry_interval_is_not_the_ttl_of_a_worker(machine: Machine, ttl_ms: int) -> None:
    """However long the last holder wanted to keep it, it is offered again after the server's interval."""
    machine.start("t", ttl_ms=ttl_ms)
    machine.done(TaskRelease("t", 1))
    assert [item.key for item in machine.fire()] == [("execute", "t", 1)]
    assert machine.store.next_due() == START + RETRY


def test_a_task_that_nobody_acquires_is_offered_again(machine: Machine) -> None:
    """Again and again, at every interval and not before."""
    machine.create("t")
    offers = []
    for machine.now in range(START, START + 3 * RETRY, RETRY // 2):
        offers += [(machine.now - START, item.key[1]) for item in machine.fire()]
    assert offers == [(0, "t"), (RETRY, "t"), (2 * RETRY, "t")]


def test_a_task_with_a_delay_is_not_offered_before_it(machine: Machine) -> None:
    """It is, at its very instant, and then again as any other."""
    machine.create("t", {**TARGET, "resonate:delay": str(START + 50)})
    machine.now = START + 49
    assert machine.fire() == []
    machine.now = START + 50
    assert [item.key for item in machine.fire()] == [("execute", "t", 0)]
    assert machine.store.next_due() == START + 50 + RETRY


def give_back(machine: Machine) -> None:
    """Acquire the task early, and release it."""
    machine.acquire("t", 0)
    machine.done(TaskRelease("t", 1))


def lose_the_lease(machine: Machine) -> None:
    """Acquire the task early, and keep it too long."""
    machine.acquire("t", 0, ttl_ms=10)
    machine.now = START + 10


def stop_and_go_on(machine: Machine) -> None:
    """Halt the task, and continue it."""
    machine.done(TaskHalt("t"))
    machine.done(TaskContinue("t"))


def wait_and_be_woken(machine: Machine) -> None:
    """Acquire the task early, suspend it, and wake it."""
    machine.acquire("t", 0)
    machine.create("t:1")
    machine.suspend("t", "t:1")
    machine.settle("t:1")


@pytest.mark.parametrize("happen", [give_back, lose_the_lease, stop_and_go_on, wait_and_be_woken])
def test_a_delay_holds_whatever_happens_meanwhile(machine: Machine, happen: Callable[[Machine], None]) -> None:
    """A task that comes back before its delay is over is not dispatched before it either."""
    delay = START + 2 * TTL
    machine.create("t", {**TARGET, "resonate:delay": str(delay)})
    happen(machine)
    machine.now = delay - 1
    assert [item for item in machine.fire() if item.key[1] == "t"] == []
    machine.now = delay
    assert [item.key[1] for item in machine.fire() if item.key[1] == "t"] == ["t"]


def test_a_delay_holds_when_a_server_that_owns_its_store_starts(machine: Machine) -> None:
    """All that was held is released then, but not before its time."""
    machine.create("t", {**TARGET, "resonate:delay": str(START + 50)})
    machine.acquire("t", 0)
    machine.turn(lambda draft: release_all(START, draft))
    assert machine.store.next_due() == START + 50


# --- Timers ---------------------------------------------------------------------------------------


def test_a_timer_with_a_target_resolves_at_its_deadline_and_never_gets_a_task(machine: Machine) -> None:
    """Clients send both tags: it is a timer, and the target is of no importance."""
    machine.create("timer", {**TARGET, **TIMER}, timeout_at=DEADLINE)
    machine.refused(404, TaskGet("timer"))
    assert machine.fire() == []
    machine.now = DEADLINE
    assert machine.fire() == []
    promise = machine.promise("timer")
    assert (promise.state, promise.settled_at) == (PromiseState.RESOLVED, DEADLINE)
    machine.refused(404, TaskGet("timer"))
    machine.refused(422, task_create("timer", TARGET))


# --- The clock ------------------------------------------------------------------------------------


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both backends in real time: nothing here waits, and virtual time spins beside a store's thread."""
    return str(request.param)


@pytest.mark.anyio
@pytest.mark.parametrize("name", STORES)
async def test_a_clock_that_is_set_back_by_an_hour_stands_still(name: str, tmp_path: Path) -> None:
    """What was settled stays settled, and what comes later is not earlier."""
    clock = engine_kit.SettableClock()
    async with engine_kit.an_engine(new_store(name, tmp_path), clock=clock) as engine:
        await engine_kit.ask(engine, engine_kit.create("p", timeout_at=engine_kit.EPOCH_MS + 100))
        clock.ms += 100
        assert await engine_kit.state_of(engine, "p") is PromiseState.TIMEDOUT
        clock.ms -= HOUR
        assert await engine_kit.state_of(engine, "p") is PromiseState.TIMEDOUT
        reply = await engine_kit.ask(engine, engine_kit.create("q"))
        assert isinstance(reply.data, PromiseReply)
        assert reply.data.promise.created_at == engine_kit.EPOCH_MS + 100


@pytest.mark.anyio
async def test_a_clock_that_is_set_back_between_two_runs_stands_still(tmp_path: Path) -> None:
    """The file knows how late it was."""
    clock = engine_kit.SettableClock()
    async with engine_kit.an_engine(new_store("sqlite", tmp_path), clock=clock) as engine:
        await engine_kit.ask(engine, engine_kit.create("p"))
    clock.ms -= HOUR
    async with engine_kit.an_engine(new_store("sqlite", tmp_path), clock=clock) as engine:
        reply = await engine_kit.ask(engine, engine_kit.create("q"))
    assert isinstance(reply.data, PromiseReply)
    assert reply.data.promise.created_at == engine_kit.EPOCH_MS
