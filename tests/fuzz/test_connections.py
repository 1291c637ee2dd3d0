"""Bad behaviour on connections, against servers that run: uvicorn on asyncio, Hypercorn on trio."""

import math
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

import anyio
import httpx
import pytest
from anyio.abc import SocketStream
from anyio.lowlevel import checkpoint
from attrs import frozen

from resonate_trio.protocol import DebugSnap, PromiseRegisterListener, PromiseSettle, PromiseState, Value
from server_ref.config import HttpServer
from server_ref.engine import Engine
from server_ref.limits import Limits
from server_ref.patience import GRACE_S, MAX_HEAD_BYTES
from server_ref.serving import bind, serve
from tests.server.engine_kit import an_engine, ask, create

pytestmark = pytest.mark.anyio

UNFINISHED: Final = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
POLL: Final = b"GET /poll/g/%s HTTP/1.1\r\nHost: x\r\n\r\n"
HEALTH: Final = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@frozen
class Site:
    """A server that runs."""

    engine: Engine
    port: int

    async def connect(self, data: bytes = b"") -> SocketStream:
        """Open a connection, and send something."""
        stream = await anyio.connect_tcp("127.0.0.1", self.port)
        if data:
            await stream.send(data)
        return stream

    async def status_of(self, data: bytes) -> bytes:
        """Send something, and return the status that comes back, nothing if the connection is closed without."""
        async with await self.connect(data) as stream:
            return await status_from(stream)

    async def check_alive(self) -> None:
        """Check that the server does its work for others."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
            assert (await client.get("/ready")).status_code == 200


@asynccontextmanager
async def a_site(http_server: HttpServer, **limits: Any) -> AsyncGenerator[Site]:
    """Run a server. At the end it still works, and stops without a wait: no connection has outlived its client."""
    sock = bind("127.0.0.1", 0)
    stop = anyio.Event()
    stopped_at = math.inf
    with anyio.fail_after(30):
        async with an_engine(debug=True) as engine, anyio.create_task_group() as tasks:

            async def run() -> None:
                await serve(engine, sock, stop, http_server=http_server, limits=Limits(**limits))

            tasks.start_soon(run)
            site = Site(engine, sock.getsockname()[1])
            try:
                yield site
                await site.check_alive()
            finally:
                stop.set()
                stopped_at = anyio.current_time()
    assert anyio.current_time() - stopped_at < GRACE_S / 2


async def status_from(stream: SocketStream) -> bytes:
    """Return the status of the answer that comes next."""
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        return (await stream.receive()).split(b" ")[1]
    return b""


async def rest_of(stream: SocketStream) -> bytes:
    """Return what comes until the server closes the connection."""
    received = b""
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            received += await stream.receive()
    return received


async def flood(stream: SocketStream, chunk: bytes, *, most: int) -> int:
    """Send the same again and again until the server closes the connection; return how many bytes it took."""
    sent = 0
    with suppress(anyio.BrokenResourceError):
        while sent < most:
            await stream.send(chunk)
            sent += len(chunk)
    return sent


# --- Too much -------------------------------------------------------------------------------------

FLOODS: Final = {
    "headers": (b"GET /health HTTP/1.1\r\n", b"X-Flood: 1\r\n" * 1000),
    "one header": (b"GET /health HTTP/1.1\r\nX-Flood: ", b"x" * 10_000),
    "one target": (b"GET /", b"x" * 10_000),
    "no line ends": (b"", b"x" * 10_000),
    "trailers": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
        b"X-Flood: 1\r\n" * 1000,
    ),
    "chunk extension": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"x" * 10_000,
    ),
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_flood_is_cut(http_server: HttpServer, kind: str) -> None:
    """What never becomes a request is taken in up to a limit, and what buffers hold; then the connection ends."""
    start, chunk = FLOODS[kind]
    most = 64 * 1024 * 1024
    async with a_site(http_server) as site, await site.connect(start) as stream:
        assert await flood(stream, chunk, most=most) < most


async def test_head_within_the_limit_is_taken(http_server: HttpServer) -> None:
    """A long token, or many cookies, are no flood."""
    head = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * (MAX_HEAD_BYTES - 1000) + b"\r\n\r\n"
    async with a_site(http_server) as site:
        assert await site.status_of(head) == b"200"


async def test_body_that_never_ends_is_cut(http_server: HttpServer) -> None:
    """A chunked body is refused at the limit, whatever is still to come."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n"
    async with a_site(http_server, body_bytes=100_000) as site, await site.connect(head) as stream:
        await flood(stream, chunk, most=1_000_000)
        assert await status_from(stream) in {b"413", b""}


# --- Too slow -------------------------------------------------------------------------------------


async def test_body_that_does_not_come_is_a_408(http_server: HttpServer) -> None:
    """A client that stops within its body is answered, and does not count among the requests any longer."""
    async with (
        a_site(http_server, receive_timeout=0.2, requests=1) as site,
        await site.connect(UNFINISHED) as stream,
    ):
        assert await status_from(stream) == b"100"
        assert await status_from(stream) == b"408"
        await site.check_alive()


async def test_body_that_drips_is_a_408(http_server: HttpServer) -> None:
    """The time is for the whole body: a byte now and then does not prolong it."""
    async with a_site(http_server, receive_timeout=0.3) as site:
        async with await site.connect(UNFINISHED) as stream, anyio.create_task_group() as tasks:

            async def drip() -> None:
                while True:
                    await stream.send(b"x")
                    await anyio.sleep(0.05)

            tasks.start_soon(drip)
            answer = await status_from(stream), await status_from(stream)
            tasks.cancel_scope.cancel()
        assert answer == (b"100", b"408")


@pytest.mark.parametrize("data", [b"", b"GET /health HTT", HEALTH + b"GET /hea"])
async def test_connection_that_asks_nothing_is_closed(
    http_server: HttpServer, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence, half a head, half a second request: it ends without a further answer."""
    monkeypatch.setattr("server_ref._uvicorn.KEEP_ALIVE_S", 0.3)
    monkeypatch.setattr("server_ref._hypercorn.KEEP_ALIVE_S", 0.3)
    async with a_site(http_server, receive_timeout=0.3) as site, await site.connect(data) as stream:
        assert (await rest_of(stream)).count(b"HTTP/1.1 ") == data.count(HEALTH)


async def test_connection_that_stops_within_a_later_request_is_closed(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it was answered before earns it no further patience."""
    monkeypatch.setattr("server_ref._uvicorn.KEEP_ALIVE_S", 0.3)
    monkeypatch.setattr("server_ref._hypercorn.KEEP_ALIVE_S", 0.3)
    async with a_site(http_server, receive_timeout=0.3) as site, await site.connect(HEALTH) as stream:
        assert await status_from(stream) == b"200"
        await stream.send(b"GET /health HTTP/1.1\r\nHo")
        assert b"HTTP/1.1 " not in await rest_of(stream)


async def test_connection_that_waits_for_an_answer_is_kept(http_server: HttpServer) -> None:
    """Who is owed an answer, such as a worker its messages, need not send anything."""
    async with a_site(http_server, receive_timeout=0.1) as site, await site.connect(POLL % b"w") as stream:
        assert await status_from(stream) == b"200"
        await anyio.sleep(0.3)
        await ask(site.engine, create("t", target="poll://any@g"))
        while b"execute" not in await stream.receive():
            pass


# --- Too many -------------------------------------------------------------------------------------


async def test_poll_beyond_the_limit_is_a_503(http_server: HttpServer) -> None:
    """One more worker than the server takes is told so; when one leaves, it gets in."""
    async with a_site(http_server, polls=2) as site:
        async with await site.connect(POLL % b"a") as first, await site.connect(POLL % b"b") as second:
            assert (await status_from(first), await status_from(second)) == (b"200", b"200")
            assert await site.status_of(POLL % b"c") == b"503"
        while await site.status_of(POLL % b"c") != b"200":
            await checkpoint()


async def test_request_beyond_the_limit_is_a_503(http_server: HttpServer) -> None:
    """While others are in progress there is no room; when they are gone, there is."""
    async with a_site(http_server, requests=2) as site:
        async with await site.connect(UNFINISHED) as first, await site.connect(UNFINISHED) as second:
            assert (await status_from(first), await status_from(second)) == (b"100", b"100")
            assert await site.status_of(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n") == b"503"
            assert await site.status_of(HEALTH) == b"200"
        while await site.status_of(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n") != b"200":
            await checkpoint()


async def test_bodies_beyond_the_limit_are_a_503(http_server: HttpServer) -> None:
    """Together, the bodies of all requests are bounded: however many come, they do not fill the memory."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    async with a_site(http_server, request_bytes=1000) as site, AsyncExitStack() as stack:
        for _ in range(2):
            stream = await stack.enter_async_context(await site.connect(head + b"x" * 600))
        assert await status_from(stream) == b"503"


async def test_worker_that_does_not_read_is_let_go(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its messages are not piled up for it: they stay in the outbox, and its connection ends."""
    monkeypatch.setattr("server_ref.serving.VANISHED_MS", 500)
    payload = Value(data="x" * 100_000)
    async with a_site(http_server) as site, await site.connect(POLL % b"w") as stream:
        assert await status_from(stream) == b"200"
        for number in range(100):
            await ask(site.engine, create(f"p{number}"))
            await ask(site.engine, PromiseRegisterListener(f"p{number}", "poll://uni@g/w"))
            await ask(site.engine, PromiseSettle(f"p{number}", PromiseState.RESOLVED, payload))
        async with site.engine.connect("other", "w"):
            await anyio.sleep(1.5)
        reply = await ask(site.engine, DebugSnap())
        assert len(getattr(reply.data, "messages")) > 20  # ruff: ignore[get-attr-with-constant]
        assert len(await rest_of(stream)) < 100 * 100_000


# --- Not HTTP -------------------------------------------------------------------------------------

GARBAGE: Final = {
    "binary": bytes(range(256)) * 10,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "length and chunks": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "endless length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 100 + b"\r\n\r\n",
    "no chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "huge chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 30 + b"\r\n",
    "bad target": b"GET /\xff\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\n\r\n",
    "connect": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad host": b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET / HTTP/9.9\r\n\r\n",
}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_is_refused(http_server: HttpServer, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """It gets a status of 4xx, or of 501 for a method that no server offers, or a closed connection."""
    async with a_site(http_server) as site, await site.connect(GARBAGE[kind]) as stream:
        await stream.send_eof()
        status = await status_from(stream)
        assert status == b"" or status[:1] == b"4", status
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n",
        b"Upgrade: h2c\r\nConnection: upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
    ],
    ids=["websocket", "h2c"],
)
async def test_upgrade_harms_nobody(http_server: HttpServer, upgrade: bytes) -> None:
    """Other protocols than HTTP/1.1 are not offered, or end where this one would."""
    async with a_site(http_server) as site:
        assert await site.status_of(b"GET /none HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n") != b"500"


async def test_garbage_within_a_stream_ends_it_and_nothing_else(
    http_server: HttpServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that breaks the rules loses its connection: not the server, and nobody else's."""
    monkeypatch.setattr("server_ref.sse.KEEPALIVE_S", 0.1)
    async with a_site(http_server) as site, await site.connect(POLL % b"good") as good:
        assert await status_from(good) == b"200"
        for data in (b"\0\0\0\r\n\r\n", HEALTH * 50, POLL % b"bad" * 50, b"x" * 200_000):
            async with await site.connect(POLL % b"bad") as bad:
                with suppress(anyio.BrokenResourceError):
                    await bad.send(data)
                    await bad.send(data)
        await ask(site.engine, create("t", target="poll://uni@g/good"))
        while b"execute" not in await good.receive():
            pass
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
