"""Traps: two workers never both hold a task, and a heartbeat extends each of its tasks by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resonate_trio.protocol import (
    Envelope,
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    PromiseState,
    Request,
    TaskAcquire,
    TaskFence,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskState,
)
from server_ref.machine import perform

from .machine_kit import LOCAL, START, TARGET, TTL, Machine, create, fulfill, head, suspend, task_create
from .traps_kit import STORES, machine_over


@pytest.fixture(params=STORES)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """Give a machine over each store."""
    with machine_over(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def passed_on(machine: Machine) -> Machine:
    """Give a machine whose task was held by `p1` at version 1, and is held by `p2` at version 2."""
    machine.start("t", pid="p1")
    machine.create("t:1")
    machine.now = START + TTL
    machine.fire()
    machine.acquire("t", 1, pid="p2")
    return machine


def fence(action: PromiseCreate | PromiseSettle, *, version: int) -> TaskFence:
    """Return a task.fence of the task `t`."""
    return TaskFence("t", version, Envelope(head(), action))


# --- One holder -----------------------------------------------------------------------------------


def test_of_two_workers_that_got_the_message_one_acquires(machine: Machine) -> None:
    """Both name the version of the message, and only the first is right."""
    machine.create("t")
    machine.acquire("t", 0, pid="p1")
    machine.refused(409, TaskAcquire("t", 0, "p2", TTL))
    assert (machine.task("t").pid, machine.task("t").version) == ("p1", 1)


def test_of_two_workers_that_acquire_in_one_turn_one_does(machine: Machine) -> None:
    """Requests that came in together are no exception."""
    machine.create("t")
    taken = [TaskAcquire("t", 0, pid, TTL) for pid in ("p1", "p2")]
    statuses = machine.turn(lambda draft: [perform(request, START, draft).status for request in taken])
    assert (statuses, machine.task("t").pid) == ([200, 409], "p1")


def test_one_worker_cannot_acquire_twice(machine: Machine) -> None:
    """Its own task is taken, too: a repeated request must not start a second run."""
    machine.create("t")
    machine.acquire("t", 0)
    for version in (0, 1):
        machine.refused(409, TaskAcquire("t", version, "p1", TTL))


def test_a_task_that_is_held_cannot_be_created_again(machine: Machine) -> None:
    """task.create does not take it from its holder."""
    machine.start("t", pid="p1")
    machine.refused(409, task_create("t", pid="p2"))


def test_an_old_message_acquires_nothing(machine: Machine) -> None:
    """The task is pending, but it was acquired and released since the message was sent."""
    machine.create("t")
    machine.acquire("t", 0)
    machine.done(TaskRelease("t", 1))
    machine.refused(409, TaskAcquire("t", 0, "p2", TTL))
    assert machine.acquire("t", 1, pid="p2").task.version == 2


@pytest.mark.parametrize(
    "request_",
    [
        fence(create("t:2", LOCAL), version=1),
        fence(PromiseSettle("t:1", PromiseState.RESOLVED), version=1),
        suspend("t", "t:1"),
        fulfill("t", data="late"),
        TaskRelease("t", 1),
    ],
    ids=["fenced create", "fenced settle", "suspend", "fulfill", "release"],
)
def test_who_lost_the_task_changes_nothing(passed_on: Machine, request_: Request) -> None:
    """Everything that needs the task is refused at the old version, and nothing changes."""
    before = passed_on.record("t")
    passed_on.refused(409, request_)
    assert passed_on.record("t") == before
    assert passed_on.promise("t").is_pending
    assert passed_on.promise("t:1").is_pending
    passed_on.refused(404, PromiseGet("t:2"))


def test_a_heartbeat_of_who_lost_the_task_extends_nothing(passed_on: Machine) -> None:
    """Neither at its old version nor at the new one: the pid counts as well."""
    before = passed_on.record("t")
    passed_on.now += 1
    passed_on.done(TaskHeartbeat("p1", [TaskRef("t", 1), TaskRef("t", 2)]))
    assert passed_on.record("t") == before


def test_a_heartbeat_at_an_old_version_extends_nothing(machine: Machine) -> None:
    """The same process holds the task again: the heartbeat of its first run does not count for the second."""
    machine.start("t")
    machine.done(TaskRelease("t", 1))
    machine.acquire("t", 1)
    before = machine.record("t")
    machine.now += 1
    machine.done(TaskHeartbeat("p1", [TaskRef("t", 1)]))
    assert machine.record("t") == before


def test_a_heartbeat_after_the_lease_ended_does_not_bring_it_back(machine: Machine) -> None:
    """The task is offered to others already, and stays so."""
    machine.start("t")
    machine.now = START + TTL
    machine.fire()
    machine.done(TaskHeartbeat("p1", [TaskRef("t", 1)]))
    assert (machine.task("t").state, machine.task("t").pid) == (TaskState.PENDING, None)
    machine.acquire("t", 1, pid="p2")


def test_a_fence_after_the_lease_ended_is_refused(machine: Machine) -> None:
    """Also before somebody else has the task."""
    machine.start("t")
    machine.now = START + TTL
    machine.fire()
    machine.refused(409, fence(create("t:1", LOCAL), version=1))


# --- Heartbeats -----------------------------------------------------------------------------------


def test_a_heartbeat_over_tasks_of_several_origins_extends_each(machine: Machine) -> None:
    """Each by its own ttl, and those that are not held are passed over."""
    ttls = {"a": 1_000, "b:1": 2_000, "c.1": 3_000}
    for id, ttl_ms in ttls.items():
        machine.start(id, ttl_ms=ttl_ms)
    machine.create("d", TARGET)
    machine.now += 500
    machine.done(TaskHeartbeat("p1", [TaskRef(id, 1) for id in ("unknown", "a", "d", "b:1", "c.1")]))
    assert {id: machine.record(id).due_at for id in ttls} == {id: START + 500 + ttl for id, ttl in ttls.items()}
