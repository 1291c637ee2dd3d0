"""What is due first in the SQLite store: known without asking, and never wrong."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from resonate_trio.protocol import EMPTY, Promise, PromiseState, Schedule, TaskState
from server_ref.machine import Cancellation, Draft, Sweep, TaskRecord
from server_ref.store import MemoryStore, SqliteStore

Change = tuple[str, str, int | None, object]
DEADLINES = {"a": 2, "b": 5, "c": 3, "d": 2}
"""They never change."""
PENDING_2 = ("promise", "a", None, PromiseState.PENDING)
PENDING_3 = ("promise", "c", None, PromiseState.PENDING)
PENDING_5 = ("promise", "b", None, PromiseState.PENDING)
SETTLED_2 = ("promise", "a", None, PromiseState.RESOLVED)
STATES = st.sampled_from([PromiseState.PENDING, PromiseState.RESOLVED])
INSTANTS = st.integers(1, 6)
CHANGES = st.one_of(
    st.tuples(st.just("promise"), st.sampled_from(sorted(DEADLINES)), st.none(), STATES),
    st.tuples(st.just("task"), st.sampled_from("abc"), st.none() | INSTANTS, st.none() | INSTANTS),
    st.tuples(st.just("schedule"), st.sampled_from("abc"), st.none() | INSTANTS, st.none()),
    st.tuples(st.just("sweep"), st.sampled_from("ab"), st.booleans(), st.none()),
    st.tuples(st.just("reset"), st.none(), st.none(), st.none()),
)
TURNS = st.lists(
    st.tuples(
        st.lists(CHANGES, min_size=1, max_size=3), st.none() | INSTANTS, st.sampled_from([False] * 5 + [True])
    ),
    min_size=3,
    max_size=9,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Give an open store."""
    store = SqliteStore(tmp_path / "test.db")
    store.open()
    yield store
    store.close()


def look_and_change(now: int | None, changes: list[Change], draft: Draft) -> object:
    """Return what is due at an instant, if one is given, and make changes."""
    found: list[object] = []
    if now is not None:
        due = draft.due(now, 9)
        found += [sorted(due.promises), sorted(due.tasks), sorted(due.schedules), sorted(due.cancellations)]
        found += draft.sweeps(9)
    for one in changes:
        change(draft, *one)
    return found


def change(draft: Draft, kind: str, id: str, first: int | None, second: object) -> None:
    """Make a change."""
    if kind == "promise":
        assert isinstance(second, PromiseState)
        draft.put_promise(Promise(id, second, DEADLINES[id], 0))
    elif kind == "task":
        asked = Cancellation(0, second, EMPTY, 0) if isinstance(second, int) else None
        draft.put_task(TaskRecord(id, TaskState.PENDING, 0, due_at=first, cancellation=asked))
    elif kind == "schedule" and first:
        draft.put_schedule(Schedule(id, "* * * * *", "x", 5, 1, first))
    elif kind == "schedule":
        draft.delete_schedule(id)
    elif kind == "sweep" and first:
        draft.put_sweep(id, Sweep("", ""))
    elif kind == "sweep":
        draft.remove_sweep(id)
    elif kind == "reset":
        draft.reset()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=TURNS)
@example(
    turns=[
        ([PENDING_2, PENDING_3], 1, False),
        ([SETTLED_2], None, False),
        ([PENDING_5], None, False),
        ([], 9, False),
    ]
)
@example(turns=[([PENDING_2], 1, False), ([PENDING_3], None, True), ([], 9, False)])
@example(
    turns=[
        ([PENDING_2, PENDING_3], 1, False),
        ([("reset", "", None, None), PENDING_5], None, False),
        ([], 9, False),
    ]
)
def test_it_is_what_a_store_says_that_keeps_all_in_memory(
    store: SqliteStore, turns: list[tuple[list[Change], int | None, bool]]
) -> None:
    """Whatever is changed, in whatever order, and whenever it is asked."""
    memory = MemoryStore()
    assert store._connection is not None
    store._connection.execute("PRAGMA synchronous = OFF")
    store.transact(Draft.reset)
    for changes, now, is_reopened in turns:
        if is_reopened:
            store.close()
            store.open()
        step = partial(look_and_change, now, changes)
        assert store.transact(step) == memory.transact(step)
        if now is not None:
            assert store.next_due() == memory.next_due()


def test_a_turn_asks_for_nothing_twice_and_for_nothing_that_cannot_be(store: SqliteStore) -> None:
    """Neither for a record that it has read, nor for who waits for what it creates, nor for what is not due."""
    store.transact(lambda draft: draft.put_promise(Promise("old", PromiseState.PENDING, 100, 0)))
    store.next_due()
    statements: list[str] = []

    def step(draft: Draft) -> None:
        for _ in range(2):
            assert draft.promise("old") is not None
            assert draft.task("none") is None
        assert draft.promise("new") is None
        draft.put_promise(Promise("new", PromiseState.RESOLVED, 100, 0))
        assert not [*draft.awaiters("new"), *draft.failure_awaiters("new"), *draft.listeners("new")]
        assert draft.due(99, 9).promises == []
        assert draft.sweeps(9) == []

    assert store._connection is not None
    store._connection.set_trace_callback(lambda statement: statements.append(statement.split()[0]))
    store.transact(step)
    assert store.next_due() == 100
    assert statements == ["BEGIN", "SELECT", "SELECT", "SELECT", "INSERT", "UPDATE", "COMMIT"]
