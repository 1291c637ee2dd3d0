"""Tasks that are acquired for a worker by the turn that makes them due."""

from contextlib import closing
from pathlib import Path

import anyio
import pytest

from resonate_trio.protocol import (
    Batch,
    DebugReset,
    DebugStart,
    DebugTick,
    Envelope,
    Execute,
    Head,
    PromiseCreate,
    PromiseRegisterCallback,
    PromiseSettle,
    PromiseState,
    Request,
    TaskCreate,
    TaskRelease,
    TaskState,
    TaskSuspend,
)
from server_ref.delivery import Allotment, Connection, Places, Seat
from server_ref.engine import Engine
from server_ref.engine._turn import Turn
from server_ref.machine import Changes, Draft, Extensions, Outcome, Outgoing, Settings
from server_ref.store import MemoryStore
from server_ref.trace import open_trace
from tests.linearizability.reading import read_trace

from .engine_kit import EPOCH_MS, ProbedStore, an_engine, ask, create, task_state_of

pytestmark = pytest.mark.anyio

TARGET = "poll://any@g"
TTL = 60_000


async def taken(connection: Connection) -> tuple[str, int]:
    """Return id and version of the next task, which comes acquired."""
    with anyio.fail_after(60):
        message = await anext(connection)
    assert isinstance(message, Execute)
    assert message.acquired is not None
    return message.id, message.version


async def together(engine: Engine, *requests: PromiseCreate | PromiseSettle | TaskCreate | TaskSuspend) -> None:
    """Have requests performed in one turn."""
    reply = await ask(engine, Batch([Envelope(Head("c"), request) for request in requests]))
    assert reply.status == 200


def resolve(id: str) -> PromiseSettle:
    """Return a request that resolves a promise."""
    return PromiseSettle(id, PromiseState.RESOLVED)


def wait_for(id: str, version: int, awaited: str) -> TaskSuspend:
    """Return a request that suspends a task until a promise settles."""
    return TaskSuspend(id, version, [Envelope(Head("c"), PromiseRegisterCallback(awaited, id))])


async def test_new_task_is_acquired_in_the_turn_that_creates_it() -> None:
    """One commit, and the worker has it."""
    store = ProbedStore()
    async with an_engine(store) as engine, engine.connect("g", "a", ttl=TTL) as connection:
        before = store.transactions
        await ask(engine, create("t", target=TARGET))
        assert await taken(connection) == ("t", 1)
        assert store.transactions == before + 1


async def test_task_that_is_woken_is_acquired_in_the_turn_that_wakes_it() -> None:
    """For who suspended it, be it in the same turn; and also as part of a batch."""
    store = ProbedStore()
    async with (
        an_engine(store) as engine,
        engine.connect("g", "a", ttl=TTL) as connection,
        engine.connect("g", "b", ttl=TTL),
    ):
        await together(engine, create("t", target="poll://any@g/a"), create("t:1"), create("t:2"))
        assert await taken(connection) == ("t", 1)
        await ask(engine, wait_for("t", 1, "t:1"))
        before = store.transactions
        await ask(engine, resolve("t:1"))
        assert await taken(connection) == ("t", 2)
        await together(engine, wait_for("t", 2, "t:2"), resolve("t:2"))
        assert await taken(connection) == ("t", 3)
        assert store.transactions == before + 2


async def test_tasks_of_one_turn_are_spread_over_the_workers() -> None:
    """Evenly, as those that come one after another; what a turn takes itself counts."""
    async with (
        an_engine() as engine,
        engine.connect("g", "a", capacity=9, ttl=TTL) as first,
        engine.connect("g", "b", capacity=9, ttl=TTL) as second,
    ):
        mine = TaskCreate("a", TTL, Envelope(Head("c"), create("mine", target=TARGET)))
        await together(engine, mine, *(create(f"t{number}", target=TARGET) for number in range(3)))
        assert [await taken(second), await taken(first), await taken(second)] == [("t0", 1), ("t1", 1), ("t2", 1)]


async def test_equally_loaded_workers_take_turns() -> None:
    """Also over several turns of the engine."""
    async with (
        an_engine() as engine,
        engine.connect("g", "a", ttl=TTL) as first,
        engine.connect("g", "b", ttl=TTL) as second,
    ):
        for number, connection in enumerate((first, second, first)):
            await ask(engine, create(f"t{number}", target=TARGET))
            assert await taken(connection) == (f"t{number}", 1)
            await ask(engine, resolve(f"t{number}"))


async def test_turn_gives_no_more_than_there_is_room() -> None:
    """The rest waits."""
    async with an_engine() as engine, engine.connect("g", "a", capacity=2, ttl=TTL) as connection:
        await together(engine, *(create(f"t{number}", target=TARGET) for number in range(3)))
        assert [await taken(connection), await taken(connection)] == [("t0", 1), ("t1", 1)]
        assert await task_state_of(engine, "t2") is TaskState.PENDING
        await ask(engine, resolve("t0"))
        assert await taken(connection) == ("t2", 1)


async def test_room_that_a_turn_makes_is_used_by_it() -> None:
    """If nobody waits for it."""
    store = ProbedStore()
    async with an_engine(store) as engine, engine.connect("g", "a", capacity=1, ttl=TTL) as connection:
        await ask(engine, create("t1", target=TARGET))
        assert await taken(connection) == ("t1", 1)
        before = store.transactions
        await together(engine, resolve("t1"), create("t2", target=TARGET))
        assert await taken(connection) == ("t2", 1)
        assert store.transactions == before + 1


async def test_who_waits_for_room_is_first() -> None:
    """Not what comes in the turn that makes room."""
    async with an_engine() as engine, engine.connect("g", "a", capacity=1, ttl=TTL) as connection:
        for id in ("t1", "t2"):
            await ask(engine, create(id, target=TARGET))
        assert await taken(connection) == ("t1", 1)
        await together(engine, resolve("t1"), create("t3", target=TARGET))
        assert await taken(connection) == ("t2", 1)


async def test_worker_without_ttl_counts_too() -> None:
    """It gets its share, to acquire by itself."""
    async with (
        an_engine() as engine,
        engine.connect("g", "a", capacity=9) as first,
        engine.connect("g", "b", ttl=TTL) as second,
    ):
        await together(engine, create("t1", target=TARGET), create("t2", target=TARGET))
        assert await anext(first) == Execute("t1", 0)
        assert await taken(second) == ("t2", 1)


@pytest.mark.parametrize("address", ["https://x.example/", "poll://any@h", "poll://uni@g/other"])
async def test_task_for_somebody_else_is_left_alone(address: str) -> None:
    """By its address: one that is pushed, of another group, for another worker."""
    async with an_engine() as engine, engine.connect("g", "a", ttl=TTL):
        await ask(engine, create("t", target=address))
        assert await task_state_of(engine, "t") is TaskState.PENDING


async def test_task_whose_promise_is_over_is_not_acquired() -> None:
    """It was due at the instant of a debug.tick, and ended before the turn itself."""
    async with an_engine(debug=True) as engine, engine.connect("g", "a", ttl=TTL):
        await ask(engine, DebugStart())
        await ask(engine, create("t", target=TARGET, timeout_at=EPOCH_MS - 1), debug_time=EPOCH_MS - 9)
        await ask(engine, DebugTick(EPOCH_MS - 9))
        assert await task_state_of(engine, "t") is TaskState.FULFILLED


async def test_bug_in_placing_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The task is acquired by a later turn."""

    def broken(request: Request, now: int, draft: Draft, offered: Extensions) -> Outcome:
        del request, now, draft, offered
        raise ZeroDivisionError

    monkeypatch.setattr("server_ref.engine._placing.perform", broken)
    async with an_engine(debug=True) as engine, engine.connect("g", "a", ttl=TTL) as connection:
        await ask(engine, DebugStart())
        await ask(engine, create("t", target=TARGET))
        assert (await ask(engine, DebugTick(EPOCH_MS))).status == 200
        assert await taken(connection) == ("t", 1)
    assert "ZeroDivisionError" in caplog.text


def test_address_that_cannot_be_read_is_left_to_the_delivery() -> None:
    """Which logs it."""
    places = Places.after(Changes(), Allotment({"g": {"a": Seat("g", "a", ttl=TTL)}}))
    assert places.find(Outgoing(("execute", "t", 0), "carrier-pigeon", Execute("t", 0))) is None
    assert places.find(Outgoing(("execute", "t", 0), TARGET, Execute("t", 0))) is not None


def test_turn_that_runs_twice_does_the_same_twice() -> None:
    """Its allotment is not used up."""
    seats = {"a": Seat("g", "a", capacity=1, ttl=TTL), "b": Seat("g", "b", capacity=1, ttl=TTL)}
    requests = [Envelope(Head("c"), create(f"t{number}", target=TARGET)) for number in range(3)]
    turn = Turn(requests, [], EPOCH_MS, Settings(), allotment=Allotment({"g": seats}))
    runs = []
    for _ in range(2):
        result = MemoryStore().transact(turn.run)
        runs.append([(placed.outgoing, placed.seat) for placed in result.placed])
        assert [message.key for message in result.messages] == [("execute", "t2", 0)]
    assert len(runs[0]) == 2
    assert runs[0] == runs[1]


def test_after_a_reset_a_turn_acquires_nothing() -> None:
    """What it knows of the workers is of before."""
    requests: list[Envelope[Request]] = [
        Envelope(Head("c"), DebugReset()),
        Envelope(Head("c"), create("t", target=TARGET)),
    ]
    allotment = Allotment({"g": {"a": Seat("g", "a", ttl=TTL)}})
    result = MemoryStore().transact(Turn(requests, [], EPOCH_MS, Settings(), debug=True, allotment=allotment).run)
    assert result.placed == ()
    assert [message.key for message in result.messages] == [("execute", "t", 0)]


async def test_trace_has_what_was_acquired_for_workers(tmp_path: Path) -> None:
    """In its place: after what made it due, before what came of it."""
    path = tmp_path / "t.jsonl"
    with closing(open_trace(path)) as trace:
        async with an_engine(trace=trace) as engine, engine.connect("g", "a", ttl=TTL) as connection:
            await ask(engine, create("t", target=TARGET))
            assert await taken(connection) == ("t", 1)
            await ask(engine, TaskRelease("t", 1))
    created, acquired, released, *_ = read_trace(path)
    assert [line["kind"] for line in (created, acquired, released)] == [
        "promise.create",
        "task.acquire",
        "task.release",
    ]
    assert acquired["ticks"] == [EPOCH_MS]
    assert acquired["req"]["pid"] == "a"
    assert acquired["res"]["data"]["task"]["version"] == 1
