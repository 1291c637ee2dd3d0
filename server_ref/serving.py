"""Running the server as a process: its socket, its signals, and the program that speaks HTTP."""

import faulthandler
import importlib.util
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import anyio

from server_ref import _uvicorn
from server_ref.app import anybody, create_app
from server_ref.clock import SystemClock
from server_ref.config import AuthConfig, HttpServer, ServerConfig, TlsConfig
from server_ref.engine import Engine, open_engine
from server_ref.limits import DEFAULT_LIMITS, Limits
from server_ref.patience import VANISHED_MS
from server_ref.rights import RightsOf
from server_ref.store import MemoryStore, SqliteStore
from server_ref.tls import TlsError, load_tls
from server_ref.trace import Trace, open_trace

if TYPE_CHECKING:
    import ssl

    from server_ref.store import Store

BACKLOG: Final = 2048
LIMIT_S: Final = 10
"""When the process ends at the latest, whatever hangs."""


@final
class StartError(Exception):
    """The server cannot start. The message says why, and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """Listen. From here on clients can connect; they are answered when the server runs.

    Raises:
        StartError: the port is taken, or there is no such address here.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        sock = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if isinstance(error.errno, int) and error.errno > 0 else str(error)
        raise StartError(f"cannot listen on {host} port {port}: {reason}") from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Connections inherit it. Without it, a peer that lost its power is noticed after a quarter of an hour.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_MS)
    return sock


def url_of(sock: socket.socket, scheme: str = "http") -> str:
    """Return the URL of a socket that listens."""
    host, port = sock.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def run(config: ServerConfig, announce: Callable[[str], None]) -> None:
    """Run the server until it is told to stop by SIGINT or SIGTERM.

    Args:
        config: what to serve, and where.
        announce: called with the URL once the server takes requests.

    Raises:
        StartError: it cannot listen there, something that it needs is not installed, or the trace, the keys or
            the certificate cannot be used.
        StoreError: the database cannot be used.
    """
    if config.http_server == "hypercorn" and not _is_installed("hypercorn"):
        raise StartError("Hypercorn is not installed: pip install 'resonate-trio[hypercorn]'")
    serve_engine = partial(
        serve,
        http_server=config.http_server,
        limits=config.limits,
        rights_of=_rights_of(config.auth),
        tls=_tls(config.tls),
    )
    _raise_file_limit()
    with bind(config.host, config.port) as sock, _tracing(config.trace) as trace:
        main = partial(_main, config, serve_engine, sock, announce, trace)
        if config.http_server == "uvicorn":
            anyio.run(main, backend="asyncio", backend_options={"use_uvloop": _is_installed("uvloop")})
        else:
            anyio.run(main, backend="trio")
    faulthandler.cancel_dump_traceback_later()


def _tracing(path: Path | None) -> AbstractContextManager[Trace | None]:
    if path is None:
        return nullcontext()
    try:
        return closing(open_trace(path))
    except OSError as error:
        raise StartError(f"cannot write the trace {path}: {error.strerror}") from error


def _rights_of(auth: AuthConfig | None) -> RightsOf:
    if auth is None:
        return anybody
    if not _is_installed("jwt") or not _is_installed("cryptography"):
        raise StartError("tokens need the extra 'auth': pip install 'resonate-trio[auth]'")
    from server_ref.auth import KeyFileError, TokenVerifier, load_keys

    try:
        return TokenVerifier(load_keys(auth.key), auth.issuer, auth.audience).rights_of
    except KeyFileError as error:
        raise StartError(str(error)) from error


def _tls(tls: TlsConfig | None) -> "ssl.SSLContext | None":
    if tls is None:
        return None
    try:
        return load_tls(tls.cert, tls.key)
    except TlsError as error:
        raise StartError(str(error)) from error


def _raise_file_limit() -> None:
    """Allow as many connections as the system does. Many allow but 1,024 files to whom does not ask."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _main(
    config: ServerConfig,
    serve_engine: Callable[[Engine, socket.socket, anyio.Event], Awaitable[None]],
    sock: socket.socket,
    announce: Callable[[str], None],
    trace: Trace | None,
) -> None:
    url = url_of(sock, "http" if config.tls is None else "https")
    store: Store = MemoryStore() if config.path is None else SqliteStore(config.path)
    opened = open_engine(store, clock=SystemClock(), debug=config.debug, server_url=config.url or url, trace=trace)
    # Signals are taken before the store is opened: it is never left without being closed.
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with opened as engine:
            announce(url)
            stop = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_heed, signals, stop)
                await serve_engine(engine, sock, stop)
                tasks.cancel_scope.cancel()


async def _heed(signals: AsyncIterator[signal.Signals], stop: anyio.Event) -> None:
    """Stop at the first signal. The second one ends the process at once: what was acknowledged is on disk."""
    async for signum in signals:
        if stop.is_set():
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        stop.set()
        # Not a task: it also works when the event loop, or a thread at a disk that hangs, is what hangs.
        faulthandler.dump_traceback_later(LIMIT_S, exit=True)


async def serve(
    engine: Engine,
    sock: socket.socket,
    stop: anyio.Event,
    *,
    http_server: HttpServer,
    limits: Limits = DEFAULT_LIMITS,
    rights_of: RightsOf = anybody,
    tls: "ssl.SSLContext | None" = None,
) -> None:
    """Serve an engine by HTTP until `stop` is set and all requests that are running then are answered.

    Streams of messages end at once. What takes longer than the grace is cut. The socket is closed.
    """
    app = create_app(engine, limits=limits, rights_of=rights_of)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_close_streams, engine, stop)
        if http_server == "uvicorn":
            await _uvicorn.serve(app, sock, stop, tls=tls, receive_timeout=limits.receive_timeout)
        else:
            from server_ref import _hypercorn  # an extra

            await _hypercorn.serve(app, sock, stop, tls=tls)
        tasks.cancel_scope.cancel()


async def _close_streams(engine: Engine, stop: anyio.Event) -> None:
    await stop.wait()
    engine.close_connections()


def _is_installed(module: str) -> bool:
    """Tell whether an optional dependency is there; for uvloop, some platforms have none."""
    return importlib.util.find_spec(module) is not None
