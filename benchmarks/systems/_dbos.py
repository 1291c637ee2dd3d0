"""DBOS: Postgres as it comes, each commit on disk, and a process with the workflows."""

import os
import pwd
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from ._peer import PeerSystem, open_driver
from ._processes import start_process

PROGRAM = "benchmarks.peers.programs.dbos_postgres"
OWNER = "postgres"
"""Who runs Postgres if we are root, which it refuses to be run by. Its packages make this user."""


@asynccontextmanager
async def open_dbos(python: Path, postgres: Path, folder: Path) -> AsyncGenerator[PeerSystem]:
    """Start Postgres on an empty database, and a process that uses it; stop them at the end.

    Args:
        python: the interpreter of the peers' environment.
        postgres: the folder with Postgres's programs.
        folder: for the database.

    Raises:
        StartError: they do not get ready.
        subprocess.CalledProcessError: one of them failed.
    """
    owner = OWNER if os.geteuid() == 0 else None
    if owner is not None:
        account = pwd.getpwnam(owner)
        os.chown(folder, account.pw_uid, account.pw_gid)
    data = str(folder / "data")
    make = [str(postgres / "initdb"), "--auth=trust", "--username=postgres", "--no-sync", "-D", data]
    await trio.run_process(make, stdout=subprocess.DEVNULL, user=owner)
    serve = [str(postgres / "postgres"), "-D", data, "-k", str(folder), "-c", "listen_addresses="]
    async with trio.open_nursery() as processes:
        ready = "ready to accept connections"
        await start_process(processes, serve, says="stderr", until=ready, user=owner)
        url = f"postgresql+psycopg://postgres@/benchmark?host={folder}"
        try:
            yield await open_driver(processes, [str(python), "-m", PROGRAM, url])
        finally:
            processes.cancel_scope.cancel()
