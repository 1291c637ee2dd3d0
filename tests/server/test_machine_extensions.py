"""The machine: what heartbeats say of lost tasks, and what comes along with a task that is taken."""

import pytest

from resonate_trio.protocol import (
    Acquired,
    Beaten,
    Promise,
    PromiseState,
    TaskAcquire,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
)
from server_ref.machine import Settings

from .machine_kit import TARGET, TTL, Machine, suspend, task_create

NONE = Settings(extensions=frozenset())


def beat(machine: Machine, *refs: TaskRef, pid: str = "p1") -> Beaten:
    """Send a heartbeat."""
    return machine.ok(TaskHeartbeat(pid, refs), Beaten)


# --- lost -----------------------------------------------------------------------------------------


def test_what_is_held_is_not_lost() -> None:
    """The reply is empty, as of other servers."""
    machine = Machine()
    machine.start("a")
    assert beat(machine, TaskRef("a", 1)) == Beaten()


@pytest.mark.parametrize("ref", [TaskRef("none", 1), TaskRef("a", 2), TaskRef("pending", 0), TaskRef("done", 1)])
def test_what_the_process_does_not_hold_is_lost(ref: TaskRef) -> None:
    """Unknown, at another version, in another state; what it does hold has its lease extended."""
    machine = Machine()
    machine.start("a")
    machine.create("pending")
    machine.start("done")
    machine.settle("done")
    machine.now += 1
    assert beat(machine, TaskRef("a", 1), ref) == Beaten(lost=(ref.id,))
    assert machine.record("a").due_at == machine.now + TTL


def test_what_another_process_holds_is_lost() -> None:
    """In the order of the request."""
    machine = Machine()
    for id in ("b", "a"):
        machine.start(id)
    assert beat(machine, TaskRef("b", 1), TaskRef("a", 1), pid="p2").lost == ("b", "a")


def test_what_was_taken_back_is_lost() -> None:
    """Its lease was over."""
    machine = Machine()
    machine.start("a")
    machine.now += TTL
    machine.fire()
    assert beat(machine, TaskRef("a", 1)).lost == ("a",)


def test_without_the_extension_nothing_is_said() -> None:
    """The reply is empty."""
    machine = Machine(settings=NONE)
    assert beat(machine, TaskRef("none", 1)) == Beaten()


# --- preload --------------------------------------------------------------------------------------


@pytest.fixture
def machine() -> Machine:
    """Give a machine with a task that has called others, one of them settled, and one that has called as well."""
    machine = Machine()
    machine.create("root")
    for id, parent in (("root:1", "root"), ("root:2", "root"), ("root:2.1", "root:2"), ("root.x", "other")):
        machine.create(
            id, {**TARGET, "resonate:parent": parent, "resonate:branch": id} if parent != "other" else {}
        )
    machine.create("root:3", {"resonate:scope": "local", "resonate:parent": "root", "resonate:branch": "root"})
    machine.settle("root:1", PromiseState.REJECTED)
    return machine


def ids(promises: list[Promise]) -> list[str]:
    """Return their ids."""
    return [promise.id for promise in promises]


def test_the_remote_children_come_along(machine: Machine) -> None:
    """As they are now, with the rest of the branch, ordered by id; their own children do not."""
    preload = list(machine.acquire("root", 0).preload)
    assert ids(preload) == ["root:1", "root:2", "root:3"]
    assert preload[0].state is PromiseState.REJECTED


def test_they_come_along_with_a_task_that_is_created_again(machine: Machine) -> None:
    """Whether that takes it or finds it fulfilled."""
    again = task_create("root")
    assert ids(list(machine.ok(again, Acquired).preload)) == ["root:1", "root:2", "root:3"]
    machine.settle("root")
    assert ids(list(machine.ok(again, Acquired).preload)) == ["root:1", "root:2", "root:3"]


def test_a_root_that_is_its_own_parent_does_not_come_along() -> None:
    """It is there anyway."""
    machine = Machine()
    machine.create("root", {**TARGET, "resonate:parent": "root", "resonate:branch": "root"})
    assert machine.acquire("root", 0).preload == []


def test_who_has_them_all_gets_what_woke_the_task(machine: Machine) -> None:
    """And nothing else: so a function that calls n times in a row is not sent n² promises."""
    machine.acquire("root", 0)
    assert machine.do(suspend("root", "root:2")).status == 200
    machine.settle("root:2")
    request = TaskAcquire("root", 1, "p1", TTL, preload=False)
    assert ids(list(machine.ok(request, Acquired).preload)) == ["root:2"]
    machine.done(TaskRelease("root", 2))
    request = TaskAcquire("root", 2, "p1", TTL, preload=False)
    assert machine.ok(request, Acquired).preload == []


def test_without_the_extension_only_the_branch_comes_along(machine: Machine) -> None:
    """And what has woken the task."""
    machine.settings = NONE
    assert ids(list(machine.acquire("root", 0).preload)) == ["root:3"]
