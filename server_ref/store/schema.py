"""The schema of the SQLite store, as numbered steps, and what marks a file as ours.

A database at version n has had the first n steps. A step that was released is never changed; what is to be
different comes as a further step.
"""

import sqlite3
from typing import Final, final

APPLICATION_ID: Final = 0x52736E74
"""What `PRAGMA application_id` says of our files: "Rsnt"."""

_FIRST: Final = (
    # Small rows live in the index of their key (WITHOUT ROWID), those with payloads beside it: that measured best.
    """
    CREATE TABLE promises (
        id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        timeout_at INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        settled_at INTEGER,
        param_headers TEXT,
        param_data TEXT,
        value_headers TEXT,
        value_data TEXT,
        tags TEXT NOT NULL,
        branch TEXT
    )
    """,
    "CREATE INDEX promises_due ON promises (timeout_at) WHERE state = 'pending'",
    "CREATE INDEX promises_branch ON promises (branch) WHERE branch IS NOT NULL",
    """
    CREATE TABLE tasks (
        id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        version INTEGER NOT NULL,
        resumes TEXT NOT NULL,
        ttl INTEGER,
        pid TEXT,
        due_at INTEGER
    ) WITHOUT ROWID
    """,
    "CREATE INDEX tasks_due ON tasks (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE TABLE schedules (
        id TEXT PRIMARY KEY,
        cron TEXT NOT NULL,
        promise_id TEXT NOT NULL,
        promise_timeout INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        next_run_at INTEGER NOT NULL,
        param_headers TEXT,
        param_data TEXT,
        tags TEXT NOT NULL,
        last_run_at INTEGER
    ) WITHOUT ROWID
    """,
    "CREATE INDEX schedules_due ON schedules (next_run_at)",
    "CREATE TABLE callbacks (awaited TEXT, awaiter TEXT, PRIMARY KEY (awaited, awaiter)) WITHOUT ROWID",
    "CREATE TABLE listeners (id TEXT, address TEXT, PRIMARY KEY (id, address)) WITHOUT ROWID",
    "CREATE TABLE unblocks (id TEXT, address TEXT, PRIMARY KEY (id, address)) WITHOUT ROWID",
    "CREATE TABLE clock (floor INTEGER NOT NULL) STRICT",
    "INSERT INTO clock VALUES (0)",
)

_CANCELLING: Final = (
    "ALTER TABLE promises ADD COLUMN parent TEXT",
    """UPDATE promises SET parent = json_extract(tags, '$."resonate:parent"')""",
    "CREATE INDEX promises_parent ON promises (parent, id) WHERE parent IS NOT NULL",
    "ALTER TABLE tasks ADD COLUMN cancelled_at INTEGER",
    "ALTER TABLE tasks ADD COLUMN cancel_until INTEGER",
    "ALTER TABLE tasks ADD COLUMN cancel_version INTEGER",
    "ALTER TABLE tasks ADD COLUMN cancel_headers TEXT",
    "ALTER TABLE tasks ADD COLUMN cancel_data TEXT",
    "CREATE INDEX tasks_cancel_until ON tasks (cancel_until) WHERE cancel_until IS NOT NULL",
    "CREATE TABLE sweeps (id TEXT PRIMARY KEY, after TEXT, cause TEXT) WITHOUT ROWID",
    "CREATE TABLE failure_callbacks (awaited TEXT, awaiter TEXT, PRIMARY KEY (awaited, awaiter)) WITHOUT ROWID",
)

MIGRATIONS: Final = (_FIRST, _CANCELLING)

TABLES: Final = (
    "promises",
    "tasks",
    "schedules",
    "callbacks",
    "failure_callbacks",
    "listeners",
    "unblocks",
    "sweeps",
)
"""The tables that a reset empties."""


@final
class SchemaError(Exception):
    """A database cannot be ours. The message says why."""


def version(connection: sqlite3.Connection) -> int:
    """Return how many steps a database has had. Changes nothing.

    Raises:
        SchemaError: it is another application's, or of a version to come. The message says which.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (steps,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id != APPLICATION_ID and (application_id or steps or tables):
        raise SchemaError("it is a database of another application")
    if steps > len(MIGRATIONS):
        raise SchemaError(
            f"its schema is version {steps}, this server knows those up to {len(MIGRATIONS)}: use a newer one"
        )
    return int(steps)


def migrate(connection: sqlite3.Connection, steps: int) -> None:
    """Do the steps that a database has not had, all or none of them.

    The lock is taken even if nothing is to be done: from here on the file is ours until it is closed.
    """
    connection.execute("BEGIN EXCLUSIVE")
    for step in MIGRATIONS[steps:]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")
