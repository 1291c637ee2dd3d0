"""Stores: where the records of a server are kept. They know no rule of the protocol."""

from ._memory import MemoryStore as MemoryStore
from ._sqlite import SqliteStore as SqliteStore
from ._store import Store as Store, StoreError as StoreError
