"""Delivery: who holds a task is told at once that it is to be cancelled."""

import anyio
import pytest

from resonate_trio.protocol import (
    Batch,
    Cancel,
    Envelope,
    Execute,
    Head,
    PromiseCancel,
    PromiseSettle,
    PromiseState,
    TaskAcquire,
    TaskFulfill,
)
from server_ref.delivery import Connection
from server_ref.engine import Engine

from .engine_kit import EPOCH_MS, SettableClock, an_engine, ask, create, state_of, waits

pytestmark = pytest.mark.anyio

TASK = create("t", target="poll://any@g")


async def take(connection: Connection) -> object:
    """Return the next message, which has to come at once."""
    with anyio.fail_after(5):
        return await anext(connection)


async def acquired(engine: Engine, connection: Connection, pid: str = "a") -> None:
    """Have a task acquired by a connected worker."""
    await ask(engine, TASK)
    assert await take(connection) == Execute("t", 0)
    await ask(engine, TaskAcquire("t", 0, pid, 60_000))


async def test_the_holder_of_a_cancelled_task_is_told() -> None:
    """On the connection of its process, whatever its group, and nobody else."""
    async with (
        an_engine() as engine,
        engine.connect("g", "a") as holder,
        engine.connect("other", "a") as same_process,
        engine.connect("other", "b") as another,
    ):
        await acquired(engine, holder)
        await ask(engine, PromiseCancel("t", 1_000))
        told = Cancel("t", 1, EPOCH_MS)
        assert [await take(holder), await take(same_process)] == [told, told]
        await ask(engine, create("u", target="poll://uni@other/b"))
        assert await take(another) == Execute("u", 0)


async def test_a_holder_is_told_once() -> None:
    """By the first request."""
    async with an_engine() as engine, engine.connect("g", "a") as holder:
        await acquired(engine, holder)
        for _ in range(2):
            await ask(engine, PromiseCancel("t", 1_000))
        assert await take(holder) == Cancel("t", 1, EPOCH_MS)
        await ask(engine, create("u", target="poll://any@g"))
        assert await take(holder) == Execute("u", 0)


async def test_what_a_holder_is_sent_comes_in_order() -> None:
    """First what was sent before, so that a worker knows the task that it hears of."""
    async with an_engine() as engine, engine.connect("g", "a") as holder:
        await acquired(engine, holder)
        await ask(engine, create("u", target="poll://any@g"))
        await ask(engine, PromiseCancel("t", 1_000))
        assert [await take(holder), await take(holder)] == [Execute("u", 0), Cancel("t", 1, EPOCH_MS)]


async def test_a_holder_is_told_only_of_what_its_token_allows() -> None:
    """As with all other messages."""
    async with (
        an_engine() as engine,
        engine.connect("g", "a") as holder,
        engine.connect("other", "a", prefix="x") as narrow,
    ):
        await acquired(engine, holder)
        await ask(engine, PromiseCancel("t", 1_000))
        assert await take(holder) == Cancel("t", 1, EPOCH_MS)
        await ask(engine, create("x", target="poll://any@other"))
        assert await take(narrow) == Execute("x", 0)


async def test_a_task_that_nobody_holds_is_sent_as_cancelled() -> None:
    """The message says since when."""
    async with an_engine() as engine, engine.connect("g", "a") as worker:
        await ask(engine, TASK)
        assert await take(worker) == Execute("t", 0)
        await ask(engine, PromiseCancel("t", 1_000))
        assert await take(worker) == Execute("t", 0, cancelled_at=EPOCH_MS)


async def test_who_holds_the_task_without_a_connection_is_not_told() -> None:
    """It hears of it from the next reply; nothing is kept for it."""
    async with an_engine() as engine:
        await ask(engine, TASK)
        await ask(engine, TaskAcquire("t", 0, "a", 60_000))
        await ask(engine, PromiseCancel("t", 1_000))
        async with engine.connect("g", "a") as late:
            await ask(engine, create("u", target="poll://any@g"))
            assert await take(late) == Execute("u", 0)


async def test_a_task_that_ended_in_the_same_turn_is_not_told_of() -> None:
    """Its former holder has nothing to cancel."""
    async with an_engine() as engine, engine.connect("g", "a") as holder:
        await acquired(engine, holder)
        settle = PromiseSettle("t", PromiseState.RESOLVED)
        fulfill = TaskFulfill("t", 1, Envelope(Head("c"), settle))
        await ask(engine, Batch([Envelope(Head("c"), each) for each in (PromiseCancel("t", 1_000), fulfill)]))
        await ask(engine, create("u", target="poll://any@g"))
        assert await take(holder) == Execute("u", 0)
        assert await state_of(engine, "t") is PromiseState.RESOLVED


@waits
async def test_the_server_ends_what_is_not_cancelled_in_time() -> None:
    """When the budget is over, without being asked, and with what lies below."""
    clock = SettableClock()
    async with an_engine(clock=clock) as engine:
        await ask(engine, TASK)
        await ask(engine, create("t:1", target="poll://any@g", parent="t"))
        await ask(engine, PromiseCancel("t", 2_000))
        await anyio.sleep(1.9)
        clock.ms += 1_999
        assert await state_of(engine, "t") is PromiseState.PENDING
        clock.ms += 1
        await anyio.sleep(2)
        assert [await state_of(engine, id) for id in ("t", "t:1")] == [PromiseState.CANCELED] * 2
