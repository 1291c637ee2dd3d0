"""A draft: reads see its own writes, whatever lies below."""

import pytest

from resonate_trio.protocol import Promise, PromiseState, Schedule, TaskState
from server_ref.machine import Changes, Dispatch, Draft, Due, TaskRecord
from server_ref.store import MemoryStore

BRANCH = {"resonate:branch": "b"}


def promise(id: str, timeout_at: int = 100, *, state: PromiseState = PromiseState.PENDING) -> Promise:
    """Return a promise of branch `b`."""
    return Promise(id, state, timeout_at, 1, tags=BRANCH)


def task(id: str, due_at: int | None = 10, state: TaskState = TaskState.PENDING) -> TaskRecord:
    """Return a task."""
    return TaskRecord(id, state, 1, due_at=due_at)


def schedule(id: str, next_run_at: int = 10) -> Schedule:
    """Return a schedule."""
    return Schedule(id, "* * * * *", "x", 5, 1, next_run_at, promise_tags=BRANCH)


@pytest.fixture
def below() -> Draft:
    """Give a view with the records a, c and e of each kind, pairs at `a`, and messages."""
    store = MemoryStore()
    views: list[Draft] = []

    def fill(draft: Draft) -> None:
        for id in ("a", "c", "e"):
            draft.put_promise(promise(id))
            draft.put_task(task(id))
            draft.put_schedule(schedule(id))
            draft.add_callback("a", id)
            draft.add_listener("a", id)
            draft.put_unblock("a", id)
            draft.put_execute(id, Dispatch("x", 1))

    store.transact(fill)
    store.transact(views.append)
    return views[0]


def test_a_fresh_draft_shows_what_is_below(below: Draft) -> None:
    """And has no changes."""
    draft = Draft(below)
    assert draft.promise("a") == promise("a")
    assert [p.id for p in draft.branch("b")] == ["a", "c", "e"]
    assert list(draft.awaiters("a")) == ["a", "c", "e"]
    assert not draft.changes.is_durable


def test_scans_merge_what_was_changed(below: Draft) -> None:
    """New, replaced and removed records, in order of id, from after the cursor."""
    draft = Draft(below)
    for id in ("d", "c", "b"):
        draft.put_promise(promise(id, state=PromiseState.RESOLVED))
        draft.put_task(task(id, None, TaskState.SUSPENDED))
        draft.put_schedule(schedule(id, 77))
    draft.delete_schedule("e")
    assert [(p.id, p.is_pending) for p in draft.scan_promises("a", BRANCH)] == [
        ("b", False),
        ("c", False),
        ("d", False),
        ("e", True),
    ]
    assert list(draft.scan_promises("", {"resonate:branch": "other"})) == []
    assert [t.id for t in draft.scan_tasks("", TaskState.PENDING)] == ["a", "e"]
    assert [t.id for t in draft.scan_tasks("b", TaskState.SUSPENDED)] == ["c", "d"]
    assert [(s.id, s.next_run_at) for s in draft.scan_schedules("", BRANCH)] == [
        ("a", 10),
        ("b", 77),
        ("c", 77),
        ("d", 77),
    ]
    assert (draft.schedule("e"), below.schedule("e")) == (None, schedule("e"))


def test_a_branch_merges_what_was_changed(below: Draft) -> None:
    """Ordered by id, each promise once."""
    draft = Draft(below)
    draft.put_promise(promise("c", state=PromiseState.RESOLVED))
    draft.put_promise(promise("b"))
    draft.put_promise(Promise("z", PromiseState.PENDING, 100, 1))
    assert [(p.id, p.is_pending) for p in draft.branch("b")] == [
        ("a", True),
        ("b", True),
        ("c", False),
        ("e", True),
    ]


def test_pairs_merge_what_was_changed(below: Draft) -> None:
    """Added and removed, in either order."""
    draft = Draft(below)
    for add, remove in (
        (draft.add_callback, draft.remove_callback),
        (draft.add_listener, draft.remove_listener),
        (draft.put_unblock, draft.remove_unblock),
    ):
        remove("a", "c")
        add("a", "b")
        remove("a", "new")
        add("a", "new")
        add("a", "gone")
        remove("a", "gone")
    expected = ["a", "b", "e", "new"]
    assert (list(draft.awaiters("a")), list(draft.listeners("a"))) == (expected, expected)
    assert draft.unblocks() == [("a", second) for second in expected]
    assert list(below.awaiters("a")) == ["a", "c", "e"]


def test_what_is_due_merges_what_was_changed(below: Draft) -> None:
    """Earliest first; what was put off or settled is not due, and never hides what is, however small the limit."""
    draft = Draft(below)
    for id in ("a", "c"):
        draft.put_promise(promise(id, state=PromiseState.RESOLVED))
        draft.put_task(task(id, 500))
        draft.delete_schedule(id)
    draft.put_promise(promise("z", 50))
    draft.put_task(task("z", 5))
    draft.put_schedule(schedule("z", 5))
    assert draft.due(100, 9) == Due([(50, "z"), (100, "e")], [(5, "z"), (10, "e")], [(5, "z"), (10, "e")])
    assert draft.due(100, 1) == Due([(50, "z")], [(5, "z")], [(5, "z")])
    draft.put_promise(promise("z", 900))
    assert draft.due(100, 1).promises == [(100, "e")]


def test_messages_merge_what_was_changed(below: Draft) -> None:
    """One per task; one that was taken out is gone."""
    draft = Draft(below)
    draft.put_execute("a", Dispatch("y", 2))
    draft.put_execute("b", Dispatch("y", 1))
    draft.remove_execute("c")
    assert dict(draft.executes()) == {"a": Dispatch("y", 2), "b": Dispatch("y", 1), "e": Dispatch("x", 1)}
    assert (draft.execute("a"), draft.execute("c"), draft.execute("e")) == (
        Dispatch("y", 2),
        None,
        Dispatch("x", 1),
    )


@pytest.mark.parametrize("state", [state for state in TaskState if state is not TaskState.PENDING])
def test_a_message_is_withdrawn_unless_the_task_is_pending(below: Draft, state: TaskState) -> None:
    """Nobody is asked to take what cannot be taken."""
    draft = Draft(below)
    draft.put_task(task("a", None, state))
    draft.put_task(task("c", 20))
    assert draft.changes.executes == {"a": None}


def test_a_reset_hides_what_is_below(below: Draft) -> None:
    """And forgets what was changed before, but not the instant."""
    draft = Draft(below)
    draft.put_promise(promise("new"))
    draft.changes.now = 5
    draft.reset()
    assert draft.changes == Changes(reset=True, now=5)
    assert [draft.promise("new"), draft.task("a"), draft.schedule("a"), draft.execute("a")] == [None] * 4
    scans = (draft.scan_promises("", {}), draft.scan_tasks(""), draft.scan_schedules("", {}), draft.branch("b"))
    assert [list(scan) for scan in scans] == [[]] * 4
    assert [list(draft.awaiters("a")), list(draft.listeners("a")), list(draft.unblocks())] == [[]] * 3
    assert (draft.due(999, 9), list(draft.executes())) == (Due([], [], []), [])
    assert [list(draft.failure_awaiters("a")), list(draft.children("a")), list(draft.sweeps(9))] == [[]] * 3
    draft.add_callback("a", "after")
    assert draft.changes.callbacks == {("a", "after"): True}
