"""Serving by uvicorn, on asyncio."""

import ssl
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final, cast, final

import anyio
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server_ref.patience import GRACE_S, KEEP_ALIVE_S, MAX_HEAD_BYTES

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop, TimerHandle, Transport  # ruff: ignore[banned-api]

    from starlette.types import ASGIApp

FLUSH_BYTES: Final = 64 * 1024
"""More than this is written at once, so that it is noticed when a client does not read."""


async def serve(
    app: "ASGIApp",
    sock: "socket.socket",
    stop: anyio.Event,
    *,
    tls: ssl.SSLContext | None,
    receive_timeout: float,
) -> None:
    """Serve an application until `stop` is set. The socket is closed."""
    config = _Config(
        app,
        http=_Connection,
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    config.tls, config.receive_timeout = tls, receive_timeout
    server = _Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.exit_after, stop)
        await server.serve([sock])
        tasks.cancel_scope.cancel()


@final
class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: ours know more."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Leave the signals alone."""
        return nullcontext()

    async def exit_after(self, stop: anyio.Event) -> None:
        """Begin to shut down when `stop` is set."""
        await stop.wait()
        self.should_exit = True


@final
class _Config(uvicorn.Config):
    """Uvicorn's settings, with TLS as it was loaded at the start.

    Attributes:
        tls: the certificate and its key, None to leave connections as they are.
        receive_timeout: seconds that the head of a request may take to arrive.
    """

    tls: ssl.SSLContext | None
    receive_timeout: float

    def load(self) -> None:
        """Take in the settings."""
        super().load()
        self.ssl = self.tls


@final
class _Transport:
    """A transport that sends together what is written together: uvicorn writes head and body of an answer apart.

    What is written to it when it is closed, it drops, as the transports of asyncio do. Those of uvloop raise, and
    uvicorn would log that as an error of the application: it hears of the end of a connection a moment after the
    transport does.
    """

    def __init__(self, inner: "Transport", loop: "AbstractEventLoop") -> None:
        self._inner = inner
        self._loop = loop
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    def write(self, data: bytes) -> None:
        """Write at the end of an answer, or when whoever writes waits for something."""
        if not self._pending:
            self._loop.call_soon(self.flush)
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending, as long as the transport is open."""
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            self._pending_bytes = 0
            if not self._inner.is_closing():
                self._inner.write(data)

    def close(self) -> None:
        """Close when everything is written."""
        self.flush()
        self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@final
class _Connection(HttpToolsProtocol):
    """A connection, with two bounds that uvicorn's own has not.

    A client that is owed no answer has to come to the end of the head of a request in time: else connections
    that never ask for anything would add up. And what arrives is parsed into a head or into a part of a body
    before it is too much: else one endless header, or one endless trailer, would fill the memory.
    """

    config: _Config
    _outgoing: _Transport

    def __init__(self, config: _Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._pending_bytes = 0
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: "Transport") -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        self._outgoing = _Transport(transport, self.loop)
        super().connection_made(cast("Transport", self._outgoing))
        self._timer = self.loop.call_later(self.config.receive_timeout, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        self._pending_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._pending_bytes > MAX_HEAD_BYTES:
            self.send_400_response(f"The head is too large: at most {MAX_HEAD_BYTES} bytes are accepted.")
        elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._timer = self.loop.call_later(self.config.receive_timeout, self.transport.abort)

    def on_headers_complete(self) -> None:
        """Take in a head."""
        self._pending_bytes = 0
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in a part of a body."""
        self._pending_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take in the end of a request."""
        self._pending_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Let an answer go."""
        self._outgoing.flush()
        super().on_response_complete()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
