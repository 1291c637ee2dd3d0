"""The machine: what becomes of a promise that is not cancelled in time, and of all that lies below it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resonate_trio.protocol import (
    MAX_MILLIS,
    Execute,
    Promise,
    PromiseCancel,
    PromiseRegisterListener,
    PromiseReply,
    PromiseState,
    TaskState,
    Value,
)
from server_ref.machine import Draft, Settings, fire_due
from server_ref.store import MemoryStore, SqliteStore

from .machine_kit import FAR, GROUP, LOCAL, START, TARGET, Machine

WHY = Value(None, "why")
OTHER = Value(None, "other")
BUDGET = 2_000


@pytest.fixture(params=["memory", "sqlite"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """Give a machine over each kind of store."""
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "test.db")
    store.open()
    yield Machine(store)
    store.close()


def call(
    machine: Machine, id: str, parent: str, *, local: bool = False, timeout_at: int = FAR, **tags: str
) -> None:
    """Create a promise that another one has called."""
    marks = {f"resonate:{name}": value for name, value in tags.items()}
    kind = LOCAL if local else TARGET
    machine.create(id, {**kind, "resonate:parent": parent, **marks}, timeout_at)


def cancel(machine: Machine, id: str, value: Value = WHY, budget: int = BUDGET) -> None:
    """Ask that a promise be cancelled."""
    machine.ok(PromiseCancel(id, budget, value), PromiseReply)


def cancelled(machine: Machine, *ids: str) -> list[bool]:
    """Tell which of these are settled as cancelled."""
    return [machine.promise(id).state is PromiseState.CANCELED for id in ids]


def test_nothing_happens_before_the_budget_is_over(machine: Machine) -> None:
    """To the millisecond; the store says when to look."""
    machine.create("root")
    call(machine, "root:1", "root")
    machine.fire()
    cancel(machine, "root")
    machine.fire()
    machine.now += BUDGET - 1
    machine.fire()
    assert cancelled(machine, "root", "root:1") == [False, False]
    assert machine.store.next_due() == START + BUDGET
    machine.now += 1
    machine.fire()
    assert cancelled(machine, "root", "root:1") == [True, True]
    promise = machine.promise("root")
    assert (promise.value, promise.settled_at) == (WHY, START + BUDGET)


def test_all_that_is_pending_below_is_settled(machine: Machine) -> None:
    """Remote and local, at any depth, also below what was settled before; their tasks end, and they say why."""
    machine.create("root")
    call(machine, "root:1", "root")
    call(machine, "root:1.1", "root:1", local=True)
    call(machine, "root:1.1.1", "root:1.1")
    call(machine, "root:2", "root")
    call(machine, "root:2.1", "root:2")
    machine.settle("root:2")
    cancel(machine, "root")
    machine.now += BUDGET
    machine.fire()
    assert cancelled(machine, "root:1", "root:1.1", "root:1.1.1", "root:2", "root:2.1") == [
        True,
        True,
        True,
        False,
        True,
    ]
    assert machine.task("root:1.1.1").state is TaskState.FULFILLED
    assert {machine.promise(id).value for id in ("root:1", "root:1.1", "root:2.1")} == {WHY}
    assert machine.store.next_due() is None


def test_what_was_asked_for_itself_says_so(machine: Machine) -> None:
    """The nearest request is why it ended."""
    machine.create("root")
    call(machine, "root:1", "root")
    cancel(machine, "root")
    cancel(machine, "root:1", OTHER, 10 * BUDGET)
    machine.now += BUDGET
    machine.fire()
    assert [machine.promise(id).value for id in ("root", "root:1")] == [WHY, OTHER]


def test_the_detached_are_left_alone(machine: Machine) -> None:
    """By tag or by id, with all that lies below them."""
    machine.create("root")
    call(machine, "root:1", "root", detached="true")
    call(machine, "root:1.1", "root:1")
    call(machine, "root:da0f", "root")
    call(machine, "root:da0f.1", "root:da0f")
    call(machine, "root:2", "root")
    cancel(machine, "root")
    machine.now += BUDGET
    machine.fire()
    assert cancelled(machine, "root:1", "root:1.1", "root:da0f", "root:da0f.1", "root:2") == [False] * 4 + [True]


def test_one_that_is_detached_can_be_cancelled_itself(machine: Machine) -> None:
    """With what it has called."""
    machine.create("root")
    call(machine, "root:da0f", "root")
    call(machine, "root:da0f.1", "root:da0f")
    cancel(machine, "root:da0f")
    machine.now += BUDGET
    machine.fire()
    assert cancelled(machine, "root", "root:da0f", "root:da0f.1") == [False, True, True]


def test_a_root_that_is_its_own_parent_is_settled_once(machine: Machine) -> None:
    """As the promises of schedules are."""
    machine.create("root", {**TARGET, "resonate:parent": "root"})
    call(machine, "root:1", "root")
    cancel(machine, "root")
    machine.now += BUDGET
    machine.fire()
    assert cancelled(machine, "root", "root:1") == [True, True]


def test_what_waits_for_them_is_woken_and_told(machine: Machine) -> None:
    """As by any other outcome."""
    machine.create("root")
    call(machine, "root:1", "root")
    call(machine, "root:1.1", "root:1")
    machine.start("root:9")
    machine.suspend("root:9", "root:1.1")
    machine.ok(PromiseRegisterListener("root:1", GROUP), PromiseReply)
    cancel(machine, "root:1")
    machine.now += BUDGET
    messages = machine.fire()
    assert Execute("root:9", 1) in [item.message for item in messages]
    assert ("unblock", "root:1", GROUP) in [item.key for item in messages]


def test_a_task_that_ended_in_time_is_left_alone(machine: Machine) -> None:
    """And all below it: whoever ended it has seen to that."""
    machine.create("root")
    call(machine, "root:1", "root")
    cancel(machine, "root")
    machine.settle("root", PromiseState.CANCELED)
    machine.now += BUDGET
    machine.fire()
    assert cancelled(machine, "root", "root:1") == [True, False]


def test_a_deadline_that_passed_counts_as_before(machine: Machine) -> None:
    """The promise is timed out, whenever the server comes to look; nothing below it is settled."""
    machine.create("root", timeout_at=START + BUDGET)
    call(machine, "root:1", "root")
    machine.settings = Settings(batch_limit=1)
    machine.create("other", timeout_at=START + 1)
    cancel(machine, "root")
    machine.now += 2 * BUDGET
    machine.fire()
    assert machine.promise("root").state is PromiseState.TIMEDOUT
    assert cancelled(machine, "root:1") == [False]


def test_a_budget_without_end_is_never_over(machine: Machine) -> None:
    """Not even at the last instant."""
    machine.create("root", timeout_at=MAX_MILLIS)
    cancel(machine, "root", budget=MAX_MILLIS)
    machine.fire()
    machine.acquire("root", 0)
    machine.now = MAX_MILLIS - 1
    machine.fire()
    assert cancelled(machine, "root") == [False]


def wide(machine: Machine, width: int) -> list[str]:
    """Have many children, each with one of its own, and return all their ids."""
    machine.create("root")
    ids = []
    for index in range(width):
        call(machine, f"root:{index:03}", "root", local=index % 2 == 0)
        call(machine, f"root:{index:03}.1", f"root:{index:03}")
        ids += [f"root:{index:03}", f"root:{index:03}.1"]
    cancel(machine, "root")
    machine.now += BUDGET
    return ids


def turn(machine: Machine) -> tuple[bool, list[Promise]]:
    """Do what is due, as much as one turn does, and return whether more is, and the promises that it changed."""

    def step(draft: Draft) -> tuple[bool, list[Promise]]:
        more = fire_due(machine.now, draft, machine.settings)
        return more, list(draft.changes.promises.values())

    return machine.turn(step)


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_much_is_done_in_portions(machine: Machine, limit: int) -> None:
    """No turn settles more than its share, and what is left is done by the next ones."""
    machine.settings = Settings(batch_limit=limit)
    ids = wide(machine, 11)
    more = True
    while more:
        more, changed = turn(machine)
        assert len(changed) <= limit + 1
        if more:
            assert machine.store.next_due() is not None
    assert all(cancelled(machine, *ids))


def test_what_is_left_is_done_after_a_restart(machine: Machine) -> None:
    """It is stored how far that has come."""
    machine.settings = Settings(batch_limit=4)
    ids = wide(machine, 11)
    while turn(machine)[0]:
        machine.store.close()
        machine.store.open()
        assert machine.store.next_due() is not None
    assert all(cancelled(machine, *ids))
    assert machine.turn(lambda draft: list(draft.sweeps(9))) == []


def test_a_budget_survives_a_restart(machine: Machine) -> None:
    """It is stored with the task, and so is who asked and why."""
    machine.create("root")
    machine.fire()
    cancel(machine, "root", Value({"h": "1"}, "d"))
    machine.store.close()
    machine.store.open()
    machine.now += BUDGET
    machine.fire()
    assert cancelled(machine, "root") == [True]
    assert machine.promise("root").value == Value({"h": "1"}, "d")
