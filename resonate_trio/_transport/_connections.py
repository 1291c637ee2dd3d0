"""Connections to one server: httpcore's streams, and the parser that our server uses too.

The layers above (httpx's client and its transport, httpcore's pool and its connections, h11) serve many servers,
redirects, cookies, proxies and tracing, and both sides of HTTP. Our requests need none of that, and it costs three
times as much as what is left.
"""

import ssl
import time
from contextlib import suppress
from typing import Final, final

import anyio
import httpcore
import httpx
import sniffio

from ._answers import Answer, AnswerReader

CONNECT_TIMEOUT: Final = 5.0
REPLY_TIMEOUT: Final = 30.0
CLOSE_TIMEOUT: Final = 1.0
KEEP_ALIVE_S: Final = 5.0
"""For how long an idle connection may be used again: shorter than servers and proxies keep theirs."""
READ_BYTES: Final = 64 * 1024
FAILURES: Final = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
"""What is raised when there is no answer; httpcore has no common class for them."""
CUT: Final = (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError)
"""Of these, what comes of a connection that the server has closed."""


@final
class Connections:
    """Connections to the server of `url`, as many as there are requests at a time, kept for further ones."""

    def __init__(self, url: httpx.URL, tls: ssl.SSLContext) -> None:
        origin = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=b"").origin
        self._host, self._port = origin.host.decode("ascii"), origin.port
        self._tls = tls if url.scheme == "https" else None
        self._head = b"\r\n".join([
            b"POST %s HTTP/1.1" % url.raw_path,
            b"host: %s" % url.netloc,
            b"content-type: application/json",
            b"content-length: ",
        ])
        self._idle: list[_Connection] = []
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Connections to {self._host} port {self._port}: {len(self._idle)} idle>"

    async def post(self, content: bytes) -> Answer:
        """Post a body of JSON, and return the answer.

        The server may close an idle connection at any moment, also when a request is on its way to it. Then the
        request is sent once more, on a new one: all of ours may be sent twice. One that is cancelled takes its
        connection along.

        Raises:
            httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError: there is no answer.
        """
        connection = await self._take_idle()
        if connection is not None:
            with suppress(*CUT):
                return await self._post(connection, content)
        return await self._post(await self._connect(), content)

    async def _take_idle(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            await connection.aclose()
        return None

    async def _post(self, connection: "_Connection", content: bytes) -> Answer:
        is_answered = False
        try:
            answer = await connection.ask(b"%s%d\r\n\r\n%s" % (self._head, len(content), content))
            is_answered = True
        finally:
            if is_answered and connection.is_kept and not self._is_closed:
                self._idle.append(connection)
            else:
                await connection.aclose()
        return answer

    async def _connect(self) -> "_Connection":
        backend = httpcore.TrioBackend() if sniffio.current_async_library() == "trio" else httpcore.AnyIOBackend()
        stream = await backend.connect_tcp(self._host, self._port, timeout=CONNECT_TIMEOUT)
        if self._tls is None:
            return _Connection(stream)
        try:
            return _Connection(await stream.start_tls(self._tls, self._host, timeout=CONNECT_TIMEOUT))
        except BaseException:
            await _close(stream)
            raise

    async def aclose(self) -> None:
        """Close what is idle; what is in use closes when it has its answer. Closes sockets, waits for nobody."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().aclose()


@final
class _Connection:
    """One connection. It has one request at a time."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._reader = AnswerReader()
        self._expires_at = 0.0

    async def ask(self, request: bytes) -> Answer:
        """Send a request and return the answer. Whatever is raised, the connection is of no use any longer."""
        reader = self._reader
        reader.expect()
        with suppress(httpcore.WriteError):  # a server that refuses a request may not want to read all of it
            await self._stream.write(request, REPLY_TIMEOUT)
        while reader.answer is None:
            reader.feed(await self._stream.read(READ_BYTES, REPLY_TIMEOUT))
        self._expires_at = time.monotonic() + KEEP_ALIVE_S
        return reader.answer

    @property
    def is_kept(self) -> bool:
        """Whether there may be another request, after the last one was answered."""
        return self._reader.is_kept

    def is_usable(self) -> bool:
        """Tell whether the next request may go out: the server has not closed the connection, nor is about to."""
        # Nothing is to be read from an idle connection but its end.
        return time.monotonic() < self._expires_at and not self._stream.get_extra_info("is_readable")

    async def aclose(self) -> None:
        """Close the connection, also when cancelled."""
        await _close(self._stream)


async def _close(stream: httpcore.AsyncNetworkStream) -> None:
    with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):  # TLS says goodbye, which a peer may not want to hear
        await stream.aclose()
