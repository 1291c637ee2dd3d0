"""The records that travel: promises, tasks, schedules, and the values in them."""

import enum
from collections.abc import Mapping
from typing import Annotated, final

from attrs import Factory, frozen

MAX_MILLIS = 2**63 - 1

# What the converter checks beyond the Python type; see _convert.py.
Id = Annotated[str, "id"]
"""A promise, task or schedule id: 1 to 1,024 characters without NUL."""
Millis = Annotated[int, "millis"]
"""Milliseconds, an instant (Unix time) or a duration: 0 to 2^63 − 1."""
PositiveMillis = Annotated[int, "positive millis"]
"""A duration in milliseconds: 1 to 2^63 − 1."""
Version = Annotated[int, "version"]
"""How often a task was acquired: 0 to 2^63 − 1."""


class PromiseState(enum.StrEnum):
    """The states of a promise. All but `PENDING` are final."""

    PENDING = "pending"
    RESOLVED = "resolved"
    REJECTED = "rejected"
    CANCELED = "rejected_canceled"
    TIMEDOUT = "rejected_timedout"


class TaskState(enum.StrEnum):
    """The states of a task. `FULFILLED` is final."""

    PENDING = "pending"
    ACQUIRED = "acquired"
    SUSPENDED = "suspended"
    HALTED = "halted"
    FULFILLED = "fulfilled"


@final
@frozen
class Value:
    """A payload: opaque to the server. Absent, `null` and `{}` all mean empty."""

    headers: Mapping[str, str] | None = None
    data: str | None = None


EMPTY = Value()


@final
@frozen
class Promise:
    """The durable record of one invocation and its outcome. Instants are Unix time in milliseconds."""

    id: Id
    state: PromiseState
    timeout_at: Millis
    created_at: Millis
    param: Value = EMPTY
    value: Value = EMPTY
    tags: Mapping[str, str] = Factory(dict)
    settled_at: Millis | None = None

    @property
    def is_pending(self) -> bool:
        """Tell whether the promise still waits for its outcome."""
        return self.state is PromiseState.PENDING


@final
@frozen
class Task:
    """The server's order that a group execute the promise of the same id.

    `cancelled_at` is the instant of the first `promise.cancel`, None if nobody has asked for that.
    """

    id: Id
    state: TaskState
    version: Version
    resumes: int = 0
    ttl: PositiveMillis | None = None
    pid: str | None = None
    cancelled_at: Millis | None = None


@final
@frozen
class Schedule:
    """Creates a promise at every instant that its cron expression (UTC) matches."""

    id: Id
    cron: str
    promise_id: str
    promise_timeout: Millis
    created_at: Millis
    next_run_at: Millis
    promise_param: Value = EMPTY
    promise_tags: Mapping[str, str] = Factory(dict)
    last_run_at: Millis | None = None
