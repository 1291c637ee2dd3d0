"""The machine: waiting for the failures of promises whose success need not be known at once."""

import pytest

from resonate_trio.protocol import (
    Callback,
    DebugSnap,
    Envelope,
    PromiseRegisterCallback,
    PromiseReply,
    PromiseState,
    Snapshot,
    Suspended,
    TaskState,
    TaskSuspend,
)
from server_ref.machine import Outcome, Settings

from .machine_kit import FAR, LOCAL, START, TARGET, TIMER, Machine, head

FAILED = [PromiseState.REJECTED, PromiseState.CANCELED]


def wait(machine: Machine, *awaited: str, failures: tuple[str, ...] = ()) -> Outcome:
    """Suspend the task `root` on any outcome of some promises, and on failures of others."""
    every = [PromiseRegisterCallback(id, "root") for id in awaited]
    some = [PromiseRegisterCallback(id, "root", only_failure=True) for id in failures]
    return machine.do(TaskSuspend("root", 1, [Envelope(head(), one) for one in (*some, *every)]))


@pytest.fixture
def machine() -> Machine:
    """Give a machine with a task that has called three others."""
    machine = Machine()
    machine.start("root")
    for index in range(1, 4):
        machine.create(f"root:{index}")
    return machine


def is_suspended(machine: Machine) -> bool:
    """Tell whether the task waits."""
    return machine.task("root").state is TaskState.SUSPENDED


def test_success_does_not_wake_who_waits_for_failure(machine: Machine) -> None:
    """The last one, whose outcome is waited for, does; nothing is kept of the others."""
    assert wait(machine, "root:3", failures=("root:1", "root:2")).status == 200
    machine.settle("root:1")
    machine.settle("root:2")
    assert is_suspended(machine)
    machine.settle("root:3")
    assert machine.record("root").resumes == ("root:3",)
    assert machine.ok(DebugSnap(), Snapshot).callbacks == []


@pytest.mark.parametrize("state", FAILED)
def test_failure_wakes_who_waits_for_it(machine: Machine, state: PromiseState) -> None:
    """As any other outcome would."""
    wait(machine, "root:3", failures=("root:1", "root:2"))
    machine.settle("root:2", state)
    assert machine.task("root").state is TaskState.PENDING
    assert machine.record("root").resumes == ("root:2",)


def test_a_deadline_that_passes_is_a_failure(machine: Machine) -> None:
    """But not that of a timer, which resolves."""
    machine.create("root:4", TARGET, START + 10)
    machine.create("root:5", TIMER, START + 5)
    wait(machine, "root:3", failures=("root:4", "root:5"))
    machine.now = START + 5
    machine.fire()
    assert is_suspended(machine)
    machine.now = START + 10
    machine.fire()
    assert machine.task("root").state is TaskState.PENDING


def test_what_is_resolved_already_is_no_reason_to_go_on(machine: Machine) -> None:
    """The task suspends on what is left."""
    machine.settle("root:1")
    assert wait(machine, "root:3", failures=("root:1", "root:2")).status == 200
    assert is_suspended(machine)
    assert machine.ok(DebugSnap(), Snapshot).callbacks == [Callback("root", "root:2"), Callback("root", "root:3")]


@pytest.mark.parametrize("state", FAILED)
def test_what_has_failed_already_is_a_reason_to_go_on(machine: Machine, state: PromiseState) -> None:
    """Status 300, as for what is waited for whatever comes of it; and nothing is remembered."""
    failed = machine.settle("root:1", state)
    assert wait(machine, "root:3", failures=("root:1", "root:2")) == Outcome(300, Suspended([failed]))
    assert machine.ok(DebugSnap(), Snapshot).callbacks == []


def test_waiting_for_failures_only_is_refused(machine: Machine) -> None:
    """If all went well it would never end."""
    outcome = wait(machine, failures=("root:1", "root:2"))
    assert outcome == Outcome(
        400, "actions: a task cannot wait for failures only: one needs to be without onlyFailure"
    )


def test_what_cannot_be_awaited_cannot_be_awaited_for_failure(machine: Machine) -> None:
    """The same guards hold."""
    machine.create("root:9", LOCAL)
    assert wait(machine, "root:3", failures=("root:9",)).status == 422
    assert wait(machine, "root:3", failures=("none",)).status == 422
    assert wait(machine, "root:3", failures=("root:3",)).status == 400


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_who_waits_for_both_is_woken_by_any_outcome(machine: Machine, order: tuple[bool, bool]) -> None:
    """In whatever order that was said; and it is woken once."""
    for only_failure in order:
        machine.ok(PromiseRegisterCallback("root:1", "root", only_failure=only_failure), PromiseReply)
    assert machine.ok(DebugSnap(), Snapshot).callbacks == [Callback("root", "root:1")]
    wait(machine, "root:3")
    machine.settle("root:1")
    assert machine.record("root").resumes == ("root:1",)
    assert machine.ok(DebugSnap(), Snapshot).callbacks == [Callback("root", "root:3")]


def test_a_failure_wakes_who_waits_for_both_once(machine: Machine) -> None:
    """It is noted once, and one message is sent."""
    wait(machine, "root:1", failures=("root:2",))
    machine.ok(PromiseRegisterCallback("root:1", "root", only_failure=True), PromiseReply)
    machine.settle("root:1", PromiseState.REJECTED)
    assert machine.record("root").resumes == ("root:1",)


def test_a_registered_callback_can_be_for_failure_only(machine: Machine) -> None:
    """For a task that is held, what fails is noted, and what succeeds is not."""
    for id in ("root:1", "root:2"):
        machine.ok(PromiseRegisterCallback(id, "root", only_failure=True), PromiseReply)
    machine.settle("root:1")
    machine.settle("root:2", PromiseState.REJECTED)
    assert machine.record("root").resumes == ("root:2",)


def test_without_the_extension_every_outcome_wakes(machine: Machine) -> None:
    """As the protocol says that unknown fields are ignored."""
    machine.settings = Settings(extensions=frozenset())
    assert wait(machine, failures=("root:1", "root:2")).status == 200
    machine.settle("root:2")
    assert machine.record("root").resumes == ("root:2",)


def test_without_the_extension_what_is_resolved_is_a_reason_to_go_on(machine: Machine) -> None:
    """Likewise."""
    machine.settings = Settings(extensions=frozenset())
    machine.settle("root:1")
    assert wait(machine, "root:3", failures=("root:1",)).status == 300


def test_a_fan_out_is_woken_once(machine: Machine) -> None:
    """However many it has called: by the newest that settles, or by a failure."""
    ids = [f"root:{index}" for index in range(10, 60)]
    for id in ids:
        machine.create(id, TARGET, FAR)
    wait(machine, ids[-1], failures=tuple(ids[:-1]))
    for id in ids[:-1]:
        machine.settle(id)
    assert is_suspended(machine)
    machine.settle(ids[-1])
    assert not is_suspended(machine)
