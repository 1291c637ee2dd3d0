"""Streams of messages over real connections: uvicorn on asyncio, Hypercorn on trio."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import orjson
import pytest
from anyio.abc import SocketStream
from anyio.lowlevel import checkpoint
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import frozen

from resonate_trio.protocol import (
    DebugSnap,
    Execute,
    PromiseRegisterListener,
    PromiseSettle,
    PromiseState,
    Snapshot,
    TaskAcquire,
)
from server_ref.config import HttpServer
from server_ref.engine import Engine
from server_ref.serving import bind, serve

from .engine_kit import an_engine, ask, create

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both backends in real time, as the network is real."""
    return str(request.param)


@pytest.fixture
def http_server(anyio_backend: str) -> HttpServer:
    """Give the name of the server that runs on the backend."""
    return "uvicorn" if anyio_backend == "asyncio" else "hypercorn"


@frozen
class Site:
    """A server that runs, and how to stop it."""

    engine: Engine
    port: int
    stop: anyio.Event

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def a_site(http_server: HttpServer) -> AsyncGenerator[Site]:
    """Run a server, and stop it at the end."""
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    stop = anyio.Event()
    with anyio.fail_after(30):
        async with an_engine(debug=True) as engine, anyio.create_task_group() as tasks:

            async def run() -> None:
                await serve(engine, sock, stop, http_server=http_server)

            tasks.start_soon(run)
            try:
                yield Site(engine, port, stop)
            finally:
                stop.set()


@frozen
class Reader:
    """The client's end of a stream, read by hand. In its bytes, chunk sizes stand between the events."""

    socket: SocketStream
    buffered: BufferedByteReceiveStream

    async def next_message(self) -> Any:
        """Return the next message, decoded."""
        while True:
            event = await self.buffered.receive_until(b"\n\n", 65_536)
            if b"data: " in event:
                return orjson.loads(event.partition(b"data: ")[2])
            assert event.endswith(b": keepalive")

    async def rest(self) -> bytes:
        """Return what comes until the server closes the connection."""
        received = b""
        with suppress(anyio.EndOfStream):
            while True:
                received += await self.buffered.receive()
        return received


@asynccontextmanager
async def a_stream(site: Site, path: str) -> AsyncGenerator[Reader]:
    """Open a stream, and return once the server has answered."""
    async with await anyio.connect_tcp("127.0.0.1", site.port) as socket:
        await socket.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        buffered = BufferedByteReceiveStream(socket)
        head = await buffered.receive_until(b"\r\n\r\n", 65_536)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"content-type: text/event-stream" in head
        assert b"cache-control: no-store" in head
        assert b": keepalive" in await buffered.receive_until(b"\n\n", 65_536)
        yield Reader(socket, buffered)


async def notify(site: Site, id: str, address: str) -> None:
    """Have the server send a notice to an address."""
    await ask(site.engine, create(id))
    await ask(site.engine, PromiseRegisterListener(id, address))
    await ask(site.engine, PromiseSettle(id, PromiseState.RESOLVED))


async def test_messages_arrive_as_events(http_server: HttpServer) -> None:
    """Each message is one `data:` line of JSON."""
    async with a_site(http_server) as site, a_stream(site, "/poll/g/a") as reader:
        await ask(site.engine, create("t", target="poll://any@g"))
        await notify(site, "p", "poll://uni@g/a")
        execute, unblock = await reader.next_message(), await reader.next_message()
    assert execute == {
        "kind": "execute",
        "head": {"serverUrl": ""},
        "data": {"task": {"id": "t", "version": 0}},
    }
    assert (unblock["kind"], unblock["head"]) == ("unblock", {})
    assert (unblock["data"]["promise"]["id"], unblock["data"]["promise"]["state"]) == ("p", "resolved")


@pytest.mark.parametrize(("group", "pid"), [("a group", "ü"), ("a%2Fb", "x@y"), ("g", "1/2")])
async def test_group_and_pid_are_percent_decoded(http_server: HttpServer, group: str, pid: str) -> None:
    """They are read as they were sent, so that even a slash can be in them."""
    path = f"/poll/{quote(group, safe='')}/{quote(pid, safe='')}?x=1"
    async with a_site(http_server) as site, a_stream(site, path) as reader:
        await notify(site, "p", f"poll://uni@{group}/{pid}")
        assert (await reader.next_message())["kind"] == "unblock"


async def test_notice_that_was_written_leaves_the_outbox(http_server: HttpServer) -> None:
    """Written to the connection is handed over."""
    async with a_site(http_server) as site, a_stream(site, "/poll/g/a") as reader:
        await notify(site, "p", "poll://uni@g/a")
        await reader.next_message()
        while True:
            reply = await ask(site.engine, DebugSnap())
            assert isinstance(reply.data, Snapshot)
            if not reply.data.messages:
                break
            await checkpoint()


async def test_worker_that_vanishes_is_noticed(http_server: HttpServer) -> None:
    """When a connection breaks, what that worker took and did not acquire goes to another at once."""
    async with a_site(http_server) as site, site.engine.connect("g", "b") as other:
        async with a_stream(site, "/poll/g/a") as reader:
            await ask(site.engine, create("t", target="poll://any@g/a"))
            assert (await reader.next_message())["kind"] == "execute"
        assert await anext(other) == Execute("t", 0)


async def test_task_of_a_worker_that_vanishes_stays_when_it_was_acquired(http_server: HttpServer) -> None:
    """A broken connection is no broken lease."""
    async with a_site(http_server) as site, site.engine.connect("g", "b") as other:
        async with a_stream(site, "/poll/g/a") as reader:
            await ask(site.engine, create("t", target="poll://any@g/a"))
            await reader.next_message()
            await ask(site.engine, TaskAcquire("t", 0, "a", 60_000))
        await ask(site.engine, create("u", target="poll://any@g/b"))
        assert await anext(other) == Execute("u", 0)


async def test_second_stream_of_a_worker_ends_the_first(http_server: HttpServer) -> None:
    """The first connection is closed properly when its worker connects again."""
    async with (
        a_site(http_server) as site,
        a_stream(site, "/poll/g/a") as first,
        a_stream(site, "/poll/g/a") as second,
    ):
        assert b"data: " not in await first.rest()
        await ask(site.engine, create("t", target="poll://any@g"))
        assert (await second.next_message())["kind"] == "execute"


async def test_silent_stream_is_kept_alive(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment is sent when nothing else is, and messages still arrive after it."""
    monkeypatch.setattr("server_ref.sse.KEEPALIVE_S", 0.01)
    async with a_site(http_server) as site, a_stream(site, "/poll/g/a") as reader:
        assert b": keepalive" in await reader.buffered.receive_until(b"\n\n", 65_536)
        await ask(site.engine, create("t", target="poll://any@g"))
        assert (await reader.next_message())["kind"] == "execute"


async def test_stopping_ends_streams_and_idle_connections(http_server: HttpServer) -> None:
    """A server that is told to stop does not wait for workers to hang up."""
    async with a_site(http_server) as site, httpx.AsyncClient(base_url=site.url) as client:
        assert (await client.get("/health")).status_code == 200
        async with a_stream(site, "/poll/g/a") as reader:
            site.stop.set()
            assert b"data: " not in await reader.rest()


async def test_client_that_vanishes_within_a_request_harms_nobody(
    http_server: HttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that is never completed is given up, without an error in the log."""
    async with a_site(http_server) as site:
        async with await anyio.connect_tcp("127.0.0.1", site.port) as socket:
            await socket.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
            assert b" 100 " in await socket.receive()
        async with httpx.AsyncClient(base_url=site.url) as client:
            assert (await client.get("/ready")).status_code == 200
    assert caplog.text == ""
