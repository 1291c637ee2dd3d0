"""The engine: turns, commits, and what it does when something goes wrong."""

import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint
from attrs import define, field

from resonate_trio.protocol import (
    Envelope,
    Execute,
    Head,
    PromiseCreate,
    PromiseGet,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    Reply,
    Request,
    TaskAcquire,
    TaskCreate,
    TaskGet,
    TaskReply,
    TaskState,
)
from server_ref.clock import Clock, LoopClock
from server_ref.engine import Engine, open_engine
from server_ref.machine import Draft, Outcome, Outgoing, Settings, perform
from server_ref.store import MemoryStore, SqliteStore, Store, StoreError

pytestmark = pytest.mark.anyio
waits = pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)

T = TypeVar("T")
EPOCH_MS = 1_700_000_000_000
FAR = 2**60


@define
class SettableClock:
    """A clock that stands still until it is set."""

    ms: int = EPOCH_MS

    def now_ms(self) -> int:
        """Return the instant."""
        return self.ms


@define
class ProbedStore:
    """A memory store that counts its transactions, can be held up in one, and can fail."""

    blocking: bool = False
    inner: MemoryStore = field(factory=MemoryStore)
    transactions: int = 0
    failure: Exception | None = None
    gate: threading.Event | None = None

    def open(self) -> None:
        """Open the store."""
        self.inner.open()

    def close(self) -> None:
        """Close the store."""
        self.inner.close()

    def transact(self, step: Callable[[Draft], T]) -> T:
        """Run a transaction, unless it is to fail."""
        self.transactions += 1
        if self.gate is not None:
            assert self.gate.wait(timeout=10)
        if self.failure is not None:
            raise self.failure
        return self.inner.transact(step)

    def next_due(self) -> int | None:
        """Return the next deadline."""
        return self.inner.next_due()

    def outbox(self) -> Sequence[Outgoing]:
        """Return what waits."""
        return self.inner.outbox()

    def held(self) -> Mapping[str, int]:
        """Return who holds how many tasks."""
        return self.inner.held()

    def clock_floor(self) -> int:
        """Return the highest instant."""
        return self.inner.clock_floor()


@asynccontextmanager
async def an_engine(
    store: Store | None = None, *, clock: Clock | None = None, **options: Any
) -> AsyncGenerator[Engine]:
    """Open an engine, over a memory store and at the epoch if nothing else is said."""
    async with open_engine(store or MemoryStore(), clock=clock or SettableClock(), **options) as engine:
        yield engine


async def ask(engine: Engine, request: Request, *, debug_time: int | None = None) -> Reply:
    """Have a request performed."""
    return await engine.perform(Envelope(Head("c", debug_time=debug_time), request))


def create(id: str, *, timeout_at: int = FAR, **tags: str) -> PromiseCreate:
    """Return a request that creates a promise; `target="x"` stands for the tag `resonate:target`."""
    return PromiseCreate(id, timeout_at, {f"resonate:{name}": value for name, value in tags.items()})


async def state_of(engine: Engine, id: str) -> PromiseState | None:
    """Return the state of a promise, None if there is none."""
    reply = await ask(engine, PromiseGet(id))
    return reply.data.promise.state if isinstance(reply.data, PromiseReply) else None


async def task_state_of(engine: Engine, id: str) -> TaskState | None:
    """Return the state of a task, None if there is none."""
    reply = await ask(engine, TaskGet(id))
    return reply.data.task.state if isinstance(reply.data, TaskReply) else None


async def hand_in(
    engine: Engine,
    request: Request,
    replies: list[Reply],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Hand in a request, to be awaited with `TaskGroup.start`, and keep the reply."""
    task_status.started()
    replies.append(await ask(engine, request))


# --- Turns ----------------------------------------------------------------------------------------


async def test_reply_echoes_kind_and_corr_id() -> None:
    """A reply belongs to its request."""
    async with an_engine() as engine:
        reply = await engine.perform(Envelope(Head("mine"), create("p")))
    assert (reply.kind, reply.head.corr_id, reply.status) == ("promise.create", "mine", 200)


async def test_refused_request_has_its_status_and_message() -> None:
    """A request that is refused is answered, not raised."""
    async with an_engine() as engine:
        reply = await ask(engine, PromiseGet("none"))
    assert reply.status == 404
    assert isinstance(reply.data, str)
    assert "none" in reply.data


async def test_requests_at_the_same_time_share_one_transaction() -> None:
    """What came in together is stored by one commit."""
    store = ProbedStore()
    async with an_engine(store) as engine:
        await ask(engine, create("first"))
        before = store.transactions
        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(ask, engine, create(f"p{n}"))
        assert store.transactions == before + 1
        assert await state_of(engine, "p49") is PromiseState.PENDING


async def test_turn_takes_a_bounded_number_of_requests() -> None:
    """Many requests are cut into turns of at most 256."""
    store = ProbedStore()
    async with an_engine(store) as engine:
        await ask(engine, create("first"))
        before = store.transactions
        async with anyio.create_task_group() as tasks:
            for n in range(300):
                tasks.start_soon(ask, engine, create(f"p{n}"))
        assert store.transactions == before + 2


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


async def test_request_of_a_caller_that_is_cancelled_is_performed() -> None:
    """Giving up waiting harms nobody: the turn goes on, and so does the engine."""
    async with an_engine() as engine:
        async with anyio.create_task_group() as tasks:
            await tasks.start(hand_in, engine, create("p"), [])
            tasks.cancel_scope.cancel()
        assert await state_of(engine, "p") is PromiseState.PENDING


async def test_requests_of_one_turn_are_performed_in_order() -> None:
    """Each request sees what those before it did."""
    async with an_engine() as engine:
        replies: list[Reply] = []
        async with anyio.create_task_group() as tasks:
            await tasks.start(hand_in, engine, create("p"), replies)
            await tasks.start(hand_in, engine, PromiseSettle("p", PromiseState.RESOLVED), replies)
        assert [reply.status for reply in replies] == [200, 200]
        assert await state_of(engine, "p") is PromiseState.RESOLVED


# --- Time -----------------------------------------------------------------------------------------


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


async def test_time_does_not_go_backwards_over_a_restart(tmp_path: Path) -> None:
    """A server that starts with a clock behind its last one goes on from there."""
    path = tmp_path / "r.db"
    async with an_engine(SqliteStore(path)) as engine:
        await ask(engine, create("a"))
    async with an_engine(SqliteStore(path), clock=SettableClock(EPOCH_MS - 1_000)) as engine:
        reply = await ask(engine, create("b"))
    assert isinstance(reply.data, PromiseReply)
    assert reply.data.promise.created_at == EPOCH_MS


# --- Trouble --------------------------------------------------------------------------------------


async def test_bug_in_one_request_is_that_request_s_affair(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that the machine fails on gets 500 and is logged; the others of its turn are stored."""

    def broken(request: Request, now: int, draft: Draft) -> Outcome:
        outcome = perform(request, now, draft)
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


async def test_store_that_cannot_be_opened_is_the_caller_s_error(tmp_path: Path) -> None:
    """The error of the store comes out as it is."""
    with pytest.raises(StoreError):
        async with an_engine(SqliteStore(tmp_path)):
            pytest.fail("unreachable")


async def test_ready_says_whether_the_store_answers() -> None:
    """A store that fails is not ready, one that works is."""
    store = ProbedStore()
    async with an_engine(store) as engine:
        assert await engine.is_ready()
        store.failure = StoreError("the disk is full")
        assert not await engine.is_ready()


# --- Opening and closing --------------------------------------------------------------------------


async def test_error_of_the_block_comes_out_bare() -> None:
    """Who opens an engine does not see that it has tasks inside."""
    with pytest.raises(ZeroDivisionError):
        async with an_engine():
            raise ZeroDivisionError


async def test_requests_that_were_handed_in_are_answered_before_the_end() -> None:
    """Closing the engine waits for what it has taken in, and refuses what comes after."""
    replies: list[Reply] = []
    async with anyio.create_task_group() as tasks, an_engine() as engine:
        await tasks.start(hand_in, engine, create("p"), replies)
    assert replies[0].status == 200
    assert (await ask(engine, create("q"))).status == 503


async def test_cancelled_engine_leaves_nobody_waiting() -> None:
    """Whoever still waits when the engine is cancelled is told that nothing happened."""
    replies: list[Reply] = []
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            async with an_engine() as engine:
                await tasks.start(hand_in, engine, create("p"), replies)
                scope.cancel()
    assert replies[0].status in {200, 503}


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
