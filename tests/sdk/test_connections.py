"""Connections for requests: used again, replaced when the server has closed them, dropped when cancelled."""

import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress

import anyio
import httpcore
import httpx
import pytest
import trustme
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener
from trio.testing import MockClock

from resonate_trio._backoff import describe
from resonate_trio._transport import HttpTransport, Unreachable, _connections
from resonate_trio._transport._connections import Connections, _Connection
from resonate_trio.protocol import Envelope, Head, PromiseGet

pytestmark = pytest.mark.anyio
TLS = ssl.create_default_context()
CLOSE = b""
"""In the place of an answer: the server closes the connection."""
GONE = b"-"
"""In the place of the next request: the server closes the connection."""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each test on both backends."""
    return str(request.param)


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer of HTTP."""
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Server:
    """Answers the requests of each connection with what is planned for it, and keeps what it was asked."""

    def __init__(self, *plans: Sequence[bytes]) -> None:
        self.plans = list(plans)
        self.bodies: list[list[bytes]] = []
        self.heads: list[bytes] = []
        self.is_over = anyio.Event()
        self.has_asked = anyio.Event()

    async def serve(self, stream: ByteStream) -> None:
        """Serve a connection."""
        plan = self.plans[len(self.bodies)]
        bodies: list[bytes] = []
        self.bodies.append(bodies)
        received = BufferedByteReceiveStream(stream)
        async with stream:
            for planned in plan:
                if planned == GONE:
                    return
                bodies.append(await self._body(received))
                self.has_asked.set()
                if planned == CLOSE:
                    return
                await stream.send(planned)
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await received.receive()
            self.is_over.set()

    async def _body(self, received: BufferedByteReceiveStream) -> bytes:
        head = await received.receive_until(b"\r\n\r\n", 10_000)
        self.heads.append(head)
        (length,) = (line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return await received.receive_exactly(int(length)) if int(length) else b""


class Silent:
    """Takes what is said, and says nothing."""

    def __init__(self) -> None:
        self.is_over = anyio.Event()
        self.has_heard = anyio.Event()

    async def serve(self, stream: ByteStream) -> None:
        """Serve a connection."""
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while await stream.receive():
                    self.has_heard.set()
        self.is_over.set()


class Deaf(httpcore.AsyncNetworkStream):
    """A stream whose peer does not hear that it ends."""

    async def aclose(self) -> None:
        """Wait for ever."""
        await anyio.sleep_forever()


@asynccontextmanager
async def serving(
    server: Server | Silent, *, tls: ssl.SSLContext | None = None, path: str = "/"
) -> AsyncGenerator[httpx.URL]:
    """Run a server."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        served = TLSListener(listener, tls, standard_compatible=False) if tls else listener
        tasks.start_soon(served.serve, server.serve)
        try:
            yield httpx.URL(f"{'https' if tls else 'http'}://127.0.0.1:{port}{path}")
        finally:
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def opened(
    url: httpx.URL, tls: ssl.SSLContext = TLS
) -> AsyncGenerator[Callable[[bytes], Coroutine[object, object, bytes]]]:
    """Return a function that posts, and gives the body of the answer."""
    connections = Connections(url, tls)

    async def post(content: bytes) -> bytes:
        with anyio.fail_after(20):
            return (await connections.post(content)).content

    try:
        yield post
    finally:
        await connections.aclose()


async def test_connection_is_used_again() -> None:
    """For requests one after the other there is one."""
    server = Server([answer(b"a"), answer(b"b")])
    async with serving(server) as url, opened(url) as post:
        assert [await post(b"1"), await post(b"22")] == [b"a", b"b"]
    assert server.bodies == [[b"1", b"22"]]


async def test_requests_at_a_time_have_a_connection_each() -> None:
    """None waits for another."""
    server = Server([answer(b"a")], [answer(b"a")])
    async with serving(server) as url, opened(url) as post, anyio.create_task_group() as tasks:
        tasks.start_soon(post, b"1")
        tasks.start_soon(post, b"2")
    assert sorted(server.bodies) == [[b"1"], [b"2"]]


async def test_request_is_as_http_has_it() -> None:
    """It goes to the path of the URL, and names the host."""
    server = Server([answer(b"a")])
    async with serving(server, path="/behind/proxy/") as url, opened(url) as post:
        await post(b"{}")
    method, *headers = server.heads[0].decode().split("\r\n")
    assert method == "POST /behind/proxy/ HTTP/1.1"
    assert {header.lower() for header in headers} == {
        f"host: {url.netloc.decode()}",
        "content-type: application/json",
        "content-length: 2",
    }


async def test_answer_may_come_in_any_form() -> None:
    """In chunks, after an informational answer, with an error's status."""
    head = b"HTTP/1.1 404 Not Found\r\nX-Offer: a\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
    server = Server([b"HTTP/1.1 100 Continue\r\n\r\n" + head + chunks, answer(b"d")])
    async with serving(server) as url:
        connections = Connections(url, TLS)
        answered = await connections.post(b"1")
        assert (answered.status, answered.header(b"x-offer"), answered.content) == (404, "a", b"abc")
        assert answered.header(b"x-other") == ""
        assert (await connections.post(b"2")).content == b"d"
        await connections.aclose()
    assert server.bodies == [[b"1", b"2"]]


async def test_answer_without_a_length_lasts_until_the_connection_ends() -> None:
    """As old proxies have it."""
    server = Server([b"HTTP/1.0 200 OK\r\nserver: old\r\n\r\nabc", GONE], [answer(b"d")])
    async with serving(server) as url, opened(url) as post:
        assert [await post(b"1"), await post(b"2")] == [b"abc", b"d"]


async def test_connection_that_the_server_closed_is_replaced() -> None:
    """Whether it said so, or closed it while it was idle, or when it had a request: nobody notices."""
    announced = answer(b"a", b"connection: close")
    server = Server([announced], [answer(b"b"), GONE], [answer(b"c"), CLOSE], [answer(b"d")])
    async with serving(server) as url, opened(url) as post:
        assert [await post(body) for body in (b"1", b"2", b"3", b"4")] == [b"a", b"b", b"c", b"d"]
    assert server.bodies == [[b"1"], [b"2"], [b"3", b"4"], [b"4"]]


async def test_first_request_of_a_connection_is_not_sent_again() -> None:
    """There is something wrong with the server, and whoever asks decides what to do."""
    request = Envelope(Head("c"), PromiseGet("a"))
    server = Server([CLOSE], [CLOSE], [b"no HTTP\r\n\r\n"])
    async with serving(server) as url:
        async with opened(url) as post:
            with pytest.raises(httpcore.RemoteProtocolError):
                await post(b"1")
        async with HttpTransport(str(url).removesuffix("/")) as transport:
            with pytest.raises(Unreachable, match="closed the connection"):
                await transport.send(request)
            with pytest.raises(Unreachable, match="no HTTP"):
                await transport.send(request)
    assert len(server.bodies) == 3


async def test_cancelled_request_takes_its_connection_along() -> None:
    """Its answer is for nobody, least of all for the next request."""
    server = Server([answer(b"a")[:-1]], [answer(b"b")])
    async with serving(server) as url, opened(url) as post:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(post, b"1")
            await server.has_asked.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(20):
            await server.is_over.wait()
        assert await post(b"2") == b"b"


async def test_more_than_the_answer_is_dropped_with_its_connection() -> None:
    """It is the answer to nothing."""
    server = Server([answer(b"a") + answer(b"x")], [answer(b"b")])
    async with serving(server) as url, opened(url) as post:
        assert [await post(b"1"), await post(b"2")] == [b"a", b"b"]


async def test_request_under_way_at_the_end_closes_its_connection() -> None:
    """When it has its answer."""
    server = Server([answer(b"a")])
    async with serving(server) as url, anyio.create_task_group() as tasks:
        async with opened(url) as post:
            tasks.start_soon(post, b"1")
            await server.has_asked.wait()
        with anyio.fail_after(20):
            await server.is_over.wait()


async def test_server_that_does_not_answer_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the connection with it."""
    monkeypatch.setattr(_connections, "REPLY_TIMEOUT", 0.0)
    async with serving(Server([answer(b"")[:-1]])) as url, opened(url) as post:
        with pytest.raises(httpcore.TimeoutException):
            await post(b"1")


async def test_server_may_speak_tls() -> None:
    """It is trusted if its certificate is."""
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    server = Server([answer(b"a"), answer(b"b")])
    async with serving(server, tls=theirs) as url, opened(url, trust) as post:
        assert [await post(b"1"), await post(b"2")] == [b"a", b"b"]
        async with opened(url) as distrustful:
            with pytest.raises(httpcore.ConnectError) as raised:
                await distrustful(b"1")
    assert "certificate verify failed" in describe(raised.value).lower()
    assert server.bodies == [[b"1", b"2"]]


async def test_handshake_that_is_cancelled_leaves_no_connection() -> None:
    """The server hears that it ends."""
    server = Silent()
    async with serving(server) as url, opened(url.copy_with(scheme="https")) as post:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(post, b"1")
            await server.has_heard.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(20):
            await server.is_over.wait()


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])
async def test_closing_is_bounded() -> None:
    """Whoever does not want to hear of it."""
    started = anyio.current_time()
    await _Connection(Deaf()).aclose()
    assert anyio.current_time() == started + _connections.CLOSE_TIMEOUT
