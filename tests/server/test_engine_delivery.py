"""The engine and its messages: who gets them, when they are done with, and what survives a restart."""

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from resonate_trio.protocol import (
    DebugReset,
    DebugSnap,
    Envelope,
    Execute,
    Head,
    Message,
    OutgoingMessage,
    PromiseRegisterListener,
    PromiseSettle,
    PromiseState,
    Snapshot,
    TaskAcquire,
    TaskCreate,
    TaskRelease,
    Unblock,
)
from server_ref.delivery import Connection
from server_ref.engine import Engine
from server_ref.engine._loop import HAND_OVER_S
from server_ref.store import MemoryStore

from .engine_kit import ProbedStore, an_engine, ask, create, waits

pytestmark = pytest.mark.anyio


async def take(connection: Connection) -> Message:
    """Return the next message, which has to come at once."""
    with anyio.fail_after(5):
        return await anext(connection)


async def outbox_of(engine: Engine) -> list[OutgoingMessage]:
    """Return what waits to be handed over."""
    reply = await ask(engine, DebugSnap())
    assert isinstance(reply.data, Snapshot)
    return list(reply.data.messages)


async def settle_for_listener(engine: Engine, id: str, address: str) -> None:
    """Create a promise, listen to it, and settle it."""
    await ask(engine, create(id))
    await ask(engine, PromiseRegisterListener(id, address))
    await ask(engine, PromiseSettle(id, PromiseState.RESOLVED))


async def test_task_is_sent_to_a_worker_that_waits() -> None:
    """Creating a promise with a target reaches a connected worker in the same turn."""
    async with an_engine() as engine, engine.connect("g", "a") as connection:
        await ask(engine, create("t", target="poll://any@g"))
        assert await take(connection) == Execute("t", 0)


async def test_task_waits_for_a_worker() -> None:
    """Without a worker the message waits, and goes out as soon as one connects."""
    async with an_engine() as engine:
        await ask(engine, create("t", target="poll://any@g"))
        async with engine.connect("g", "a") as connection:
            assert await take(connection) == Execute("t", 0)


async def test_execute_names_the_server() -> None:
    """A worker is told which server to acquire from."""
    async with an_engine(server_url="http://me:1") as engine, engine.connect("g", "a") as connection:
        await ask(engine, create("t", target="poll://any@g"))
        assert await take(connection) == Execute("t", 0, "http://me:1")


async def test_listener_is_told_the_outcome() -> None:
    """An `unblock` carries the settled promise."""
    async with an_engine() as engine, engine.connect("g", "a") as connection:
        await settle_for_listener(engine, "p", "poll://uni@g/a")
        message = await take(connection)
    assert isinstance(message, Unblock)
    assert (message.promise.id, message.promise.state) == ("p", PromiseState.RESOLVED)


async def test_message_leaves_the_outbox_when_the_next_one_is_asked_for() -> None:
    """Taken is not handed over: only asking again says that a message reached its receiver."""
    async with an_engine(debug=True) as engine, engine.connect("g", "a") as connection:
        await settle_for_listener(engine, "p", "poll://uni@g/a")
        await take(connection)
        assert [message.address for message in await outbox_of(engine)] == ["poll://uni@g/a"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.__anext__)
            await wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await settle_for_listener(engine, "q", "poll://uni@g/b")
        assert [message.address for message in await outbox_of(engine)] == ["poll://uni@g/b"]


@waits
async def test_notice_that_was_handed_over_is_not_sent_after_a_restart() -> None:
    """The store knows of it without any further request, if not at once."""
    store = MemoryStore()
    async with an_engine(store) as engine, engine.connect("g", "a") as connection:
        await settle_for_listener(engine, "p", "poll://uni@g/a")
        await take(connection)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.__anext__)
            await anyio.sleep(HAND_OVER_S + 0.001)
            assert store.outbox() == []
            tasks.cancel_scope.cancel()


@waits
async def test_notice_that_was_handed_over_is_noted_with_the_next_request() -> None:
    """Not by a turn of its own; nor is there one for it later."""
    store = ProbedStore()
    async with an_engine(store) as engine, engine.connect("g", "a") as connection:
        await settle_for_listener(engine, "p", "poll://uni@g/a")
        await take(connection)
        before = store.transactions
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.__anext__)
            await wait_all_tasks_blocked()
            await ask(engine, create("q"))
            assert store.inner.outbox() == []
            await anyio.sleep(10)
            assert store.transactions == before + 1
            tasks.cancel_scope.cancel()


async def test_cancelled_wait_for_a_message_loses_none() -> None:
    """A reader may give up waiting and ask again."""
    async with an_engine() as engine, engine.connect("g", "a") as connection:
        with anyio.move_on_after(0):
            await anext(connection)
        await ask(engine, create("t", target="poll://any@g"))
        assert await take(connection) == Execute("t", 0)


async def test_reader_that_is_cut_off_has_not_confirmed() -> None:
    """A reader that is cancelled before it asks again leaves its last message to another connection."""
    async with an_engine() as engine:
        await settle_for_listener(engine, "p", "poll://uni@g/a")
        with anyio.CancelScope() as scope:
            async with engine.connect("g", "a") as connection:
                await take(connection)
                scope.cancel()
                await anext(connection)
        async with engine.connect("g", "a") as connection:
            assert isinstance(await take(connection), Unblock)


async def test_worker_with_fewer_tasks_gets_the_next_one() -> None:
    """Tasks that are held count, whoever created them."""
    async with an_engine() as engine:
        action = Envelope(Head("c"), create("held", target="poll://any@g"))
        await ask(engine, TaskCreate("busy", 60_000, action))
        async with engine.connect("g", "busy"), engine.connect("g", "idle") as idle:
            for id in "ab":
                await ask(engine, create(id, target="poll://any@g"))
                assert await take(idle) == Execute(id, 0)
                await ask(engine, TaskAcquire(id, 0, "elsewhere", 60_000))


async def test_released_task_is_sent_at_once() -> None:
    """A worker that gives a task back makes it available in the same turn."""
    async with an_engine() as engine, engine.connect("g", "a") as connection:
        await ask(engine, create("t", target="poll://any@g"))
        await take(connection)
        await ask(engine, TaskAcquire("t", 0, "a", 60_000))
        await ask(engine, TaskRelease("t", 1))
        assert await take(connection) == Execute("t", 1)


async def test_task_that_a_vanished_worker_did_not_acquire_goes_to_another() -> None:
    """No retry interval has to pass."""
    async with an_engine() as engine, engine.connect("g", "b") as other:
        async with engine.connect("g", "a") as connection:
            await ask(engine, create("t", target="poll://any@g/a"))
            await take(connection)
        assert await take(other) == Execute("t", 0)


@waits
async def test_replaced_connection_ends() -> None:
    """A second connection of the same worker ends the first, even while that one waits."""
    async with an_engine() as engine, engine.connect("g", "a") as old, anyio.create_task_group() as tasks:
        ended = anyio.Event()

        async def read() -> None:
            async for _ in old:
                pytest.fail("nothing was sent")
            ended.set()

        tasks.start_soon(read)
        await wait_all_tasks_blocked()
        async with engine.connect("g", "a"):
            with anyio.fail_after(5):
                await ended.wait()


async def test_streams_end_when_the_server_goes_down() -> None:
    """Closing the connections ends each stream at once, and those that are opened later."""
    async with an_engine() as engine, engine.connect("g", "a") as connection:
        await ask(engine, create("t", target="poll://any@g"))
        engine.close_connections()
        assert [message async for message in connection] == []
        async with engine.connect("g", "b") as late:
            assert [message async for message in late] == []


async def test_reset_forgets_messages_that_wait() -> None:
    """After debug.reset nothing of before is delivered."""
    async with an_engine(debug=True) as engine:
        await ask(engine, create("t", target="poll://any@g"))
        await ask(engine, DebugReset())
        async with engine.connect("g", "a") as connection:
            await ask(engine, create("u", target="poll://any@g"))
            assert await take(connection) == Execute("u", 0)
            assert await outbox_of(engine) != []


async def test_address_that_cannot_be_read_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """A message to nowhere is logged and left."""
    store = MemoryStore()
    async with an_engine(store) as engine:
        await settle_for_listener(engine, "p", "poll://uni@g/a")
    store.transact(lambda draft: draft.put_unblock("p", "carrier-pigeon"))
    async with an_engine(store) as engine, engine.connect("g", "a") as connection:
        assert isinstance(await take(connection), Unblock)
    assert "carrier-pigeon" in caplog.text
