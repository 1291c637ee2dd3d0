"""Pushing messages by HTTP: retries, limits, and what happens to messages that became obsolete."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from anyio import wait_all_tasks_blocked
from attrs import define, field

from resonate_trio.protocol import EMPTY, Execute, Promise, PromiseState, TaskState, Unblock
from server_ref.delivery import Delivery, PushSettings, open_delivery
from server_ref.machine import Changes, Outgoing, OutgoingKey, TaskRecord

from .engine_kit import waits

pytestmark = pytest.mark.anyio

URL = "http://user:secret@worker.example:9/inbox"


def execute(id: str, *, version: int = 0, url: str = URL) -> Outgoing:
    """Return an `execute` message."""
    return Outgoing(("execute", id, version), url, Execute(id, version))


def unblock(id: str, *, url: str = URL) -> Outgoing:
    """Return an `unblock` message."""
    promise = Promise(id, PromiseState.RESOLVED, 10, 0, EMPTY, EMPTY, {}, 5)
    return Outgoing(("unblock", id, url), url, Unblock(promise))


@define
class Receiver:
    """Where messages are pushed to. It answers as it is told, and notes what came and when."""

    answer: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(200)
    requests: list[httpx.Request] = field(factory=list)
    times: list[float] = field(factory=list)
    handed: list[OutgoingKey] = field(factory=list)
    hold: anyio.Event | None = None
    open: int = 0
    most_open: int = 0

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Take a request."""
        self.requests.append(request)
        self.times.append(anyio.current_time())
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        if self.hold is not None:
            await self.hold.wait()
        self.open -= 1
        return self.answer(request)

    @asynccontextmanager
    async def delivery(self, **push: Any) -> AsyncGenerator[Delivery]:
        """Open a delivery that reaches this receiver."""

        def new_client() -> httpx.AsyncClient:
            return httpx.AsyncClient(transport=httpx.MockTransport(self.handle))

        async with open_delivery(
            self.handed.append, server_url="http://me", push=PushSettings(**push), new_client=new_client
        ) as delivery:
            yield delivery


def refuse(_: httpx.Request) -> httpx.Response:
    """Answer that it did not work."""
    return httpx.Response(500)


async def test_message_is_posted_as_json() -> None:
    """The body is the message; 2xx says that it was handed over."""
    receiver = Receiver()
    async with receiver.delivery() as delivery:
        delivery.apply(Changes(), [execute("t", version=3)])
        await wait_all_tasks_blocked()
    [request] = receiver.requests
    assert str(request.url) == URL
    assert request.headers["content-type"] == "application/json"
    assert b'"serverUrl":"http://me"' in request.content
    assert receiver.handed == [("execute", "t", 3)]


@waits
async def test_refused_notice_is_posted_again_ever_more_slowly() -> None:
    """An `unblock` is tried with growing pauses, up to a limit, until it is taken."""
    receiver = Receiver(refuse)
    async with receiver.delivery(first_delay=1, last_delay=5) as delivery:
        start = anyio.current_time()
        delivery.apply(Changes(), [unblock("p")])
        await anyio.sleep(15)
        assert receiver.handed == []
        receiver.answer = lambda _: httpx.Response(204)
        await anyio.sleep(30)
    assert [round(time - start) for time in receiver.times] == [0, 1, 3, 7, 12, 17]
    assert receiver.handed == [("unblock", "p", URL)]


@waits
async def test_refused_execute_is_left_to_the_next_dispatch() -> None:
    """An `execute` is tried once; the server dispatches it again."""
    receiver = Receiver(refuse)
    async with receiver.delivery() as delivery:
        delivery.apply(Changes(), [execute("t")])
        await anyio.sleep(100)
        assert len(receiver.requests) == 1
        delivery.apply(Changes(), [execute("t")])
        await anyio.sleep(100)
        assert len(receiver.requests) == 2
    assert receiver.handed == []


@waits
@pytest.mark.parametrize("error", [httpx.ConnectError("no"), httpx.ReadTimeout("no"), OverflowError("no")])
async def test_receiver_that_cannot_be_reached_harms_nothing(error: Exception) -> None:
    """Whatever goes wrong with one address, the message is tried again and the server lives."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    receiver = Receiver(fail)
    async with receiver.delivery(first_delay=1) as delivery:
        delivery.apply(Changes(), [unblock("p")])
        await anyio.sleep(0.5)
        receiver.answer = lambda _: httpx.Response(200)
        await anyio.sleep(1)
    assert receiver.handed == [("unblock", "p", URL)]


async def test_few_messages_at_a_time_are_posted_to_one_host() -> None:
    """A host is not flooded, and a slow one does not hold up another."""
    receiver = Receiver(hold=anyio.Event())
    async with receiver.delivery(concurrency=2) as delivery:
        delivery.apply(Changes(), [execute(f"t{n}") for n in range(5)])
        await wait_all_tasks_blocked()
        assert receiver.most_open == 2
        delivery.apply(Changes(), [execute("other", url="http://other.example/")])
        await wait_all_tasks_blocked()
        assert receiver.most_open == 3
        assert receiver.hold is not None
        receiver.hold.set()
        await wait_all_tasks_blocked()
    assert len(receiver.handed) == 6
    assert receiver.most_open == 3


async def test_obsolete_execute_is_not_posted() -> None:
    """A message that waits for its turn is dropped when its task was acquired otherwise."""
    receiver = Receiver(hold=anyio.Event())
    async with receiver.delivery(concurrency=1) as delivery:
        delivery.apply(Changes(), [execute("first")])
        await wait_all_tasks_blocked()
        delivery.apply(Changes(), [execute("second"), execute("third")])
        record = TaskRecord("second", TaskState.ACQUIRED, 1, pid="a")
        delivery.apply(Changes(tasks={"second": record}), [])
        assert receiver.hold is not None
        receiver.hold.set()
        await wait_all_tasks_blocked()
    assert receiver.handed == [("execute", "first", 0), ("execute", "third", 0)]


async def test_newer_execute_follows_one_that_is_on_the_wire() -> None:
    """While an older version is being posted, the newer one waits, and is posted after it."""
    receiver = Receiver(hold=anyio.Event())
    async with receiver.delivery() as delivery:
        delivery.apply(Changes(), [execute("t", version=0)])
        await wait_all_tasks_blocked()
        delivery.apply(Changes(), [execute("t", version=1)])
        await wait_all_tasks_blocked()
        assert len(receiver.requests) == 1
        assert receiver.hold is not None
        receiver.hold.set()
        await wait_all_tasks_blocked()
    assert receiver.handed == [("execute", "t", 0), ("execute", "t", 1)]


@waits
async def test_reset_forgets_notices_that_are_tried_again() -> None:
    """After a reset nothing of before is posted."""
    receiver = Receiver(refuse)
    async with receiver.delivery(first_delay=1) as delivery:
        delivery.apply(Changes(), [unblock("p")])
        await anyio.sleep(0.5)
        delivery.apply(Changes(reset=True), [])
        await anyio.sleep(100)
    assert len(receiver.requests) == 1


async def test_credentials_of_an_address_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log names the host, and no secret."""
    caplog.set_level("INFO", "server_ref")
    receiver = Receiver(refuse)
    async with receiver.delivery() as delivery:
        delivery.apply(Changes(), [execute("t")])
        await wait_all_tasks_blocked()
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("server_ref")]
    assert any("worker.example:9" in message for message in messages)
    assert not any("secret" in message for message in messages)
