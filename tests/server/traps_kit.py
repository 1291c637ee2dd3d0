"""What the tests of the traps share: a machine over each store, and short ways to look at what it did."""

from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from resonate_trio.protocol import Unblock
from server_ref.store import MemoryStore, SqliteStore, Store

from .machine_kit import Machine

STORES: Final = ("memory", "sqlite")


def new_store(name: str, folder: Path) -> Store:
    """Return a store that is not open yet."""
    return MemoryStore() if name == "memory" else SqliteStore(folder / "traps.db")


@contextmanager
def machine_over(name: str, folder: Path) -> Generator[Machine]:
    """Open a machine over a store."""
    with closing(new_store(name, folder)) as store:
        store.open()
        yield Machine(store)


def executes(machine: Machine) -> list[tuple[str, str | int]]:
    """Return which tasks wait in the outbox for their delivery, at which version."""
    return [(item.key[1], item.key[2]) for item in machine.store.outbox() if item.key[0] == "execute"]


def unblocks(machine: Machine) -> list[tuple[str, str]]:
    """Return which listeners still have to be told of which promise."""
    return [
        (item.message.promise.id, item.address)
        for item in machine.store.outbox()
        if isinstance(item.message, Unblock)
    ]
