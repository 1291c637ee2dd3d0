"""The SQLite store: files that are not ours, or in use, and commits that fail."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resonate_trio.protocol import Promise, PromiseState, TaskState, Value
from server_ref.machine import Dispatch, Draft, TaskRecord
from server_ref.store import SqliteStore, StoreError, schema


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a path without a file."""
    return tmp_path / "test.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """Give an open store."""
    store = SqliteStore(path)
    store.open()
    yield store
    store.close()


def put(id: str, size: int = 1) -> Promise:
    """Return a promise with a payload."""
    return Promise(id, PromiseState.PENDING, 100, 1, Value(None, "x" * size))


def refused(path: Path) -> str:
    """Return why a store cannot be opened, in one line that names the file."""
    with pytest.raises(StoreError) as caught:
        SqliteStore(path).open()
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def foreign(path: Path, *statements: str) -> None:
    """Write a database with other means."""
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


# --- Opening --------------------------------------------------------------------------------------


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """With advice."""
    assert "is a directory" in refused(tmp_path)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    """It is named, and not created."""
    assert "no directory" in refused(tmp_path / "missing" / "test.db")
    assert not (tmp_path / "missing").exists()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """And left as it is."""
    path.write_bytes(b"something else entirely" * 100)
    assert "no SQLite database" in refused(path)
    assert path.read_bytes() == b"something else entirely" * 100


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE t (x)", "PRAGMA user_version = 1", "PRAGMA application_id = 7"]
)
def test_a_database_of_another_application_is_refused(path: Path, statement: str) -> None:
    """And left as it is, without our tables."""
    foreign(path, statement)
    before = path.read_bytes()
    assert "another application" in refused(path)
    assert path.read_bytes() == before


def test_a_database_of_a_newer_schema_is_refused(path: Path) -> None:
    """The message says both versions."""
    newer = len(schema.MIGRATIONS) + 1
    foreign(path, f"PRAGMA application_id = {schema.APPLICATION_ID}", f"PRAGMA user_version = {newer}")
    assert f"version {newer}" in refused(path)


def test_an_empty_file_is_taken(path: Path) -> None:
    """It holds nothing of anybody's."""
    path.touch()
    store = SqliteStore(path)
    store.open()
    store.close()
    assert path.stat().st_size > 0


def test_a_file_without_permission_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the driver reports it (a test that runs as root cannot be refused by permissions)."""

    def connect(*_args: object, **_options: object) -> None:
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorname = "SQLITE_CANTOPEN"
        raise error

    monkeypatch.setattr(sqlite3, "connect", connect)
    assert "no permission" in refused(path)


def test_a_place_without_a_write_ahead_log_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Some file systems have none, and neither has memory, which is the name of the file here."""
    monkeypatch.chdir(tmp_path)
    assert "no write-ahead log, only memory" in refused(Path(":memory:"))


def test_a_second_store_on_the_file_is_refused(store: SqliteStore, path: Path) -> None:
    """As long as the first is open, whether it is idle or not."""
    assert "another server" in refused(path)
    store.transact(lambda draft: draft.put_promise(put("a")))
    assert "another server" in refused(path)
    store.close()
    second = SqliteStore(path)
    second.open()
    assert second.transact(lambda draft: draft.promise("a")) == put("a")
    second.close()


def test_a_second_process_on_the_file_is_refused(store: SqliteStore, path: Path) -> None:
    """The lock holds between processes."""
    program = f"from server_ref.store import SqliteStore; SqliteStore({str(path)!r}).open()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 1
    assert "another server or tool holds it open" in done.stderr
    assert store.transact(lambda draft: draft.promise("a")) is None


def test_a_store_that_failed_to_open_can_be_opened_later(store: SqliteStore, path: Path) -> None:
    """Nothing is left over from the attempt."""
    second = SqliteStore(path)
    with pytest.raises(StoreError):
        second.open()
    store.close()
    second.open()
    second.close()


def test_a_store_that_is_not_open_says_so(path: Path) -> None:
    """Instead of an error from inside."""
    store = SqliteStore(path)
    for use in (lambda: store.transact(lambda _: None), store.next_due, store.outbox):
        with pytest.raises(StoreError, match="not open"):
            use()


def test_every_commit_reaches_the_disk(store: SqliteStore) -> None:
    """Write-ahead log, with a sync at every commit."""
    connection = store._connection
    assert connection is not None
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_process_that_is_killed_leaves_what_it_committed(path: Path) -> None:
    """The next one opens the file, without any clean end of the first."""
    program = f"""
import os
from resonate_trio.protocol import Promise, PromiseState
from server_ref.store import SqliteStore
store = SqliteStore({str(path)!r})
store.open()
store.transact(lambda draft: draft.put_promise(Promise("a", PromiseState.PENDING, 100, 1)))
os.kill(os.getpid(), 9)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, timeout=50, check=False)
    assert done.returncode == -9
    store = SqliteStore(path)
    store.open()
    assert store.transact(lambda draft: draft.promise("a")) is not None
    store.close()


# --- Migrations -----------------------------------------------------------------------------------


def test_a_new_database_has_had_every_step(store: SqliteStore, path: Path) -> None:
    """And is marked as ours."""
    store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
    assert connection.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)
    connection.close()


def test_an_older_database_gets_the_steps_that_it_lacks(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its contents."""
    store.transact(lambda draft: draft.put_promise(put("a")))
    store.close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE more (x)",)))
    store.open()
    connection = store._connection
    assert connection is not None
    assert connection.execute("SELECT count(*) FROM more").fetchone() == (0,)
    assert store.transact(lambda draft: draft.promise("a")) == put("a")


def test_a_database_of_the_first_schema_is_taken_over(path: Path) -> None:
    """Its promises are found by their parent, its tasks are not to be cancelled, its callbacks are for all."""
    tags = """'{"resonate:parent":"p","k":"v"}'"""
    foreign(
        path,
        *schema.MIGRATIONS[0],
        f"PRAGMA application_id = {schema.APPLICATION_ID}",
        "PRAGMA user_version = 1",
        "INSERT INTO promises (id, state, timeout_at, created_at, tags) VALUES ('a', 'pending', 9, 1, '{}')",
        f"INSERT INTO promises (id, state, timeout_at, created_at, tags) VALUES ('p:1', 'pending', 9, 1, {tags})",
        "INSERT INTO tasks (id, state, version, resumes, due_at) VALUES ('a', 'pending', 3, '[]', 5)",
        "INSERT INTO callbacks (awaited, awaiter) VALUES ('p:1', 'a')",
    )
    store = SqliteStore(path)
    store.open()

    def read(draft: Draft) -> list[object]:
        return [
            [child.id for child in draft.children("p")],
            [child.id for child in draft.children("a")],
            draft.task("a"),
            list(draft.awaiters("p:1")),
            list(draft.failure_awaiters("p:1")),
        ]

    task = TaskRecord("a", TaskState.PENDING, 3, due_at=5)
    assert store.transact(read) == [["p:1"], [], task, ["a"], []]
    assert store.next_due() == 5
    store.close()


def test_a_step_that_fails_changes_nothing(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older server can still be used."""
    store.close()
    known = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", (*known, ("CREATE TABLE more (x)", "nonsense")))
    assert "syntax error" in refused(path)
    monkeypatch.setattr(schema, "MIGRATIONS", known)
    store.open()
    connection = store._connection
    assert connection is not None
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall() == []


# --- Commits that fail ----------------------------------------------------------------------------


def test_a_full_disk_stores_nothing_and_the_store_goes_on(store: SqliteStore) -> None:
    """One line says it; when there is room again, it works again."""
    connection = store._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")

    def fill(draft: Draft) -> None:
        draft.put_promise(put("big", 1_000_000))
        draft.put_execute("big", Dispatch("x", 1))
        draft.changes.now = 9

    with pytest.raises(StoreError, match="nothing was stored: the disk is full"):
        store.transact(fill)
    assert store.transact(lambda draft: draft.promise("big")) is None
    assert (list(store.outbox()), store.clock_floor()) == ([], 0)
    connection.execute("PRAGMA max_page_count = 1000000")
    store.transact(fill)
    assert store.transact(lambda draft: draft.promise("big")) == put("big", 1_000_000)


def test_a_file_that_turned_read_only_stores_nothing_and_the_store_goes_on(store: SqliteStore) -> None:
    """As with a full disk."""
    connection = store._connection
    assert connection is not None
    connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="nothing was stored"):
        store.transact(lambda draft: draft.put_promise(put("a")))
    connection.execute("PRAGMA query_only = OFF")
    store.transact(lambda draft: draft.put_promise(put("a")))
    assert store.transact(lambda draft: draft.promise("a")) == put("a")


def test_errors_of_the_machine_are_not_taken_for_those_of_the_disk(store: SqliteStore) -> None:
    """A bug comes out as what it is."""

    def fail(_: Draft) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        store.transact(fail)
