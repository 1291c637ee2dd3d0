"""From a mode to a system that runs."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from server_ref.store import MemoryStore, SqliteStore

from ._base import Mode, System
from ._embedded import open_embedded
from ._http import open_http


@asynccontextmanager
async def open_system(mode: Mode) -> AsyncGenerator[System]:
    """Start a system with an empty store; at the end, stop it and remove the store."""
    with tempfile.TemporaryDirectory(prefix="resonate-benchmark-") as folder:
        database = Path(folder, "benchmark.db")
        match mode:
            case Mode.HTTP:
                opening = open_http(database)
            case Mode.EMBEDDED_DISK:
                opening = open_embedded(SqliteStore(database))
            case Mode.EMBEDDED_MEMORY:
                opening = open_embedded(MemoryStore())
        async with opening as system:
            yield system
