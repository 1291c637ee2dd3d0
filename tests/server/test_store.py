"""What both stores promise: the contract that the engine relies on."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from resonate_trio.protocol import (
    EMPTY,
    MAX_MILLIS,
    Promise,
    PromiseState,
    Schedule,
    TaskState,
    Value,
)
from server_ref.machine import Cancellation, Changes, Dispatch, Draft, Due, Sweep, TaskRecord
from server_ref.store import MemoryStore, SqliteStore, Store


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Give an open, empty store of either kind."""
    store: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "test.db")
    store.open()
    yield store
    store.close()


def reopened(store: Store) -> None:
    """Close a store and open it again, so that what follows sees what was really stored."""
    store.close()
    store.open()


def promise(id: str, **fields: object) -> Promise:
    """Return a pending promise."""
    defaults: dict[str, object] = {"state": PromiseState.PENDING, "timeout_at": 100, "created_at": 1}
    return Promise(id, **{**defaults, **fields})  # type: ignore[arg-type]


def task(id: str, state: TaskState = TaskState.PENDING, **fields: object) -> TaskRecord:
    """Return a task at version 1."""
    return TaskRecord(id, state, 1, **fields)  # type: ignore[arg-type]


def schedule(id: str, next_run_at: int = 60, **fields: object) -> Schedule:
    """Return a schedule."""
    return Schedule(id, "* * * * *", "x", 5, 1, next_run_at, **fields)  # type: ignore[arg-type]


def put(draft: Draft, *records: Promise | TaskRecord | Schedule) -> None:
    """Store records of any kind."""
    for record in records:
        if isinstance(record, Promise):
            draft.put_promise(record)
        elif isinstance(record, TaskRecord):
            draft.put_task(record)
        else:
            draft.put_schedule(record)


PROMISES = [
    promise("plain"),
    promise("full", param=Value({"h": "1", "é": '"'}, "data"), tags={"k": "v", "resonate:branch": "b"}),
    promise("settled", state=PromiseState.REJECTED, value=Value({}, ""), settled_at=7),
    promise("only-headers", param=Value({"h": "1"}), value=Value({"h": "2"})),
    promise("last", timeout_at=MAX_MILLIS, created_at=MAX_MILLIS),
    promise("é😀\n'\";--", tags={"é\n": "😀"}),
    promise("x" * 1024),
]
TASKS = [
    task("pending", due_at=MAX_MILLIS),
    task("acquired", TaskState.ACQUIRED, resumes=("a", "b'\"é"), ttl=MAX_MILLIS, pid="p", due_at=5),
    task("suspended", TaskState.SUSPENDED),
    task("halted", TaskState.HALTED, resumes=("a",)),
    task("fulfilled", TaskState.FULFILLED),
    task("cancelled", cancellation=Cancellation(5, MAX_MILLIS, Value({"h": "é"}, "why"), 1)),
    task("cancelled-plainly", TaskState.SUSPENDED, cancellation=Cancellation(0, 1, EMPTY, 0)),
]
SCHEDULES = [
    schedule("plain"),
    schedule("full", promise_param=Value({"h": "1"}, "d"), promise_tags={"k": "v"}, last_run_at=9),
]


def test_what_is_stored_comes_back_as_it_was(store: Store) -> None:
    """Every field of every kind, after closing and opening too."""

    def fill(draft: Draft) -> None:
        put(draft, *PROMISES, *TASKS, *SCHEDULES)

    store.transact(fill)
    for _ in range(2):
        assert store.transact(lambda draft: [draft.promise(each.id) for each in PROMISES]) == PROMISES
        assert store.transact(lambda draft: [draft.task(each.id) for each in TASKS]) == TASKS
        assert store.transact(lambda draft: [draft.schedule(each.id) for each in SCHEDULES]) == SCHEDULES
        reopened(store)


def test_what_is_not_there_is_none(store: Store) -> None:
    """Each kind of record, and each kind of collection is empty."""

    def read(draft: Draft) -> list[object]:
        found = [draft.promise("a"), draft.task("a"), draft.schedule("a"), draft.execute("a")]
        lists = [draft.awaiters("a"), draft.listeners("a"), draft.branch("a"), draft.unblocks()]
        lists += [draft.failure_awaiters("a"), draft.children("a"), draft.sweeps(9)]
        return [*found, *map(list, lists), list(draft.scan_promises("", {})), draft.due(MAX_MILLIS, 9)]

    assert store.transact(read) == [None, None, None, None, [], [], [], [], [], [], [], [], Due([], [], [])]
    assert (store.next_due(), list(store.outbox())) == (None, [])


def test_records_are_replaced(store: Store) -> None:
    """The newest version counts, in every index too."""
    store.transact(lambda draft: draft.put_promise(promise("a", timeout_at=50)))
    store.transact(lambda draft: draft.put_task(task("a", due_at=20)))
    settled = promise("a", timeout_at=50, state=PromiseState.RESOLVED, value=Value(None, "v"), settled_at=9)
    store.transact(lambda draft: draft.put_promise(settled))
    store.transact(lambda draft: draft.put_task(task("a", due_at=30)))
    assert store.transact(lambda draft: draft.promise("a")) == settled
    assert store.transact(lambda draft: draft.due(99, 9)) == Due([], [(30, "a")], [])
    store.transact(lambda draft: draft.put_task(task("a", due_at=20)))
    assert store.transact(lambda draft: draft.due(99, 9)) == Due([], [(20, "a")], [])


def test_a_step_that_raises_stores_nothing(store: Store) -> None:
    """And its error comes out as it is."""

    def fail(draft: Draft) -> None:
        draft.put_promise(promise("a"))
        draft.put_execute("a", Dispatch("x", 1))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.transact(fail)
    assert store.transact(lambda draft: draft.promise("a")) is None
    assert list(store.outbox()) == []
    store.transact(lambda draft: draft.put_promise(promise("a")))
    assert store.transact(lambda draft: draft.promise("a")) == promise("a")


def test_the_result_of_a_step_is_returned(store: Store) -> None:
    """Also of one that changes nothing."""
    assert store.transact(lambda _: "result") == "result"


def test_scans_are_ordered_and_start_after_an_id(store: Store) -> None:
    """By code point, and only what carries the tags or is in the state."""

    def fill(draft: Draft) -> None:
        for id in ("b", "a:10", "a:2", "é", "Z", "a"):
            draft.put_promise(promise(id, tags={"k": "v"} if id < "b" else {}))
            draft.put_task(task(id, TaskState.HALTED if id < "b" else TaskState.SUSPENDED))
            draft.put_schedule(schedule(id, promise_tags={"k": "v"} if id < "b" else {}))

    store.transact(fill)
    everything = ["Z", "a", "a:10", "a:2", "b", "é"]
    for after, tagged in (("", everything[:4]), ("a:10", ["a:2"])):
        rest = [id for id in everything if id > after]

        def ids(draft: Draft, after: str = after) -> list[list[str]]:
            scans = (
                draft.scan_promises(after, {}),
                draft.scan_tasks(after),
                draft.scan_schedules(after, {}),
                draft.scan_promises(after, {"k": "v"}),
                draft.scan_tasks(after, TaskState.HALTED),
                draft.scan_schedules(after, {"k": "v"}),
            )
            return [[record.id for record in scan] for scan in scans]

        assert store.transact(ids) == [rest] * 3 + [tagged] * 3


def test_a_scan_can_be_left_in_the_middle_and_interleaved(store: Store) -> None:
    """A page is read from it, and records are looked up meanwhile."""
    store.transact(lambda draft: put(draft, *(promise(f"p{n}") for n in range(9))))

    def read(draft: Draft) -> list[str]:
        first, second = draft.scan_promises("", {}), draft.scan_promises("p4", {})
        ids = [next(first).id, next(second).id, next(first).id]
        draft.put_promise(promise("other"))
        return ids

    assert store.transact(read) == ["p0", "p5", "p1"]
    assert store.transact(lambda draft: draft.promise("other")) is not None


def test_a_branch_has_its_promises_ordered(store: Store) -> None:
    """And no others."""
    tags = {"resonate:branch": "b"}
    store.transact(lambda draft: put(draft, *(promise(id, tags=tags) for id in ("b:2", "b:1", "b"))))
    store.transact(lambda draft: draft.put_promise(promise("c", tags={"resonate:branch": "c"})))
    assert [p.id for p in store.transact(lambda draft: draft.branch("b"))] == ["b", "b:1", "b:2"]


def test_callbacks_and_listeners_come_and_go(store: Store) -> None:
    """Ordered, once each, and removed without a trace."""

    def add(draft: Draft) -> None:
        for each in ("z", "a", "z"):
            draft.add_callback("p", each)
            draft.add_listener("p", each)

    def remove(draft: Draft) -> None:
        for each in ("a", "unknown"):
            draft.remove_callback("p", each)
            draft.remove_listener("p", each)

    def read(draft: Draft) -> list[list[str]]:
        return [list(draft.awaiters("p")), list(draft.listeners("p")), list(draft.awaiters("q"))]

    store.transact(add)
    store.transact(add)
    assert store.transact(read) == [["a", "z"], ["a", "z"], []]
    store.transact(remove)
    reopened(store)
    assert store.transact(read) == [["z"], ["z"], []]


def test_what_is_due_comes_earliest_first_and_limited(store: Store) -> None:
    """Pending promises only, tasks with an instant only, each kind up to the limit."""

    def fill(draft: Draft) -> None:
        for id, at in (("late", 50), ("early", 10), ("middle", 20)):
            draft.put_promise(promise(id, timeout_at=at))
            draft.put_promise(promise(f"settled-{id}", timeout_at=at, state=PromiseState.RESOLVED))
            draft.put_task(task(id, due_at=at + 1))
            draft.put_task(task(f"idle-{id}", TaskState.SUSPENDED))
            draft.put_schedule(schedule(id, next_run_at=at + 2))

    store.transact(fill)
    assert store.next_due() == 10
    assert store.transact(lambda draft: draft.due(9, 9)) == Due([], [], [])
    assert store.transact(lambda draft: draft.due(21, 9)) == Due(
        [(10, "early"), (20, "middle")], [(11, "early"), (21, "middle")], [(12, "early")]
    )
    assert store.transact(lambda draft: draft.due(99, 1)) == Due([(10, "early")], [(11, "early")], [(12, "early")])


def test_cancellations_are_due_when_their_time_is_over(store: Store) -> None:
    """Earliest first, up to the limit, until the task ends."""

    def fill(draft: Draft) -> None:
        for id, until in (("late", 50), ("early", 10), ("never", MAX_MILLIS)):
            asked = Cancellation(1, until, EMPTY, 0)
            draft.put_task(task(id, TaskState.SUSPENDED, cancellation=asked))

    store.transact(fill)
    assert store.next_due() == 10
    assert store.transact(lambda draft: draft.due(9, 9)).cancellations == []
    assert store.transact(lambda draft: draft.due(99, 9)).cancellations == [(10, "early"), (50, "late")]
    assert store.transact(lambda draft: draft.due(99, 1)).cancellations == [(10, "early")]
    store.transact(lambda draft: draft.put_task(task("early", TaskState.FULFILLED)))
    assert store.transact(lambda draft: draft.due(99, 9)).cancellations == [(50, "late")]
    assert store.next_due() == 50


def test_children_are_found_by_their_parent_in_portions(store: Store) -> None:
    """Ordered by id, and those that were changed as they are now."""

    def fill(draft: Draft) -> None:
        for id in ("p:3", "p:1", "p:2", "q:1"):
            draft.put_promise(promise(id, tags={"resonate:parent": id[0]}))
        draft.put_promise(promise("none"))

    def read(draft: Draft) -> list[list[str]]:
        draft.put_promise(promise("p:15", tags={"resonate:parent": "p"}))
        found = [
            draft.children("p"),
            draft.children("p", "p:1", 2),
            draft.children("p", "p:3"),
            draft.children("x"),
        ]
        return [[each.id for each in children] for children in found]

    store.transact(fill)
    reopened(store)
    assert store.transact(read) == [["p:1", "p:15", "p:2", "p:3"], ["p:15", "p:2"], [], []]
    settled = promise("p:1", state=PromiseState.RESOLVED, settled_at=1, tags={"resonate:parent": "p"})
    store.transact(lambda draft: draft.put_promise(settled))
    assert store.transact(lambda draft: draft.children("p", limit=1)) == [settled]


def test_sweeps_are_due_at_once_until_they_are_done(store: Store) -> None:
    """How far they have come is stored. The last ids come first."""
    store.transact(lambda draft: draft.put_sweep("a", Sweep("", "a")))
    store.transact(lambda draft: draft.put_sweep("b", Sweep("b:1", "a")))
    store.transact(lambda draft: draft.put_sweep("a", Sweep("a:1", "a")))
    reopened(store)
    assert store.next_due() == 0
    read = [("b", Sweep("b:1", "a")), ("a", Sweep("a:1", "a"))]
    assert store.transact(lambda draft: draft.sweeps(9)) == read
    assert store.transact(lambda draft: draft.sweeps(1)) == read[:1]

    def change(draft: Draft) -> list[list[str]]:
        draft.remove_sweep("a")
        draft.put_sweep("c", Sweep("", "c"))
        return [[id for id, _ in draft.sweeps(limit)] for limit in (9, 1)]

    assert store.transact(change) == [["c", "b"], ["c"]]
    for id in ("b", "c"):
        store.transact(partial(Draft.remove_sweep, id=id))
    assert (store.transact(lambda draft: list(draft.sweeps(9))), store.next_due()) == ([], None)


def test_who_waits_for_a_failure_is_found_apart(store: Store) -> None:
    """Beside those who wait for any outcome."""

    def fill(draft: Draft) -> None:
        draft.add_callback("p", "any")
        for awaiter in ("both", "c", "b"):
            draft.add_failure_callback("p", awaiter)
        draft.add_callback("p", "both")

    store.transact(fill)
    store.transact(lambda draft: draft.remove_failure_callback("p", "c"))
    reopened(store)
    read = store.transact(lambda draft: (list(draft.awaiters("p")), list(draft.failure_awaiters("p"))))
    assert read == (["any", "both"], ["b", "both"])


@pytest.mark.parametrize("kind", ["promise", "task", "schedule"])
def test_the_next_instant_is_the_earliest_of_any_kind(store: Store, kind: str) -> None:
    """What is at the last instant of time is never due."""

    def fill(draft: Draft, early: str = kind) -> None:
        draft.put_promise(promise("a", timeout_at=5 if early == "promise" else 50))
        draft.put_task(task("a", due_at=5 if early == "task" else MAX_MILLIS))
        draft.put_schedule(schedule("a", next_run_at=5 if early == "schedule" else 60))

    store.transact(fill)
    assert store.next_due() == 5


def test_never_is_nothing_to_wait_for(store: Store) -> None:
    """A promise without a deadline does not make anybody wait."""
    store.transact(lambda draft: draft.put_promise(promise("a", timeout_at=MAX_MILLIS)))
    assert store.next_due() is None


def test_what_is_put_off_again_and_again_stays_findable(store: Store) -> None:
    """A lease that is extended many times is due once, at its end."""
    for due_at in range(1, 500):
        extended = task("a", due_at=due_at)
        store.transact(partial(Draft.put_task, task=extended))
    assert store.transact(lambda draft: draft.due(999, 9)) == Due([], [(499, "a")], [])
    assert store.next_due() == 499


def test_schedules_can_be_deleted(store: Store) -> None:
    """From every index."""
    store.transact(lambda draft: draft.put_schedule(schedule("a")))
    store.transact(lambda draft: draft.delete_schedule("a"))
    store.transact(lambda draft: draft.delete_schedule("unknown"))
    assert store.transact(lambda draft: (draft.schedule("a"), list(draft.scan_schedules("", {})))) == (None, [])
    assert store.next_due() is None


def test_notices_survive_and_messages_to_workers_do_not(store: Store) -> None:
    """An `unblock` has nothing behind it, an `execute` is sent again."""

    def put(draft: Draft) -> None:
        draft.put_promise(promise("p", state=PromiseState.RESOLVED, settled_at=1))
        draft.put_unblock("p", "x")
        draft.put_execute("t", Dispatch("y", 3))

    store.transact(put)
    assert [(item.key, item.address) for item in store.outbox()] == [
        (("execute", "t", 3), "y"),
        (("unblock", "p", "x"), "x"),
    ]
    reopened(store)
    survived = [item.key for item in store.outbox() if item.key[0] == "unblock"]
    assert survived == [("unblock", "p", "x")]
    store.transact(lambda draft: draft.remove_unblock("p", "x"))
    reopened(store)
    assert [item.key for item in store.outbox() if item.key[0] == "unblock"] == []


def test_the_newest_message_to_a_worker_counts(store: Store) -> None:
    """One per task, and none once it was taken out."""
    store.transact(lambda draft: draft.put_execute("t", Dispatch("x", 1)))
    store.transact(lambda draft: draft.put_execute("t", Dispatch("x", 2)))
    assert [item.key for item in store.outbox()] == [("execute", "t", 2)]
    store.transact(lambda draft: draft.remove_execute("t"))
    assert list(store.outbox()) == []


def test_the_clock_floor_only_rises(store: Store) -> None:
    """It survives with every commit."""

    def at(now: int, draft: Draft) -> None:
        draft.put_promise(promise(f"p{now}"))
        draft.changes.now = now

    assert store.clock_floor() == 0
    for now, floor in ((50, 50), (30, 50), (70, 70)):
        store.transact(partial(at, now))
        reopened(store)
        assert store.clock_floor() == floor


def test_a_reset_drops_everything_before_it_only(store: Store) -> None:
    """What the same turn stores afterwards stays, and the clock may start anew."""

    def fill(draft: Draft) -> None:
        draft.put_promise(promise("old", tags={"resonate:branch": "b"}))
        draft.put_task(task("old", TaskState.ACQUIRED, pid="p", due_at=5))
        draft.put_schedule(schedule("old"))
        draft.add_callback("old", "x")
        draft.add_listener("old", "x")
        draft.put_unblock("old", "x")
        draft.put_execute("old", Dispatch("x", 1))
        draft.changes.now = 99

    def reset(draft: Draft) -> None:
        draft.changes.now = 7
        draft.put_promise(promise("before"))
        draft.reset()
        assert draft.promise("old") is None
        draft.put_promise(promise("new", timeout_at=50))

    store.transact(fill)
    store.transact(reset)
    reopened(store)

    def read(draft: Draft) -> list[list[object]]:
        scans = [draft.scan_promises("", {}), draft.scan_tasks(""), draft.scan_schedules("", {})]
        pairs = [draft.awaiters("old"), draft.listeners("old"), draft.unblocks(), draft.branch("b")]
        return [list(each) for each in (*scans, *pairs)]

    assert store.transact(read) == [[promise("new", timeout_at=50)], [], [], [], [], [], []]
    assert (store.next_due(), list(store.outbox()), store.clock_floor()) == (50, [], 7)


def test_closing_twice_is_harmless(store: Store) -> None:
    """So that nobody needs to know who closed it."""
    store.close()
    store.close()


def test_only_messages_to_workers_need_no_disk() -> None:
    """A turn that changes nothing else costs no commit."""
    assert not Changes(executes={"a": None}, now=5).is_durable
    assert Changes(unblocks={("a", "x"): True}).is_durable
    assert Changes(reset=True).is_durable
