"""The engine over stores that block, which it calls in a thread: in real time, and without waiting."""

import threading
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from resonate_trio.protocol import (
    Envelope,
    Execute,
    Head,
    PromiseRegisterListener,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    TaskAcquire,
    TaskCreate,
    TaskRelease,
    TaskState,
)
from server_ref.delivery import Connection
from server_ref.store import SqliteStore, StoreError

from .engine_kit import EPOCH_MS, ProbedStore, SettableClock, an_engine, ask, create, state_of, task_state_of

pytestmark = pytest.mark.anyio

TARGET = "poll://any@g"
TTL = 60_000


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both backends in real time: virtual time would run away while a thread works."""
    return str(request.param)


async def test_requests_queue_up_while_a_turn_is_committed() -> None:
    """Those that come during a commit, which blocks a thread and not the event loop, are the next turn."""
    gate = threading.Event()
    store = ProbedStore(blocking=True)
    async with an_engine(store) as engine:
        await ask(engine, create("first"))
        store.gate = gate
        before = store.transactions
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, engine, create("a"))
            while store.transactions == before:
                await checkpoint()
            for n in range(10):
                tasks.start_soon(ask, engine, create(f"p{n}"))
            for _ in range(10):
                await checkpoint()
            assert store.transactions == before + 1
            gate.set()
        assert store.transactions == before + 2


async def test_time_does_not_go_backwards_over_a_restart(tmp_path: Path) -> None:
    """A server that starts with a clock behind its last one goes on from there."""
    path = tmp_path / "r.db"
    async with an_engine(SqliteStore(path)) as engine:
        await ask(engine, create("a"))
    async with an_engine(SqliteStore(path), clock=SettableClock(EPOCH_MS - 1_000)) as engine:
        reply = await ask(engine, create("b"))
    assert isinstance(reply.data, PromiseReply)
    assert reply.data.promise.created_at == EPOCH_MS


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    """What was acknowledged before the end is there afterwards."""
    path = tmp_path / "r.db"
    async with an_engine(SqliteStore(path)) as engine:
        await ask(engine, create("p"))
    async with an_engine(SqliteStore(path)) as engine:
        assert await state_of(engine, "p") is PromiseState.PENDING


async def test_exclusive_engine_releases_what_its_predecessor_held(tmp_path: Path) -> None:
    """An embedded server's tasks were held by its own process, which has died: they are free at once."""
    path = tmp_path / "r.db"
    async with an_engine(SqliteStore(path)) as engine:
        await ask(engine, create("t", target="poll://any@g"))
        await ask(engine, TaskAcquire("t", 0, "a", 10_000))
    async with an_engine(SqliteStore(path)) as engine:
        assert await task_state_of(engine, "t") is TaskState.ACQUIRED
    async with an_engine(SqliteStore(path), exclusive=True) as engine:
        assert await task_state_of(engine, "t") is TaskState.PENDING


async def test_store_that_cannot_be_opened_is_the_caller_s_error(tmp_path: Path) -> None:
    """The error of the store comes out as it is."""
    with pytest.raises(StoreError):
        async with an_engine(SqliteStore(tmp_path)):
            pytest.fail("unreachable")


async def test_messages_survive_a_restart(tmp_path: Path) -> None:
    """Notices are on disk, and pending tasks are sent again."""
    path = tmp_path / "r.db"
    async with an_engine(SqliteStore(path)) as engine:
        await ask(engine, create("p"))
        await ask(engine, PromiseRegisterListener("p", "poll://uni@g/a"))
        await ask(engine, PromiseSettle("p", PromiseState.RESOLVED))
        await ask(engine, create("t", target="poll://any@g"))
    async with an_engine(SqliteStore(path)) as engine, engine.connect("g", "a") as connection:
        with anyio.fail_after(5):
            kinds = {(await anext(connection)).kind, (await anext(connection)).kind}
    assert kinds == {"execute", "unblock"}


async def test_tasks_held_before_a_restart_count_as_load(tmp_path: Path) -> None:
    """A server that starts again knows who holds what, and that a task given back is held no more."""
    path = tmp_path / "r.db"
    async with an_engine(SqliteStore(path)) as engine:
        action = Envelope(Head("c"), create("held", target="poll://any@other"))
        await ask(engine, TaskCreate("busy", 60_000, action))
    async with (
        an_engine(SqliteStore(path)) as engine,
        engine.connect("g", "busy") as busy,
        engine.connect("g", "idle") as idle,
    ):
        with anyio.fail_after(5):
            await ask(engine, create("first", target="poll://any@g"))
            assert await anext(idle) == Execute("first", 0)
            await ask(engine, TaskRelease("held", 1))
            await ask(engine, create("second", target="poll://any@g"))
            assert await anext(busy) == Execute("second", 0)


async def test_task_whose_worker_goes_during_the_commit_is_released() -> None:
    """It was acquired for one that is no longer there."""
    store = ProbedStore(blocking=True)
    async with an_engine(store) as engine, anyio.create_task_group() as tasks:
        async with engine.connect("g", "a", ttl=TTL):
            store.gate = threading.Event()
            before = store.transactions
            tasks.start_soon(ask, engine, create("t", target=TARGET))
            while store.transactions == before:
                await checkpoint()
        store.gate.set()
        async with engine.connect("g", "b", ttl=TTL) as connection:
            with anyio.fail_after(10):
                message = await anext(connection)
    assert isinstance(message, Execute)
    assert message.version == 2


async def test_task_is_released_if_the_server_goes_down_during_the_commit() -> None:
    """The last turns release it, though nothing else is performed any more."""
    gate = threading.Event()
    gate.set()
    store = ProbedStore(blocking=True, gate=gate)

    async def open_the_gate(connection: Connection) -> None:
        async for _ in connection:
            pytest.fail("it is too late")
        gate.set()

    async with (
        anyio.create_task_group() as tasks,
        an_engine(store) as engine,
        engine.connect("g", "a", ttl=TTL) as connection,
    ):
        await ask(engine, create("other"))
        gate.clear()
        before = store.transactions
        tasks.start_soon(open_the_gate, connection)
        tasks.start_soon(ask, engine, create("t", target=TARGET))
        while store.transactions == before:
            await checkpoint()
    released = store.inner.transact(lambda draft: draft.task("t"))
    assert released is not None
    assert (released.state, released.version) == (TaskState.PENDING, 1)
