"""Running the server as a process: its socket, its signals, and the program that speaks HTTP."""

import faulthandler
import importlib.util
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Final, cast, final

import anyio
import uvicorn
from starlette.applications import Starlette

from server_ref.app import create_app
from server_ref.clock import SystemClock
from server_ref.config import HttpServer, ServerConfig
from server_ref.engine import Engine, open_engine
from server_ref.store import MemoryStore, SqliteStore

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

    from server_ref.store import Store

BACKLOG: Final = 2048
KEEP_ALIVE_S: Final = 75
"""How long an idle connection is kept: longer than clients keep theirs, so that it is they who close it."""
VANISHED_MS: Final = 30_000
"""When a peer has acknowledged nothing for so long, its connection is given up."""
GRACE_S: Final = 8
"""How long running requests may take to finish when the server stops."""
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


def url_of(sock: socket.socket) -> str:
    """Return the URL of a socket that listens."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(config: ServerConfig, announce: Callable[[str], None]) -> None:
    """Run the server until it is told to stop by SIGINT or SIGTERM.

    Args:
        config: what to serve, and where.
        announce: called with the URL once the server takes requests.

    Raises:
        StartError: it cannot listen there, or what speaks HTTP is not installed.
        StoreError: the database cannot be used.
    """
    if config.http_server == "hypercorn" and not _is_installed("hypercorn"):
        raise StartError("Hypercorn is not installed: pip install 'resonate-trio[hypercorn]'")
    with bind(config.host, config.port) as sock:
        main = partial(_main, config, sock, announce)
        if config.http_server == "uvicorn":
            anyio.run(main, backend="asyncio", backend_options={"use_uvloop": _is_installed("uvloop")})
        else:
            anyio.run(main, backend="trio")
    faulthandler.cancel_dump_traceback_later()


async def _main(config: ServerConfig, sock: socket.socket, announce: Callable[[str], None]) -> None:
    url = url_of(sock)
    store: Store = MemoryStore() if config.path is None else SqliteStore(config.path)
    server_url = config.url or url
    # Signals are taken before the store is opened: it is never left without being closed.
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with open_engine(store, clock=SystemClock(), debug=config.debug, server_url=server_url) as engine:
            announce(url)
            stop = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_heed, signals, stop)
                await serve(engine, sock, stop, http_server=config.http_server)
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


async def serve(engine: Engine, sock: socket.socket, stop: anyio.Event, *, http_server: HttpServer) -> None:
    """Serve an engine by HTTP until `stop` is set and all requests that are running then are answered.

    Streams of messages end at once. What takes longer than the grace is cut. The socket is closed.
    """
    app = create_app(engine)
    serve_app = _serve_by_uvicorn if http_server == "uvicorn" else _serve_by_hypercorn
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_close_streams, engine, stop)
        await serve_app(app, sock, stop)
        tasks.cancel_scope.cancel()


async def _close_streams(engine: Engine, stop: anyio.Event) -> None:
    await stop.wait()
    engine.close_connections()


def _is_installed(module: str) -> bool:
    """Tell whether an optional dependency is there; for uvloop, some platforms have none."""
    return importlib.util.find_spec(module) is not None


# --- uvicorn, on asyncio --------------------------------------------------------------------------


@final
class _Uvicorn(uvicorn.Server):
    """Uvicorn without its signal handlers: ours know more."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Leave the signals alone."""
        return nullcontext()

    async def exit_after(self, stop: anyio.Event) -> None:
        """Begin to shut down when `stop` is set."""
        await stop.wait()
        self.should_exit = True


async def _serve_by_uvicorn(app: Starlette, sock: socket.socket, stop: anyio.Event) -> None:
    server = _Uvicorn(
        uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.exit_after, stop)
        await server.serve([sock])
        tasks.cancel_scope.cancel()


# --- Hypercorn, on trio ---------------------------------------------------------------------------


async def _serve_by_hypercorn(app: Starlette, sock: socket.socket, stop: anyio.Event) -> None:
    from hypercorn.config import Config
    from hypercorn.trio import serve as hypercorn_serve

    config = Config()
    config.bind = [f"fd://{sock.detach()}"]
    config.errorlog = logging.getLogger("server_ref.hypercorn")
    config.accesslog = None
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.graceful_timeout = GRACE_S
    await hypercorn_serve(cast("ASGIFramework", app), config, shutdown_trigger=stop.wait)
