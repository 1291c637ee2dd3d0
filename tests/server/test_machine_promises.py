"""The machine: requests about promises."""

import pytest

from resonate_trio.protocol import (
    EMPTY,
    MAX_MILLIS,
    Promise,
    PromiseGet,
    PromiseRegisterCallback,
    PromiseRegisterListener,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    TaskGet,
    TaskState,
    Value,
)

from .machine_kit import FAR, GROUP, LOCAL, START, TARGET, TIMER, Machine, create

EXTERNAL = {"resonate:external": "true"}
SETTLED = (PromiseState.RESOLVED, PromiseState.REJECTED, PromiseState.CANCELED)
PARAM = Value({"h": "1"}, "data")


@pytest.fixture
def machine() -> Machine:
    """Give an empty machine."""
    return Machine()


# --- promise.create -------------------------------------------------------------------------------


def test_a_new_promise_is_pending_and_holds_what_was_given(machine: Machine) -> None:
    """The reply shows the promise with its param and tags, created now."""
    reply = machine.ok(create("a", {"k": "v"}, FAR, PARAM), PromiseReply)
    expected = Promise("a", PromiseState.PENDING, FAR, START, PARAM, EMPTY, {"k": "v"})
    assert reply.promise == expected
    assert machine.promise("a") == expected


def test_creating_again_returns_the_promise_as_it_is(machine: Machine) -> None:
    """Creation is idempotent by id: what the second request says is not looked at."""
    first = machine.create("a", {"k": "v"})
    machine.now += 5
    assert machine.create("a", {"other": "tag"}, timeout_at=7) == first


def test_creating_again_returns_the_outcome(machine: Machine) -> None:
    """A replaying worker learns of a finished step by creating it again."""
    machine.create("a")
    settled = machine.settle("a")
    assert machine.create("a") == settled


@pytest.mark.parametrize(("tags", "state"), [({}, PromiseState.TIMEDOUT), (TIMER, PromiseState.RESOLVED)])
def test_a_promise_with_a_past_deadline_is_born_settled(
    machine: Machine, tags: dict[str, str], state: PromiseState
) -> None:
    """Its creation and its settling are at the deadline."""
    promise = machine.create("a", tags, timeout_at=START)
    assert (promise.state, promise.created_at, promise.settled_at) == (state, START, START)
    assert machine.create("b", tags, timeout_at=7).created_at == 7


def test_a_target_gets_a_task_due_now(machine: Machine) -> None:
    """The task is pending at version 0."""
    machine.create("a")
    record = machine.record("a")
    assert (record.state, record.version, record.due_at) == (TaskState.PENDING, 0, START)


def test_a_delay_postpones_the_dispatch(machine: Machine) -> None:
    """The task is due at the delay, or now if that is past."""
    machine.create("a", {**TARGET, "resonate:delay": str(START + 50)})
    machine.create("b", {**TARGET, "resonate:delay": "0"})
    assert (machine.record("a").due_at, machine.record("b").due_at) == (START + 50, START)


def test_a_task_of_a_promise_born_settled_is_born_fulfilled(machine: Machine) -> None:
    """It is never dispatched."""
    machine.create("a", TARGET, timeout_at=START)
    assert machine.task("a").state is TaskState.FULFILLED
    assert machine.fire() == []


@pytest.mark.parametrize("tags", [{}, LOCAL, TIMER, {**TIMER, **TARGET}, {"resonate:timer": "true", **TARGET}])
def test_without_a_target_or_as_a_timer_there_is_no_task(machine: Machine, tags: dict[str, str]) -> None:
    """A timer has none even with a target: clients in the field send both."""
    machine.create("a", tags)
    machine.refused(404, TaskGet("a"))


def test_only_true_makes_a_timer(machine: Machine) -> None:
    """Any other value of the tag is no timer, so a target gives a task."""
    machine.create("a", {"resonate:timer": "yes", **TARGET})
    assert machine.task("a").state is TaskState.PENDING


def test_the_last_instant_is_never_reached(machine: Machine) -> None:
    """A deadline of 2^63 − 1 is a promise without a deadline."""
    promise = machine.create("a", {}, timeout_at=MAX_MILLIS)
    assert promise.is_pending
    machine.now = MAX_MILLIS
    assert machine.fire() == []


# --- promise.get ----------------------------------------------------------------------------------


def test_get_of_an_unknown_promise_is_refused(machine: Machine) -> None:
    """404, and the message names it."""
    assert "'a'" in machine.refused(404, PromiseGet("a"))


# --- promise.settle -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", SETTLED)
def test_settling_gives_a_promise_its_outcome(machine: Machine, state: PromiseState) -> None:
    """State, value and instant are kept."""
    machine.create("a", {})
    machine.now += 5
    promise = machine.ok(PromiseSettle("a", state, PARAM), PromiseReply).promise
    assert (promise.state, promise.value, promise.settled_at) == (state, PARAM, START + 5)
    assert machine.promise("a") == promise


def test_the_first_outcome_stays(machine: Machine) -> None:
    """Settling again is 200 with the promise as it is."""
    machine.create("a", {})
    first = machine.settle("a", PromiseState.REJECTED)
    machine.now += 5
    assert machine.settle("a", PromiseState.RESOLVED) == first


def test_settling_an_unknown_promise_is_refused(machine: Machine) -> None:
    """404."""
    machine.refused(404, PromiseSettle("a", PromiseState.RESOLVED))


def test_settling_ends_the_task_and_takes_its_message_back(machine: Machine) -> None:
    """Nobody needs to execute what has an outcome."""
    machine.create("a")
    machine.fire()
    assert len(machine.store.outbox()) == 1
    machine.settle("a")
    task = machine.task("a")
    assert (task.state, task.pid, task.ttl, task.resumes) == (TaskState.FULFILLED, None, None, 0)
    assert machine.store.outbox() == []


# --- promise.register_callback --------------------------------------------------------------------


@pytest.mark.parametrize("tags", [TARGET, TIMER, EXTERNAL, {}, {"resonate:scope": "global"}])
def test_what_is_external_can_be_awaited(machine: Machine, tags: dict[str, str]) -> None:
    """The reply is the awaited promise, and its settling reaches the awaiter."""
    machine.start("root")
    awaited = machine.create("root:1", tags)
    request = PromiseRegisterCallback("root:1", "root")
    assert machine.ok(request, PromiseReply).promise == awaited
    machine.settle("root:1")
    assert machine.record("root").resumes == ("root:1",)


def test_a_callback_is_remembered_once(machine: Machine) -> None:
    """Registering twice wakes once."""
    machine.start("root")
    machine.create("root:1")
    for _ in range(2):
        machine.ok(PromiseRegisterCallback("root:1", "root"), PromiseReply)
    assert machine.turn(lambda draft: list(draft.awaiters("root:1"))) == ["root"]


@pytest.mark.parametrize("settled", ["root", "root:1"])
def test_a_callback_with_a_settled_end_is_not_remembered(machine: Machine, settled: str) -> None:
    """The reply is the awaited promise as it is; there is nothing to wait for, or nobody who waits."""
    machine.create("root")
    machine.create("root:1")
    machine.settle(settled)
    reply = machine.ok(PromiseRegisterCallback("root:1", "root"), PromiseReply)
    assert reply.promise == machine.promise("root:1")
    assert machine.turn(lambda draft: list(draft.awaiters("root:1"))) == []


def test_a_promise_cannot_wait_for_itself(machine: Machine) -> None:
    """400, before anything is looked up."""
    machine.refused(400, PromiseRegisterCallback("a", "a"))


def test_an_unknown_awaited_promise_is_refused(machine: Machine) -> None:
    """404, whatever the awaiter is."""
    machine.refused(404, PromiseRegisterCallback("root:1", "root"))


@pytest.mark.parametrize("tags", [None, {}, {**TARGET, **TIMER}])
def test_an_awaiter_without_a_task_is_refused(machine: Machine, tags: dict[str, str] | None) -> None:
    """422: it does not exist, has no target, or is a timer."""
    if tags is not None:
        machine.create("root", tags)
    machine.create("root:1")
    machine.refused(422, PromiseRegisterCallback("root:1", "root"))


def test_a_local_promise_cannot_be_awaited(machine: Machine) -> None:
    """422: it is executed inside its parent's task."""
    machine.create("root")
    machine.create("root:1", LOCAL)
    machine.refused(422, PromiseRegisterCallback("root:1", "root"))
    machine.refused(422, PromiseRegisterListener("root:1", GROUP))


@pytest.mark.parametrize(
    ("awaited", "tags"),
    [
        ("other:1", {}),
        ("other.1", {}),
        ("root.1:2", {}),
        ("other", {}),
        ("root:1", {"resonate:origin": "root"} | {"resonate:parent": "root"}),
    ],
)
def test_a_callback_joins_one_origin_only(machine: Machine, awaited: str, tags: dict[str, str]) -> None:
    """400 when the origins differ: that of the tag, else what the id says, in either dialect."""
    machine.create("root", {**TARGET, **({"resonate:origin": "root"} if not tags else {})})
    machine.create(awaited, tags)
    request = PromiseRegisterCallback(awaited, "root")
    if tags:
        machine.ok(request, PromiseReply)
    else:
        assert "origin" in machine.refused(400, request)


@pytest.mark.parametrize("child", ["root:1", "root:1.2", "root.1", "root.1.2"])
def test_both_dialects_of_ids_have_the_root_as_origin(machine: Machine, child: str) -> None:
    """Children of current and of older clients can be awaited by their root."""
    machine.create("root")
    machine.create(child)
    machine.ok(PromiseRegisterCallback(child, "root"), PromiseReply)


def test_the_origin_tag_goes_before_the_id(machine: Machine) -> None:
    """`a.b` is a root of its own when its tag says so, and then `a.b:1` belongs to it and not to `a`."""
    machine.create("a.b", {**TARGET, "resonate:origin": "a.b"})
    machine.create("a.b:1")
    machine.create("a")
    machine.ok(PromiseRegisterCallback("a.b:1", "a.b"), PromiseReply)
    machine.refused(400, PromiseRegisterCallback("a.b:1", "a"))


# --- promise.register_listener --------------------------------------------------------------------


def test_a_listener_is_told_once(machine: Machine) -> None:
    """One message per address, with the settled promise; a repeated registration is the same one."""
    pending = machine.create("a")
    for address in (GROUP, "https://example.com/hook", GROUP):
        assert machine.ok(PromiseRegisterListener("a", address), PromiseReply).promise == pending
    settled = machine.settle("a")
    outbox = machine.store.outbox()
    assert [item.key for item in outbox] == [
        ("unblock", "a", "https://example.com/hook"),
        ("unblock", "a", GROUP),
    ]
    assert {getattr(item.message, "promise", None) == settled for item in outbox} == {True}
    assert machine.turn(lambda draft: list(draft.listeners("a"))) == []


def test_listening_to_a_settled_promise_is_its_own_notice(machine: Machine) -> None:
    """The reply has the outcome; no message follows."""
    machine.create("a")
    settled = machine.settle("a")
    assert machine.ok(PromiseRegisterListener("a", GROUP), PromiseReply).promise == settled
    assert machine.store.outbox() == []


def test_a_bad_address_wins_over_an_unknown_promise(machine: Machine) -> None:
    """400 before 404."""
    machine.refused(400, PromiseRegisterListener("a", "nowhere"))
    machine.refused(404, PromiseRegisterListener("a", GROUP))
