"""Capacity: a worker is sent no more tasks than it says it can hold."""

from typing import Any

import httpx
import pytest

from resonate_trio.protocol import (
    Acquired,
    Execute,
    PollAddress,
    Promise,
    PromiseRegisterListener,
    PromiseSettle,
    PromiseState,
    Request,
    Task,
    TaskAcquire,
    TaskRelease,
    TaskState,
    Unblock,
    parse_address,
)
from server_ref.app import create_app
from server_ref.delivery import Connection, Peer, Router, Seat
from server_ref.engine import Engine
from server_ref.machine import Outgoing, Settings, TaskRecord

from .engine_kit import an_engine, ask, create

pytestmark = pytest.mark.anyio

TARGET = "poll://any@g"


def post(router: Router, *ids: str, address: str = TARGET, version: int = 0) -> None:
    """Post an `execute` for each of these tasks."""
    for id in ids:
        parsed = parse_address(address)
        assert isinstance(parsed, PollAddress)
        router.post(Outgoing(("execute", id, version), address, Execute(id, version)), parsed)


def connect(router: Router, pid: str, capacity: int | None, *, group: str = "g", prefix: str = "") -> Peer:
    """Connect a worker."""
    return router.connect(Seat(group, pid, prefix, capacity), lambda: None)


def track(router: Router, id: str, state: TaskState, pid: str | None = None, version: int = 1) -> None:
    """Note how a task stands, as the only change of a turn."""
    router.track(TaskRecord(id, state, version, pid=pid))
    router.fill()


def taken(router: Router, peer: Peer) -> list[str]:
    """Take what there is, and return the tasks."""
    ids = []
    while (outgoing := router.take(peer)) is not None:
        assert isinstance(outgoing.message, Execute)
        ids.append(outgoing.message.id)
        router.confirm(peer)
    return ids


def test_worker_gets_no_more_than_its_capacity() -> None:
    """What is on its way counts, and what it holds; the rest waits, in order."""
    router = Router()
    peer = connect(router, "a", 2)
    post(router, "t1", "t2", "t3", "t4")
    assert taken(router, peer) == ["t1", "t2"]
    track(router, "t1", TaskState.ACQUIRED, "a")
    track(router, "t2", TaskState.ACQUIRED, "a")
    assert taken(router, peer) == []
    track(router, "t2", TaskState.FULFILLED)
    assert taken(router, peer) == ["t3"]
    track(router, "t1", TaskState.SUSPENDED)
    assert taken(router, peer) == ["t4"]


def test_task_that_another_worker_acquired_leaves_room() -> None:
    """It is no longer on its way."""
    router = Router()
    peer = connect(router, "a", 1)
    post(router, "t1", "t2")
    assert taken(router, peer) == ["t1"]
    track(router, "t1", TaskState.ACQUIRED, "other")
    assert taken(router, peer) == ["t2"]


def test_tasks_that_a_worker_holds_when_it_connects_count() -> None:
    """A new connection of a worker that is full brings it nothing."""
    router = Router()
    router.hold("t0", "a")
    post(router, "t1")
    peer = connect(router, "a", 1)
    assert taken(router, peer) == []
    track(router, "t0", TaskState.FULFILLED)
    assert taken(router, peer) == ["t1"]


def test_worker_that_connects_takes_of_what_waits_as_much_as_it_can() -> None:
    """The next one gets the rest."""
    router = Router()
    post(router, "t1", "t2", "t3")
    assert taken(router, connect(router, "a", 2)) == ["t1", "t2"]
    assert taken(router, connect(router, "b", None)) == ["t3"]


def test_what_is_sent_twice_counts_once() -> None:
    """A dispatch that comes again goes to the same worker, though that is full with it and others wait."""
    router = Router()
    peer = connect(router, "a", 1)
    post(router, "t1", "t2")
    assert taken(router, peer) == ["t1"]
    post(router, "t1")
    assert taken(router, peer) == ["t1"]
    assert router.load(peer) == 1


def test_full_worker_is_passed_over() -> None:
    """Its tasks go to one that has room, also those that name it and those that it suspended."""
    router = Router()
    full, other = connect(router, "a", 1), connect(router, "b", 9)
    track(router, "s", TaskState.ACQUIRED, "a")
    router.suspend("s", "a")
    track(router, "s", TaskState.SUSPENDED)
    track(router, "t0", TaskState.ACQUIRED, "a")
    post(router, "t1", address="poll://any@g/a")
    post(router, "s", version=1)
    assert (taken(router, full), taken(router, other)) == ([], ["t1", "s"])


def test_task_for_one_worker_alone_waits_for_room_on_it() -> None:
    """Nobody else gets it, and what is behind it is not held up."""
    router = Router()
    peer = connect(router, "a", 1)
    track(router, "t0", TaskState.ACQUIRED, "a")
    post(router, "t1", address="poll://uni@g/a")
    post(router, "t2")
    other = connect(router, "b", 5)
    assert taken(router, other) == ["t2"]
    track(router, "t0", TaskState.FULFILLED)
    assert taken(router, peer) == ["t1"]


def test_room_is_given_to_what_a_worker_may_have() -> None:
    """Tasks of others, by address or by prefix, are left where they are."""
    router = Router()
    post(router, "x1", address="poll://uni@g/gone")
    post(router, "y1", "x2")
    assert taken(router, connect(router, "a", 3, prefix="x")) == ["x2"]


def test_tasks_of_one_worker_in_two_groups_count_together() -> None:
    """The capacity is that of the process, and room in one group is room in the other."""
    router = Router()
    first, second = connect(router, "a", 1), connect(router, "a", 1, group="h")
    post(router, "t1")
    post(router, "u1", address="poll://any@h")
    assert (taken(router, first), taken(router, second)) == (["t1"], [])
    track(router, "t1", TaskState.HALTED)
    assert taken(router, second) == ["u1"]


def test_what_a_worker_that_goes_leaves_behind_waits_for_room() -> None:
    """It does not push another one beyond its capacity."""
    router = Router()
    first, second = connect(router, "a", 2), connect(router, "b", 1)
    post(router, "t1", "t2", "t3")
    router.disconnect(first)
    assert len(taken(router, second)) == 1
    assert router.load(second) == 1


def test_task_that_a_turn_acquired_is_released_if_there_is_no_room_any_more() -> None:
    """While it was committed, the worker was given what another one left behind."""
    asked: list[Request] = []
    router = Router(lambda request, _: asked.append(request))
    leaving = connect(router, "b", 1)
    post(router, "t1")
    seat = Seat("g", "a", capacity=1, ttl=1000)
    peer = router.connect(seat, lambda: None)
    assert router.allot().seats["g"]["a"] is seat
    router.disconnect(leaving)
    track(router, "t2", TaskState.ACQUIRED, "a")
    promise = Promise("t2", PromiseState.PENDING, timeout_at=1, created_at=0)
    held = Acquired(Task("t2", TaskState.ACQUIRED, 1, pid="a"), promise)
    router.deliver(Outgoing(("execute", "t2", 0), TARGET, Execute("t2", 1, acquired=held)), seat)
    assert asked == [TaskAcquire("t1", 0, "a", 1000), TaskRelease("t2", 1)]
    assert taken(router, peer) == []


async def received(connection: Connection) -> str:
    """Return what the next message is about."""
    message = await anext(connection)
    return message.promise.id if isinstance(message, Unblock) else message.id


async def status(engine: Engine, request: Request) -> int:
    """Have a request performed, and return the status."""
    return (await ask(engine, request)).status


async def test_messages_to_listeners_need_no_capacity() -> None:
    """A worker that takes no tasks, with a capacity of 0, still hears of promises."""
    async with an_engine() as engine, engine.connect("g", "a", capacity=0) as connection:
        await ask(engine, create("t", target=TARGET))
        await ask(engine, create("p"))
        await ask(engine, PromiseRegisterListener("p", TARGET))
        await ask(engine, PromiseSettle("p", PromiseState.RESOLVED))
        assert await received(connection) == "p"


async def test_engine_sends_the_next_task_when_one_is_given_back() -> None:
    """In the turn that gives it back."""
    async with an_engine() as engine, engine.connect("g", "a", capacity=1) as connection:
        for id in ("t1", "t2"):
            await ask(engine, create(id, target=TARGET))
        assert await received(connection) == "t1"
        assert await status(engine, TaskAcquire("t1", 0, "a", 1000)) == 200
        assert await status(engine, TaskRelease("t1", 1)) == 200
        assert await received(connection) == "t2"


async def test_capacity_that_is_not_offered_is_ignored() -> None:
    """As by a server that does not know it."""
    settings = Settings(extensions=frozenset())
    async with an_engine(settings=settings) as engine, engine.connect("g", "a", capacity=0, ttl=1) as connection:
        await ask(engine, create("t", target=TARGET))
        assert await anext(connection) == Execute("t", 0)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("capacity=-1", "capacity: expected an integer of at least 0, got '-1'"),
        ("capacity=x", "capacity: expected an integer of at least 0, got 'x'"),
        ("capacity=", "capacity: expected an integer of at least 0, got ''"),
        ("capacity=1&ttl=0", "ttl: expected an integer of at least 1, got '0'"),
        ("ttl=1.5", "ttl: expected an integer of at least 1, got '1.5'"),
        ("ttl=" + "9" * 19, "ttl: expected an integer of at least 1, got '9999999999999999999'"),
    ],
)
async def test_bad_query_of_a_poll_is_refused(query: str, message: str) -> None:
    """With 400, and what was expected; a server that does not offer these does not look at them."""
    async with an_engine() as engine:
        response = await _get(create_app(engine), query)
    assert (response.status_code, response.json()["data"]) == (400, message)


async def _get(app: Any, query: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        return await client.get(f"/poll/g/a?{query}")
