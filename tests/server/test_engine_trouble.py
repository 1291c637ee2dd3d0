"""The engine when the machine or the store fails."""

import threading

import anyio
import pytest

from resonate_trio.protocol import (
    Execute,
    PromiseState,
    Request,
)
from server_ref.clock import LoopClock
from server_ref.machine import Draft, Extensions, Outcome, Settings, perform
from server_ref.store import StoreError

from .engine_kit import EPOCH_MS, ProbedStore, an_engine, ask, create, state_of, waits

pytestmark = pytest.mark.anyio


async def test_bug_in_one_request_is_that_request_s_affair(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that the machine fails on gets 500 and is logged; the others of its turn are stored."""

    def broken(request: Request, now: int, draft: Draft, offered: Extensions) -> Outcome:
        outcome = perform(request, now, draft, offered)
        if getattr(request, "id", "") == "bad":
            raise ZeroDivisionError
        return outcome

    monkeypatch.setattr("server_ref.engine._turn.perform", broken)
    statuses: dict[str, int] = {}
    async with an_engine() as engine:

        async def keep(id: str) -> None:
            statuses[id] = (await ask(engine, create(id))).status

        async with anyio.create_task_group() as tasks:
            for id in ["a", "bad", "b"]:
                tasks.start_soon(keep, id)
        assert statuses == {"a": 200, "bad": 500, "b": 200}
        monkeypatch.undo()
        assert await state_of(engine, "bad") is None
        assert await state_of(engine, "b") is PromiseState.PENDING
    assert "ZeroDivisionError" in caplog.text


@waits
async def test_bug_in_background_work_stops_no_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests are answered while what is due fails, which is tried again only now and then."""
    attempts: list[float] = []

    def broken(now: int, draft: Draft, settings: Settings) -> bool:
        attempts.append(anyio.current_time())
        raise ZeroDivisionError

    async with an_engine(clock=LoopClock(EPOCH_MS)) as engine:
        await ask(engine, create("p", timeout_at=EPOCH_MS + 1_000))
        monkeypatch.setattr("server_ref.engine._turn.fire_due", broken)
        await anyio.sleep(100)
        assert await state_of(engine, "p") is PromiseState.TIMEDOUT
        assert len(attempts) == 2
    assert "ZeroDivisionError" in caplog.text


async def test_failing_store_acknowledges_nothing_and_the_engine_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While nothing can be stored every request gets 503, said once in the log; later ones are performed."""
    store = ProbedStore()
    async with an_engine(store) as engine:
        store.failure = StoreError("the disk is full")
        assert [(await ask(engine, create(id))).status for id in "abc"] == [503, 503, 503]
        store.failure = None
        assert await state_of(engine, "a") is None
        assert (await ask(engine, create("a"))).status == 200
    assert caplog.text.count("the disk is full") == 1
    assert "works again" in caplog.text


@waits
async def test_what_is_due_waits_for_the_store() -> None:
    """A deadline that falls into an outage of the store is met after it, and not tried all the time."""
    store = ProbedStore()
    async with an_engine(store, clock=LoopClock(EPOCH_MS)) as engine, engine.connect("g", "a") as connection:
        await ask(engine, create("t", target="poll://any@g", delay=str(EPOCH_MS + 1_000)))
        before = store.transactions
        store.failure = StoreError("the disk is full")
        await anyio.sleep(10.5)
        assert store.transactions - before == 10
        store.failure = None
        assert await anext(connection) == Execute("t", 0)


async def test_bug_in_the_store_is_answered_with_500(caplog: pytest.LogCaptureFixture) -> None:
    """An error that the store should not raise fails its turn, not the engine."""
    store = ProbedStore()
    async with an_engine(store) as engine:
        store.failure = ZeroDivisionError()
        assert (await ask(engine, create("p"))).status == 500
        store.failure = None
        assert (await ask(engine, create("p"))).status == 200
    assert "ZeroDivisionError" in caplog.text


async def test_ready_says_whether_the_store_answers() -> None:
    """A store that fails is not ready, one that works is."""
    store = ProbedStore()
    async with an_engine(store) as engine:
        assert await engine.is_ready()
        store.failure = StoreError("the disk is full")
        assert not await engine.is_ready()


@waits
async def test_what_was_committed_is_acknowledged_whatever_comes_after() -> None:
    """A store that fails right after a commit, when it is asked what is due, does not undo the reply."""
    store = ProbedStore()
    async with an_engine(store, clock=LoopClock(EPOCH_MS)) as engine, engine.connect("g", "a") as connection:
        store.next_due_failure = StoreError("the disk is gone")
        delay = str(EPOCH_MS + 1_000)
        assert (await ask(engine, create("t", target="poll://any@g", delay=delay))).status == 200
        await anyio.sleep(10.5)
        store.next_due_failure = None
        assert await anext(connection) == Execute("t", 0)


@waits
async def test_store_that_hangs_is_not_ready() -> None:
    """The question is answered after a while, even if the store does not answer at all."""
    gate = threading.Event()
    store = ProbedStore(blocking=True)
    async with an_engine(store) as engine:
        store.gate = gate
        start = anyio.current_time()
        assert not await engine.is_ready()
        assert anyio.current_time() - start == pytest.approx(5)
        gate.set()
