"""Random histories: both stores, and any cut into transactions, come to the same."""

import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from resonate_trio.protocol import (
    DebugSnap,
    Envelope,
    PromiseCancel,
    PromiseCreate,
    PromiseGet,
    PromiseRegisterCallback,
    PromiseRegisterListener,
    PromiseSearch,
    PromiseSettle,
    PromiseState,
    Request,
    ScheduleCreate,
    ScheduleDelete,
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskSearch,
    TaskState,
    TaskSuspend,
    Value,
)
from server_ref.machine import Draft, Outcome, Settings, fire_due, perform
from server_ref.store import MemoryStore, SqliteStore, Store

from .machine_kit import GROUP, LOCAL, START, TARGET, TIMER, head

SETTINGS = Settings(retry_interval_ms=20, batch_limit=5)
TAGS = [TARGET, TARGET, TARGET, LOCAL, TIMER, {}, {**TARGET, "resonate:delay": str(START + 30)}]
Step = tuple[int, Request | None]
"""An instant, and a request or, as None, the background work."""


def history(seed: int, length: int) -> list[Step]:
    """Return a history whose requests meet: about few tasks at a time, and mostly at their true versions."""
    rng = random.Random(seed)
    store = MemoryStore()
    steps: list[Step] = []
    now = START
    for index in range(length):
        now += rng.choice((0, 0, 0, 1, 5))
        step = now, None if rng.random() < 0.15 else any_request(rng, now, f"r{index // 80}", store)
        store.transact(partial(perform_step, step))
        steps.append(step)
    return steps


def any_request(rng: random.Random, now: int, root: str, store: Store) -> Request:
    """Return a request, sensible or not; those that bring a task forward are the most."""
    id = rng.choice((root, root, root, f"{root}:1", f"{root}:2"))
    other = f"{root}:{rng.randint(1, 3)}"
    task = store.transact(lambda draft: draft.task(id))
    version = task.version if task is not None and rng.random() < 0.9 else rng.randint(0, 4)
    tags = {**(TARGET if id == root else rng.choice(TAGS)), "resonate:branch": root}
    family = {"resonate:parent": root, "resonate:branch": id}
    create = PromiseCreate(id, now + rng.choice((0, 40, 400, 400, 400, 400)), tags)
    child = PromiseCreate(other, now + rng.choice((20, 400)), {**TARGET, **family})
    cancel = PromiseCancel(rng.choice((id, other)), rng.choice((1, 40, 400)), Value(None, other))
    failure = Envelope(head(), PromiseRegisterCallback(f"{root}:4", id, only_failure=True))
    settle = PromiseSettle(other, rng.choice((PromiseState.RESOLVED, PromiseState.REJECTED)))
    callback = Envelope(head(), PromiseRegisterCallback(other, id))
    cron = rng.choice(("* * * * * *", "0 0 30 2 *"))
    weighted: Sequence[tuple[int, Request]] = (
        (5, create),
        (10, TaskCreate("p1", 30, Envelope(head(), create))),
        (10, TaskAcquire(id, version, "p2", 30)),
        (10, TaskFence(id, version, Envelope(head(), child))),
        (10, TaskSuspend(id, version, (callback,))),
        (3, TaskSuspend(id, version, (callback, failure), knows_cancelled=rng.random() < 0.5)),
        (
            3,
            PromiseCreate(f"{root}:4", now + 100, {**LOCAL, "resonate:external": "true", "resonate:parent": root}),
        ),
        (2, cancel),
        (1, TaskFence(id, version, Envelope(head(), cancel))),
        (2, settle),
        (2, TaskFence(id, version, Envelope(head(), settle))),
        (2, TaskHeartbeat("p1", (TaskRef(id, version),))),
        (2, TaskRelease(id, version)),
        (2, TaskContinue(id)),
        (3, TaskHalt(id)),
        (1, TaskFulfill(id, version, Envelope(head(), PromiseSettle(id, PromiseState.RESOLVED)))),
        (1, TaskGet(id)),
        (1, TaskSearch(rng.choice((None, *TaskState)), 2)),
        (1, callback.data),
        (2, PromiseRegisterListener(id, GROUP)),
        (1, PromiseGet(id)),
        (1, PromiseSearch(rng.choice((None, *PromiseState)), {"resonate:branch": root}, 2)),
        (1, ScheduleCreate(root, cron, "{{.id}}.{{.timestamp}}", 5, TARGET)),
        (1, ScheduleDelete(root)),
    )
    return rng.choices([request for _, request in weighted], [weight for weight, _ in weighted])[0]


def perform_step(step: Step, draft: Draft) -> object:
    """Perform a request, or the background work, and return what came of it."""
    now, request = step
    if request is None:
        return fire_due(now, draft, SETTINGS)
    return perform(request, now, draft)


def perform_steps(steps: Sequence[Step], draft: Draft) -> list[object]:
    """Perform several steps in one transaction."""
    return [perform_step(step, draft) for step in steps]


def played(store: Store, steps: Sequence[Step], batch: int) -> list[object]:
    """Play a history in transactions of `batch` steps, and return all replies and the snapshot at the end."""
    results: list[object] = []
    for first in range(0, len(steps), batch):
        cut = steps[first : first + batch]
        results += store.transact(partial(perform_steps, cut))
    results.append(store.transact(lambda draft: perform(DebugSnap(), 0, draft)))
    return results


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteStore]:
    """Give an open SQLite store."""
    store = SqliteStore(tmp_path / "test.db")
    store.open()
    yield store
    store.close()


@pytest.mark.parametrize("seed", range(8))
def test_stores_and_batches_make_no_difference(sqlite: SqliteStore, seed: int) -> None:
    """The same replies and the same records, whichever the store, however the requests are batched."""
    steps = history(seed, 400)
    expected = played(MemoryStore(), steps, 1)
    assert played(MemoryStore(), steps, 64) == expected
    assert played(sqlite, steps, 16) == expected


@pytest.mark.parametrize("seed", range(8))
def test_invariants_hold_in_every_history(seed: int) -> None:
    """After each step the tasks are as the protocol says, and a refusal has changed nothing."""
    store = MemoryStore()

    def checked(step: Step, draft: Draft) -> None:
        result = perform_step(step, draft)
        if isinstance(result, Outcome) and result.status >= 400:
            assert not draft.changes.is_durable
        executes = dict(draft.executes())
        for task in draft.scan_tasks(""):
            promise = draft.promise(task.id)
            assert promise is not None
            assert (task.state is TaskState.FULFILLED) == (not promise.is_pending)
            assert (task.pid is not None) == (task.state is TaskState.ACQUIRED)
            assert (task.due_at is not None) == (task.state in {TaskState.PENDING, TaskState.ACQUIRED})
            waiting = executes.get(task.id)
            assert waiting is None or (task.state is TaskState.PENDING and waiting.version == task.version)
            assert task.cancellation is None or promise.is_pending
            if not promise.is_pending:
                assert not draft.awaiters(task.id)
                assert not draft.failure_awaiters(task.id)
                assert not draft.listeners(task.id)

    for step in history(seed, 400):
        store.transact(partial(checked, step))


@pytest.mark.parametrize("seed", range(4))
def test_a_history_reaches_every_state(seed: int) -> None:
    """Otherwise the tests above would show little."""
    store = MemoryStore()
    seen: set[TaskState] = set()
    for step in history(seed, 400):
        store.transact(partial(perform_step, step))
        seen |= store.transact(lambda draft: {task.state for task in draft.scan_tasks("")})
    assert seen == set(TaskState)
