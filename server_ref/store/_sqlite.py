"""A store in a SQLite file.

One connection, and the file is locked from opening to closing, so no second server can open it. Every commit
reaches the disk before it returns (WAL, `synchronous=FULL`). What is written by a turn, and nothing but that,
is one transaction.
"""

import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar, final

from attrs import define, field

from server_ref.machine import Changes, Dispatch, Draft, Outgoing, waiting

from . import _queries, schema
from ._agenda import Agenda
from ._store import StoreError, apply_executes, raised_floor

T = TypeVar("T")


@final
@define
class SqliteStore:
    """Keeps everything in the file at `path`, which is created if there is none."""

    path: Path = field(converter=Path)
    blocking: bool = field(default=True, init=False)
    _connection: sqlite3.Connection | None = field(default=None, init=False)
    _executes: dict[str, Dispatch] = field(factory=dict, init=False)
    _floor: int = field(default=0, init=False)
    _agenda: Agenda = field(factory=Agenda, init=False)

    def open(self) -> None:
        """Open the file, create what is missing, and lock it.

        Raises:
            StoreError: it cannot be read, is no database of ours, is of a newer version, or is in use.
        """
        if self.path.is_dir():
            raise StoreError(f"{self.path} is a directory: name a file")
        if not self.path.parent.is_dir():
            raise StoreError(f"{self.path}: there is no directory {self.path.parent}")
        with self._explained("cannot be opened"):
            # The engine moves from thread to thread, but never calls from two at once.
            connection = sqlite3.connect(
                self.path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            try:
                _prepare(connection)
                self._floor = _queries.clock_floor(connection)
            except BaseException:
                connection.close()
                raise
        self._connection = connection
        self._agenda.forget()

    def close(self) -> None:
        """Close the file. What waited for workers is forgotten; recovering sends it again."""
        connection, self._connection = self._connection, None
        self._executes.clear()
        if connection is not None:
            connection.close()

    def transact(self, step: Callable[[Draft], T]) -> T:
        """Run `step` on a draft of what is stored, store its changes by one commit, return its result.

        A turn that changed nothing is not written, and so leaves no trace in the clock floor either.

        Raises:
            StoreError: the file could not be read or written. Nothing has changed; it may be tried again.
        """
        connection = self._opened()
        draft = Draft(_queries.SqliteView(connection, self._executes, self._agenda))
        with self._explained("nothing was stored"), _transaction(connection):
            result = step(draft)
            if draft.changes.is_durable:
                _queries.write(connection, draft.changes, raised_floor(self._floor, draft.changes))
        self._committed(draft.changes)
        return result

    def _committed(self, changes: Changes) -> None:
        apply_executes(self._executes, changes)
        self._agenda.follow(changes)
        self._floor = raised_floor(self._floor, changes)

    def next_due(self) -> int | None:
        """Return the earliest instant (ms) at which anything is due."""
        with self._explained("cannot be read"):
            return self._agenda.next_due(self._opened())

    def outbox(self) -> Sequence[Outgoing]:
        """Return the messages that wait for their delivery."""
        with self._explained("cannot be read"):
            return waiting(_queries.SqliteView(self._opened(), self._executes, self._agenda))

    def clock_floor(self) -> int:
        """Return the highest instant (ms) of any turn since the last reset."""
        return self._floor

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self.path} is not open")
        return self._connection

    @contextmanager
    def _explained(self, what: str) -> Generator[None]:
        """Turn errors of the driver into one line that a user understands."""
        try:
            yield
        except (sqlite3.Error, schema.SchemaError) as error:
            raise StoreError(f"{self.path}: {what}: {_reason(error)}") from error


def _prepare(connection: sqlite3.Connection) -> None:
    """Make a fresh connection ours: check what it is connected to, set it up, migrate, lock."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    steps = schema.version(connection)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise schema.SchemaError(f"this file system allows no write-ahead log, only {mode}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -65536")  # in KiB
    schema.migrate(connection, steps)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Commit what is done inside, or if anything fails, undo it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some errors, such as a full disk, have ended the transaction already.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _reason(error: Exception) -> str:
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith("SQLITE_BUSY"):
        return "another server or tool holds it open"
    if code.startswith("SQLITE_NOTADB"):
        return "it is no SQLite database"
    if code.startswith("SQLITE_FULL"):
        return "the disk is full"
    if code.startswith("SQLITE_CANTOPEN"):
        return "no permission, or no such place"
    return str(error)
