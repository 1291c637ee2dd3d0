"""The one place where the SDK meets the server: to run it inside this process."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from os import PathLike
from typing import TYPE_CHECKING

from server_ref.clock import SystemClock
from server_ref.engine import Engine, open_engine
from server_ref.store import MemoryStore, SqliteStore

if TYPE_CHECKING:
    from server_ref.store import Store


@asynccontextmanager
async def embedded_engine(path: str | PathLike[str] | None) -> AsyncGenerator[Engine]:
    """Open a server in this process, in memory or on a SQLite file.

    The file belongs to this process alone, so what was being executed when the last one died goes on at once.

    Raises:
        StoreError: the file cannot be used.
    """
    store: Store = MemoryStore() if path is None else SqliteStore(path)
    async with open_engine(store, clock=SystemClock(), exclusive=True) as engine:
        yield engine
