"""Connections to one server: httpcore's streams, with h11 on them, as httpcore itself has it.

The layers above (httpx's client and its transport, httpcore's pool and its connections) serve many servers,
redirects, cookies, proxies and tracing. Our requests need none of that, and it costs more than all the rest.
"""

import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TypeAlias, final

import anyio
import h11
import httpcore
import httpx
import sniffio
from attrs import frozen

CONNECT_TIMEOUT: Final = 5.0
REPLY_TIMEOUT: Final = 30.0
KEEP_ALIVE_S: Final = 5.0
"""For how long an idle connection may be used again: shorter than servers and proxies keep theirs."""
MAX_HEAD_BYTES: Final = 64 * 1024
READ_BYTES: Final = 64 * 1024
FAILURES: Final = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
"""What is raised when there is no answer; httpcore has no common class for them."""
CUT: Final = (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError)
"""Of these, what comes of a connection that the server has closed."""

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


@final
@frozen
class Answer:
    """What the server answered. The names of its headers are in lower case."""

    status: int
    headers: Headers
    content: bytes

    def header(self, wanted: bytes) -> str:
        """Return a header, empty if there is none."""
        return ", ".join([value.decode("latin-1") for name, value in self.headers if name == wanted])


@final
class Connections:
    """Connections to the server of `url`, as many as there are requests at a time, kept for further ones."""

    def __init__(self, url: httpx.URL, tls: ssl.SSLContext) -> None:
        origin = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=b"").origin
        self._host, self._port = origin.host.decode("ascii"), origin.port
        self._tls = tls if url.scheme == "https" else None
        self._target = url.raw_path
        self._headers: Headers = [(b"host", url.netloc), (b"content-type", b"application/json")]
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
        headers = [*self._headers, (b"content-length", b"%d" % len(content))]
        head = h11.Request(method=b"POST", target=self._target, headers=headers)
        is_kept = False
        try:
            answer = await connection.ask(head, content)
            is_kept = connection.renew() and not self._is_closed
        finally:
            if is_kept:
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
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            raise

    async def aclose(self) -> None:
        """Close what is idle; what is in use closes when it has its answer. Closes sockets, waits for nobody."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().aclose()


@final
class _Connection:
    """A connection, and how far the conversation on it is."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._conversation = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._expires_at = 0.0

    async def ask(self, head: h11.Request, content: bytes) -> Answer:
        """Send a request and return the answer. Whatever is raised, the connection is of no use any longer."""
        events = (head, h11.Data(data=content), h11.EndOfMessage())
        request = b"".join([self._conversation.send(event) or b"" for event in events])
        with suppress(httpcore.WriteError):  # a server that refuses a request may not want to read all of it
            await self._stream.write(request, REPLY_TIMEOUT)
        while isinstance(response := await self._next_event(), h11.InformationalResponse):
            pass
        parts: list[bytes] = []
        while isinstance(part := await self._next_event(), h11.Data):
            parts.append(part.data)
        assert isinstance(
            response, h11.Response
        )  # h11 raises when anything comes in the place of what has to come
        return Answer(response.status_code, list(response.headers), b"".join(parts))

    async def _next_event(self) -> object:
        conversation = self._conversation
        try:
            while (event := conversation.next_event()) is h11.NEED_DATA:
                received = await self._stream.read(READ_BYTES, REPLY_TIMEOUT)
                if not received and conversation.their_state is h11.SEND_RESPONSE:
                    raise httpcore.RemoteProtocolError("the server closed the connection without an answer")
                conversation.receive_data(received)
        except h11.RemoteProtocolError as error:
            raise httpcore.RemoteProtocolError(str(error)) from error
        return event

    def renew(self) -> bool:
        """Make ready for the next request. Return whether there may be one: both sides keep the connection."""
        conversation = self._conversation
        if not (conversation.our_state is conversation.their_state is h11.DONE) or conversation.trailing_data[0]:
            return False
        conversation.start_next_cycle()
        self._expires_at = time.monotonic() + KEEP_ALIVE_S
        return True

    def is_usable(self) -> bool:
        """Tell whether the next request may go out: the server has not closed the connection, nor is about to."""
        # Nothing is to be read from an idle connection but its end.
        return time.monotonic() < self._expires_at and not self._stream.get_extra_info("is_readable")

    async def aclose(self) -> None:
        """Close the connection, also when cancelled."""
        with anyio.CancelScope(shield=True):
            await self._stream.aclose()
