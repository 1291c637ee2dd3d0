"""Traps: who may wait for what, and messages that coalesce and survive."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from resonate_trio.protocol import (
    PromiseRegisterCallback,
    PromiseRegisterListener,
    PromiseReply,
    PromiseState,
    TaskRelease,
)
from server_ref.machine import Settings, handed_over

from .machine_kit import FAR, GROUP, LOCAL, START, TARGET, TIMER, Machine, suspend
from .traps_kit import STORES, executes, machine_over, unblocks

if TYPE_CHECKING:
    from resonate_trio.protocol import (
        Request,
    )

OTHER = "poll://any@other"
RETRY = Settings().retry_interval_ms
AWAITABLE = {
    "target": TARGET,
    "timer": TIMER,
    "external": {"resonate:external": "true"},
    "no scope": {},
    "global": {"resonate:scope": "global"},
    "local with a target": {**LOCAL, **TARGET},
    "local timer": {**LOCAL, **TIMER},
    "local and external": {**LOCAL, "resonate:external": "true"},
}
NOT_AWAITABLE = {
    "local": LOCAL,
    "local, explicitly not external": {**LOCAL, "resonate:external": "false", "resonate:timer": "false"},
}


@pytest.fixture(params=STORES)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """Give a machine over each store."""
    with machine_over(request.param, tmp_path) as opened:
        yield opened


def waiting(machine: Machine, id: str) -> tuple[list[str], list[str]]:
    """Return the awaiters and listeners that are remembered for a promise."""
    return machine.turn(lambda draft: (list(draft.awaiters(id)), list(draft.listeners(id))))


# --- Who may wait for what ------------------------------------------------------------------------


@pytest.mark.parametrize("tags", [*AWAITABLE.values()], ids=[*AWAITABLE])
def test_what_is_external_can_be_awaited(machine: Machine, tags: dict[str, str]) -> None:
    """By a callback, by a listener, and by suspending."""
    machine.start("t")
    machine.create("t:1", tags)
    machine.ok(PromiseRegisterCallback("t:1", "t"), PromiseReply)
    machine.ok(PromiseRegisterListener("t:1", GROUP), PromiseReply)
    machine.suspend("t", "t:1")
    assert waiting(machine, "t:1") == (["t"], [GROUP])


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("tags", [*NOT_AWAITABLE.values()], ids=[*NOT_AWAITABLE])
def test_what_is_local_cannot_be_awaited(machine: Machine, tags: dict[str, str], settled: bool) -> None:
    """422, pending or not: it belongs to the task that it lives in."""
    machine.start("t")
    machine.create("t:1", tags)
    if settled:
        machine.settle("t:1")
    requests: list[Request] = [
        PromiseRegisterCallback("t:1", "t"),
        PromiseRegisterListener("t:1", GROUP),
        suspend("t", "t:1"),
    ]
    for request in requests:
        machine.refused(422, request)


@pytest.mark.parametrize("tags", [LOCAL, TIMER, {}, {**TARGET, **TIMER}], ids=["local", "timer", "plain", "both"])
def test_what_has_no_task_cannot_await(machine: Machine, tags: dict[str, str]) -> None:
    """There is nothing that could be woken."""
    machine.create("a", tags)
    machine.create("a:1")
    machine.refused(422, PromiseRegisterCallback("a:1", "a"))


def test_a_settled_promise_takes_no_new_callback_or_listener(machine: Machine) -> None:
    """The reply has the outcome, and nothing is remembered or sent."""
    machine.create("t")
    machine.create("t:1")
    machine.settle("t:1")
    for request in (PromiseRegisterCallback("t:1", "t"), PromiseRegisterListener("t:1", GROUP)):
        assert machine.ok(request, PromiseReply).promise.state is PromiseState.RESOLVED
    assert waiting(machine, "t:1") == ([], [])
    assert unblocks(machine) == []
    assert machine.task("t").resumes == 0


def test_a_settled_task_is_no_awaiter(machine: Machine) -> None:
    """It is told what is awaited, and is not remembered."""
    machine.create("t")
    machine.create("t:1")
    machine.settle("t")
    assert machine.ok(PromiseRegisterCallback("t:1", "t"), PromiseReply).promise.is_pending
    assert waiting(machine, "t:1") == ([], [])


def test_what_was_told_is_forgotten(machine: Machine) -> None:
    """Settling takes callbacks and listeners away, so nobody is told twice."""
    machine.create("t")
    machine.create("t:1")
    machine.ok(PromiseRegisterCallback("t:1", "t"), PromiseReply)
    machine.ok(PromiseRegisterListener("t:1", GROUP), PromiseReply)
    machine.settle("t:1")
    machine.settle("t:1", PromiseState.REJECTED)
    assert waiting(machine, "t:1") == ([], [])
    assert (machine.task("t").resumes, unblocks(machine)) == (1, [("t:1", GROUP)])


# --- The outbox -----------------------------------------------------------------------------------


def test_a_task_has_one_execute_however_often_it_is_offered(machine: Machine) -> None:
    """Nobody fetches it, and it does not pile up."""
    machine.create("t")
    for machine.now in range(START, START + 5 * RETRY, RETRY):
        machine.fire()
    assert executes(machine) == [("t", 0)]


def test_an_execute_is_of_the_newest_version(machine: Machine) -> None:
    """The old message is replaced: whoever got it would be refused."""
    machine.create("t")
    machine.fire()
    machine.acquire("t", 0)
    assert executes(machine) == []
    machine.done(TaskRelease("t", 1))
    machine.fire()
    assert executes(machine) == [("t", 1)]


def test_a_late_report_of_delivery_leaves_the_newer_execute(machine: Machine) -> None:
    """What was handed over is the old one."""
    machine.create("t")
    machine.fire()
    machine.acquire("t", 0)
    machine.done(TaskRelease("t", 1))
    machine.fire()
    machine.turn(lambda draft: handed_over([("execute", "t", 0)], draft))
    assert executes(machine) == [("t", 1)]


def test_there_is_one_unblock_for_each_promise_and_address(machine: Machine) -> None:
    """Listening twice tells once, and each promise and address for itself."""
    for id in ("a", "b"):
        machine.create(id, {})
        for address in (GROUP, OTHER, GROUP):
            machine.ok(PromiseRegisterListener(id, address), PromiseReply)
        machine.settle(id)
    assert sorted(unblocks(machine)) == [(id, address) for id in ("a", "b") for address in (GROUP, OTHER)]


def test_an_unblock_stays_until_it_was_handed_over(machine: Machine) -> None:
    """However late that is; the other one is not touched by it."""
    machine.create("a", {})
    for address in (GROUP, OTHER):
        machine.ok(PromiseRegisterListener("a", address), PromiseReply)
    machine.settle("a")
    machine.now = FAR + 1
    machine.fire()
    assert len(unblocks(machine)) == 2
    machine.turn(lambda draft: handed_over([("unblock", "a", GROUP)], draft))
    assert unblocks(machine) == [("a", OTHER)]


@pytest.mark.parametrize("machine", ["sqlite"], indirect=True)
def test_an_unblock_survives_a_restart(machine: Machine) -> None:
    """It is on disk until it was handed over, and then it is gone for good."""
    machine.create("a", {})
    machine.ok(PromiseRegisterListener("a", GROUP), PromiseReply)
    machine.settle("a")
    restart(machine)
    assert unblocks(machine) == [("a", GROUP)]
    machine.turn(lambda draft: handed_over([("unblock", "a", GROUP)], draft))
    restart(machine)
    assert unblocks(machine) == []


@pytest.mark.parametrize("machine", ["sqlite"], indirect=True)
def test_a_listener_survives_a_restart(machine: Machine) -> None:
    """So its unblock comes, though the promise settles in the next run of the server."""
    machine.create("a", {})
    machine.ok(PromiseRegisterListener("a", GROUP), PromiseReply)
    restart(machine)
    machine.settle("a")
    assert unblocks(machine) == [("a", GROUP)]


def restart(machine: Machine) -> None:
    """Close the store and open it again."""
    machine.store.close()
    machine.store.open()
