"""Serving by Hypercorn, on trio.

Hypercorn's own way to serve is not used: there, an error in the handling of one connection, which a client can
cause, ends the server.
"""

import logging
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any, cast, final

import h11
import trio
from attrs import field, frozen
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app

from server_ref.patience import GRACE_S, KEEP_ALIVE_S, MAX_HEAD_BYTES

if TYPE_CHECKING:
    import socket

    import anyio
    from hypercorn.typing import AppWrapper, ASGIFramework
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

_Tls = trio.SSLStream[trio.SocketStream]
Stream = trio.SocketStream | _Tls


async def serve(app: "ASGIApp", sock: "socket.socket", stop: "anyio.Event", *, tls: ssl.SSLContext | None) -> None:
    """Serve an application until `stop` is set. The socket is closed."""
    handler = _Handler(wrap_app(cast("ASGIFramework", _tolerant(app)), 0, "asgi"), _config())
    listener = _listener(sock, tls)
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            serve_all = partial(trio.serve_listeners, handler_nursery=connections)
            accepting.start_soon(serve_all, handler.handle, [listener])
            await stop.wait()
            accepting.cancel_scope.cancel()
        await handler.context.terminated.set()
        connections.cancel_scope.deadline = trio.current_time() + GRACE_S


def _tolerant(app: "ASGIApp") -> "ASGIApp":
    """Let an answer that cannot be sent end there, as it would where the client has gone.

    Hypercorn raises when the client has broken the rules of HTTP meanwhile, and would log that as an error of the
    application.
    """

    async def tolerant(scope: "Scope", receive: "Receive", send: "Send") -> None:
        async def send_or_end(message: "Message") -> None:
            try:
                await send(message)
            except h11.LocalProtocolError as error:
                raise _AnswerLostError from error

        try:
            await app(scope, receive, send_or_end)
        except* _AnswerLostError as errors:
            logger.debug("an answer could not be sent: %r", errors)

    return tolerant


@final
class _AnswerLostError(Exception):
    """An answer could not be sent."""


def _config() -> Config:
    """Return the settings of connections.

    One that does not come to the end of the head of a request is closed like an idle one.
    """
    config = Config()
    config.errorlog = logging.getLogger("server_ref.hypercorn")
    config.accesslog = None
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.h11_max_incomplete_size = MAX_HEAD_BYTES
    return config


def _listener(
    sock: "socket.socket", tls: ssl.SSLContext | None
) -> trio.SocketListener | trio.SSLListener[trio.SocketStream]:
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    return listener if tls is None else trio.SSLListener(listener, tls, https_compatible=True)


@final
@frozen
class _Handler:
    """Handles connections, each on its own.

    Attributes:
        app: performs their requests.
        config: their settings.
        context: what they share: whether the server is stopping.
    """

    app: "AppWrapper"
    config: Config
    context: WorkerContext = field(factory=lambda: WorkerContext(None))

    async def handle(self, stream: Stream) -> None:
        """Handle a connection until its end. Its errors are nobody else's."""
        connection = _Connection(self.app, self.config, self.context, ConnectionState({}), cast("_Tls", stream))
        try:
            with connection.scope:
                await connection
        except* Exception as errors:
            logger.debug("a connection failed: %r", errors)
        finally:
            await trio.aclose_forcefully(stream)  # it may have got no further than its handshake


@final
class _Connection(TCPServer):
    """A connection that is over when nothing more can come, or nothing can be sent.

    Hypercorn's own lasts as long as an idle one may, and for ever if there is a request in it that waits for the
    end of the one before.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.scope = trio.CancelScope()

    async def _read_data(self) -> None:
        await super()._read_data()
        self.scope.cancel()

    async def protocol_send(self, event: Event) -> None:
        """Do what the protocol says: send bytes, close the connection, or begin to wait for the next request."""
        if isinstance(event, RawData):
            await self._send_bytes(event.data)
            return
        await super().protocol_send(event)
        if isinstance(event, Closed):
            self.scope.cancel()

    async def _send_bytes(self, data: bytes) -> None:
        async with self.send_lock:
            try:
                with trio.CancelScope(shield=True):  # else a part of an answer could be followed by another
                    await self.stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                self.scope.cancel()  # the peer is gone, or has been refused
