"""The machine: the three searches, and the debug requests about records."""

import pytest

from resonate_trio.protocol import (
    Callback,
    DebugReset,
    DebugSnap,
    DebugTick,
    Execute,
    Listener,
    OutgoingMessage,
    PromisePage,
    PromiseRegisterListener,
    PromiseReply,
    PromiseSearch,
    PromiseState,
    PromiseTimeout,
    ScheduleCreate,
    SchedulePage,
    ScheduleReply,
    ScheduleSearch,
    Snapshot,
    TaskPage,
    TaskSearch,
    TaskState,
    TaskTimeout,
    Unblock,
    message_to_wire,
)

from .machine_kit import FAR, GROUP, START, TARGET, TIMER, TTL, Machine


@pytest.fixture
def machine() -> Machine:
    """Give an empty machine."""
    return Machine()


def found(machine: Machine, request: PromiseSearch) -> list[str]:
    """Return the ids that a search finds on its first page."""
    return [promise.id for promise in machine.ok(request, PromisePage).promises]


def test_promises_are_found_in_order_of_id(machine: Machine) -> None:
    """All of them, when nothing is asked for."""
    for id in ("b", "a:2", "a:10", "é", "a"):
        machine.create(id, {})
    assert found(machine, PromiseSearch()) == ["a", "a:10", "a:2", "b", "é"]


def test_all_tags_must_match(machine: Machine) -> None:
    """Names and values, also those with quotes and other scripts."""
    odd = {'a"b.c[0]': "x'y", "é": "ü"}
    machine.create("a", {"k": "1", "l": "1", **odd})
    machine.create("b", {"k": "1"})
    assert found(machine, PromiseSearch(tags={"k": "1"})) == ["a", "b"]
    assert found(machine, PromiseSearch(tags={"k": "1", "l": "1"})) == ["a"]
    assert found(machine, PromiseSearch(tags=odd)) == ["a"]
    assert found(machine, PromiseSearch(tags={"k": "2"})) == []


def test_the_state_is_that_of_now(machine: Machine) -> None:
    """An expired promise is found as what it is, though the store says pending."""
    machine.create("a", {}, timeout_at=START + 1)
    machine.create("b", TIMER, timeout_at=START + 1)
    machine.create("c", {})
    machine.now += 1
    assert found(machine, PromiseSearch(PromiseState.TIMEDOUT)) == ["a"]
    assert found(machine, PromiseSearch(PromiseState.RESOLVED)) == ["b"]
    assert found(machine, PromiseSearch(PromiseState.PENDING)) == ["c"]


def test_pages_follow_each_other_without_gap_or_overlap(machine: Machine) -> None:
    """Also when promises come and go between them; the last page has no cursor."""
    for n in range(5):
        machine.create(f"p{n}", {})
    first = machine.ok(PromiseSearch(limit=2), PromisePage)
    assert [p.id for p in first.promises] == ["p0", "p1"]
    machine.create("p1a", {})
    second = machine.ok(PromiseSearch(limit=4, cursor=first.cursor), PromisePage)
    assert ([p.id for p in second.promises], second.cursor) == (["p1a", "p2", "p3", "p4"], None)


def test_a_page_has_a_hundred_promises_unless_asked_otherwise(machine: Machine) -> None:
    """Ten for schedules."""
    for n in range(101):
        machine.create(f"p{n:03}")
    for n in range(11):
        machine.ok(ScheduleCreate(f"s{n:02}", "* * * * *", "x", 1, TARGET), ScheduleReply)
    assert len(machine.ok(PromiseSearch(), PromisePage).promises) == 100
    assert len(machine.ok(TaskSearch(), TaskPage).tasks) == 100
    page = machine.ok(ScheduleSearch(), SchedulePage)
    assert (len(page.schedules), page.cursor) == (10, "s09")
    last = machine.ok(ScheduleSearch(cursor=page.cursor), SchedulePage)
    assert ([s.id for s in last.schedules], last.cursor) == (["s10"], None)


@pytest.mark.parametrize("prefix", ["a", "a:", "a:2", "a:3", "b", "\ue000", "\0", "\U0010ffff", "a:2" * 1000])
def test_a_prefix_finds_the_ids_that_begin_with_it(machine: Machine, prefix: str) -> None:
    """From the first of them on, or from the cursor, whatever comes before or after them."""
    ids = ["", "a", "a9", "a:1", "a:2", "a:2.1", "a:2\U0010ffff\U0010ffff", "b", "\ud7ff", "\ue000", "\ue000x"]
    for id in ids[1:]:
        machine.create(id, {})
    for cursor in ids:
        expected = [id for id in ids[1:] if id.startswith(prefix) and id > cursor]
        assert found(machine, PromiseSearch(prefix=prefix, cursor=cursor)) == expected
    assert found(machine, PromiseSearch(prefix="")) == ids[1:]


def test_tasks_are_found_by_their_state_of_now(machine: Machine) -> None:
    """A task of an expired promise is fulfilled, whatever the store says."""
    machine.create("pending")
    machine.start("acquired")
    machine.create("expired", timeout_at=START + 1)
    machine.now += 1
    for state, ids in (
        (TaskState.PENDING, ["pending"]),
        (TaskState.ACQUIRED, ["acquired"]),
        (TaskState.FULFILLED, ["expired"]),
        (None, ["acquired", "expired", "pending"]),
    ):
        assert [task.id for task in machine.ok(TaskSearch(state), TaskPage).tasks] == ids


def test_schedules_are_found_by_the_tags_of_their_promises(machine: Machine) -> None:
    """All of them must match."""
    for id, tags in (("a", {"k": "1"}), ("b", {"k": "2"})):
        machine.ok(ScheduleCreate(id, "* * * * *", "x", 1, {**TARGET, **tags}), ScheduleReply)
    page = machine.ok(ScheduleSearch({"k": "2"}), SchedulePage)
    assert [schedule.id for schedule in page.schedules] == ["b"]


# --- Debug ----------------------------------------------------------------------------------------


def filled(machine: Machine) -> None:
    """Store something of everything."""
    machine.start("root")
    machine.create("root:1")
    machine.create("root:2", {}, timeout_at=START + 1)
    machine.suspend("root", "root:1")
    machine.ok(PromiseRegisterListener("root:1", GROUP), PromiseReply)
    machine.create("told", {})
    machine.ok(PromiseRegisterListener("told", GROUP), PromiseReply)
    machine.settle("told")
    machine.start("held")
    machine.ok(ScheduleCreate("s", "* * * * *", "x", 1, TARGET), ScheduleReply)
    machine.fire()


def test_a_snapshot_shows_everything_as_stored(machine: Machine) -> None:
    """Each list ordered; an expired promise is still pending in it."""
    filled(machine)
    machine.now += 1
    snapshot = machine.ok(DebugSnap(), Snapshot)
    assert [(p.id, p.is_pending) for p in snapshot.promises] == [
        ("held", True),
        ("root", True),
        ("root:1", True),
        ("root:2", True),
        ("told", False),
    ]
    assert snapshot.promise_timeouts == [
        PromiseTimeout("held", FAR),
        PromiseTimeout("root", FAR),
        PromiseTimeout("root:1", FAR),
        PromiseTimeout("root:2", START + 1),
    ]
    assert snapshot.callbacks == [Callback("root", "root:1")]
    assert snapshot.listeners == [Listener("root:1", GROUP)]
    assert [(task.id, task.state) for task in snapshot.tasks] == [
        ("held", TaskState.ACQUIRED),
        ("root", TaskState.SUSPENDED),
        ("root:1", TaskState.PENDING),
    ]
    assert snapshot.task_timeouts == [
        TaskTimeout("held", 1, START + TTL),
        TaskTimeout("root:1", 0, START + machine.settings.retry_interval_ms),
    ]
    assert snapshot.messages == [
        OutgoingMessage(GROUP, message_to_wire(Execute("root:1", 0))),
        OutgoingMessage(GROUP, message_to_wire(Unblock(machine.promise("told")))),
    ]


def test_a_reset_empties_everything(machine: Machine) -> None:
    """Records, schedules and the outbox; and the machine goes on from there."""
    filled(machine)
    machine.done(DebugReset())
    assert machine.ok(DebugSnap(), Snapshot) == Snapshot([], [], [], [], [], [], [])
    assert machine.ok(ScheduleSearch(), SchedulePage).schedules == []
    assert (machine.store.next_due(), machine.store.outbox()) == (None, [])
    machine.create("root")
    assert found(machine, PromiseSearch()) == ["root"]


def test_requests_about_the_clock_are_not_for_the_machine(machine: Machine) -> None:
    """The engine owns it."""
    with pytest.raises(TypeError, match=r"debug\.tick is for the engine"):
        machine.do(DebugTick(5))
