"""A server on a SQLite file and two workers, each a process of its own, and a client here."""

import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from resonate_trio import Client

from ._functions import CALLEE, CALLER
from ._load import open_connection
from ._processes import StartError, start_process
from ._resonate import ResonateSystem

if TYPE_CHECKING:
    from ._resonate import Part


@asynccontextmanager
async def open_http(database: Path) -> AsyncGenerator[ResonateSystem]:
    """Start a server and its workers; stop them at the end.

    Raises:
        StartError: one of the processes does not get ready.
        subprocess.CalledProcessError: one of them failed later.
    """
    async with trio.open_nursery() as processes:
        server, url = await _start_server(processes, database)
        pids: dict[Part, int] = {
            "server": server.pid,
            "caller": (await start_worker(processes, url, CALLER)).pid,
            "callee": (await start_worker(processes, url, CALLEE)).pid,
        }
        try:
            async with Client(url) as client:
                yield ResonateSystem(client, partial(open_connection, url), url=url, processes=pids)
        finally:
            processes.cancel_scope.cancel()


async def start_worker(
    processes: trio.Nursery, url: str, functions: str, group: str | None = None
) -> trio.Process:
    """Start a worker process.

    Args:
        processes: owns it.
        url: the server.
        functions: whose functions it executes: those of the caller or of the callee.
        group: its group; None: the same.
    """
    command = [sys.executable, "-m", "benchmarks.systems.worker", url, functions, group or functions]
    worker, _ = await start_process(processes, command, says="stdout")
    return worker


async def _start_server(processes: trio.Nursery, database: Path) -> tuple[trio.Process, str]:
    """Start the server; return it with its URL once it takes requests."""
    serve = [sys.executable, "-m", "resonate_trio", "serve", "--port", "0", "--db", str(database)]
    server, text = await start_process(processes, serve, says="stderr")
    announced = re.search(r"http://[^\s,]+", text)
    if announced is None:
        raise StartError(f"the server did not say where it listens; it wrote {text!r}")
    return server, announced[0]
