"""The engine and time: it sleeps until something is due, and acts then."""

import anyio
import pytest

from resonate_trio.protocol import (
    Envelope,
    Execute,
    Head,
    PromiseGet,
    PromiseReply,
    TaskCreate,
    TaskState,
)
from server_ref.clock import LoopClock
from server_ref.machine import Settings

from .engine_kit import EPOCH_MS, FAR, ProbedStore, SettableClock, an_engine, ask, create, task_state_of, waits

pytestmark = pytest.mark.anyio


@waits
async def test_deadline_is_met_to_the_millisecond() -> None:
    """The engine sleeps until the next deadline and acts then."""
    async with an_engine(clock=LoopClock(EPOCH_MS)) as engine, engine.connect("g", "a") as connection:
        await ask(engine, create("t", timeout_at=FAR, target="poll://any@g", delay=str(EPOCH_MS + 12_345)))
        start = anyio.current_time()
        await anext(connection)
        assert anyio.current_time() - start == pytest.approx(12.345)


@waits
async def test_nothing_runs_while_nothing_is_due() -> None:
    """An idle server starts no transaction: it does not poll."""
    store = ProbedStore()
    async with an_engine(store, clock=LoopClock(EPOCH_MS)) as engine:
        await ask(engine, create("p"))
        before = store.transactions
        await anyio.sleep(24 * 3600)
        assert store.transactions == before


@waits
async def test_task_that_is_not_acquired_is_dispatched_again() -> None:
    """An `execute` that was handed over, and came to nothing, is sent again after the retry interval."""
    settings = Settings(retry_interval_ms=7_000)
    async with (
        an_engine(clock=LoopClock(EPOCH_MS), settings=settings) as engine,
        engine.connect("g", "a") as connection,
    ):
        await ask(engine, create("t", target="poll://any@g"))
        await anext(connection)
        start = anyio.current_time()
        assert await anext(connection) == Execute("t", 0)
        assert anyio.current_time() - start == pytest.approx(7)


@waits
async def test_lease_that_is_not_extended_ends() -> None:
    """A task whose holder fell silent is sent to another worker as soon as the lease is over."""
    async with an_engine(clock=LoopClock(EPOCH_MS)) as engine, engine.connect("g", "b") as connection:
        action = Envelope(Head("c"), create("t", target="poll://any@g"))
        await ask(engine, TaskCreate("a", 3_000, action))
        start = anyio.current_time()
        assert await anext(connection) == Execute("t", 1)
        assert anyio.current_time() - start == pytest.approx(3)


async def test_what_is_due_is_done_in_the_turn_of_a_request() -> None:
    """A turn that comes late does what has become due meanwhile."""
    clock = SettableClock()
    async with an_engine(clock=clock) as engine:
        action = Envelope(Head("c"), create("t", target="poll://any@g"))
        await ask(engine, TaskCreate("a", 3_000, action))
        clock.ms += 3_000
        await ask(engine, PromiseGet("t"))
        assert await task_state_of(engine, "t") is TaskState.PENDING


async def test_more_than_one_turn_can_do_is_done_in_several() -> None:
    """When the batch limit is hit, the next turn follows at once."""
    clock = SettableClock()
    async with an_engine(clock=clock, settings=Settings(batch_limit=2)) as engine:
        for n in range(7):
            await ask(engine, create(f"t{n}", timeout_at=FAR, target="poll://any@g", delay=str(EPOCH_MS + 10)))
        clock.ms += 10
        await ask(engine, PromiseGet("t0"))
        async with engine.connect("g", "a") as connection:
            with anyio.fail_after(5):
                got = {await anext(connection) for _ in range(7)}
        assert got == {Execute(f"t{n}", 0) for n in range(7)}


async def test_clock_that_is_set_back_stands_still() -> None:
    """Time never goes backwards."""
    clock = SettableClock()
    async with an_engine(clock=clock) as engine:
        await ask(engine, create("a"))
        clock.ms -= 1_000
        reply = await ask(engine, create("b"))
    assert isinstance(reply.data, PromiseReply)
    assert reply.data.promise.created_at == EPOCH_MS
