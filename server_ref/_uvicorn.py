"""Serving by uvicorn, on asyncio."""

import ssl
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast, final

import anyio
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server_ref.patience import GRACE_S, KEEP_ALIVE_S, MAX_HEAD_BYTES

if TYPE_CHECKING:
    import socket
    from asyncio import TimerHandle, Transport  # ruff: ignore[banned-api]

    from starlette.applications import Starlette


async def serve(
    app: "Starlette",
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
    """A transport that takes what is written to it when it is closed, and drops it, as those of asyncio do.

    Those of uvloop raise, and uvicorn would log that as an error of the application: it hears of the end of a
    connection a moment after the transport does.
    """

    def __init__(self, inner: "Transport") -> None:
        self._inner = inner

    def write(self, data: bytes) -> None:
        """Write, as long as the transport is open."""
        if not self._inner.is_closing():
            self._inner.write(data)

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

    def __init__(self, config: _Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._pending_bytes = 0
        self._timer: TimerHandle | None = None

    def connection_made(self, transport: "Transport") -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(cast("Transport", _Transport(transport)))
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

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
