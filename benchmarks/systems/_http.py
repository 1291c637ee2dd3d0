"""A server on a SQLite file and two workers, each a process of its own, and a client here."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from resonate_trio import Client

from ._functions import FUNCTIONS
from ._load import open_connection
from ._processes import StartError, start_process
from ._resonate import ResonateSystem


@asynccontextmanager
async def open_http(database: Path) -> AsyncGenerator[ResonateSystem]:
    """Start a server and its workers; stop them at the end.

    Raises:
        StartError: one of the processes does not get ready.
        subprocess.CalledProcessError: one of them failed later.
    """
    async with trio.open_nursery() as processes:
        url = await _start_server(processes, database)
        for group in FUNCTIONS:
            await start_process(processes, ["-m", "benchmarks.systems.worker", url, group], says="stdout")
        async with Client(url) as client:
            yield ResonateSystem(client, partial(open_connection, url))
        processes.cancel_scope.cancel()


async def _start_server(processes: trio.Nursery, database: Path) -> str:
    """Start the server; return its URL once it takes requests."""
    serve = ["-m", "resonate_trio", "serve", "--port", "0", "--db", str(database)]
    line = await start_process(processes, serve, says="stderr")
    announced = re.search(r"http://[^\s,]+", line)
    if announced is None:
        raise StartError(f"the server did not say where it listens; it wrote {line!r}")
    return announced[0]
