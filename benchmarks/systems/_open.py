"""From a mode to a system that runs."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, final

import trio

from server_ref.store import MemoryStore, SqliteStore

from ._base import Mode, System
from ._dbos import open_dbos
from ._embedded import open_embedded
from ._http import open_http
from ._peer import PeerSystem, open_driver
from ._restate import open_restate

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from benchmarks.peers.find import Peers


@final
class PeerMissingError(Exception):
    """A peer is not installed. The message says what is missing."""


@asynccontextmanager
async def open_system(mode: Mode, peers: "Peers | None" = None) -> AsyncGenerator[System]:
    """Start a system with an empty store; at the end, stop it and remove the store.

    Args:
        mode: which.
        peers: where the peers are; None: nowhere.

    Raises:
        PeerMissingError: it is a peer, and not installed.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        opening: AbstractAsyncContextManager[System]
        match mode:
            case Mode.HTTP:
                opening = open_http(folder / "benchmark.db")
            case Mode.EMBEDDED_DISK:
                opening = open_embedded(SqliteStore(folder / "benchmark.db"))
            case Mode.EMBEDDED_MEMORY:
                opening = open_embedded(MemoryStore())
            case _:
                opening = _open_peer(mode, peers, folder)
        async with opening as system:
            yield system


@asynccontextmanager
async def _open_peer(mode: Mode, peers: "Peers | None", folder: Path) -> AsyncGenerator[PeerSystem]:
    missing = "no peers" if peers is None else peers.missing(mode)
    if peers is None or peers.python is None or missing:
        raise PeerMissingError(f"{mode}: {missing}")
    if mode == Mode.RESTATE and peers.restate_server is not None:
        async with open_restate(peers.python, peers.restate_server, folder) as system:
            yield system
    elif mode == Mode.DBOS and peers.postgres is not None:
        async with open_dbos(peers.python, peers.postgres, folder) as system:
            yield system
    else:
        async with trio.open_nursery() as processes:
            try:
                yield await open_driver(
                    processes, [str(peers.python), "-m", "benchmarks.peers.programs.resonate_sdk"]
                )
            finally:
                processes.cancel_scope.cancel()
