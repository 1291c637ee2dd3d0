"""Records as rows of the SQLite store, and back."""

from typing import Any, Final

import orjson

from resonate_trio.protocol import EMPTY, Promise, PromiseState, Schedule, TaskState, Value, tags as tag
from server_ref.machine import Cancellation, TaskRecord

Row = tuple[Any, ...]
"""What the driver returns: it knows no types."""

PROMISE_COLUMNS: Final = (
    "id, state, timeout_at, created_at, settled_at, "
    "param_headers, param_data, value_headers, value_data, tags, branch, parent"
)
TASK_COLUMNS: Final = (
    "id, state, version, resumes, ttl, pid, due_at, "
    "cancelled_at, cancel_until, cancel_version, cancel_headers, cancel_data"
)
SCHEDULE_COLUMNS: Final = (
    "id, cron, promise_id, promise_timeout, created_at, next_run_at, param_headers, param_data, tags, last_run_at"
)

# Looking a state up is much quicker than constructing it.
_PROMISE_STATES: Final = {state.value: state for state in PromiseState}
_TASK_STATES: Final = {state.value: state for state in TaskState}


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _headers(value: Value) -> str | None:
    return None if value.headers is None else _json(value.headers)


def _value(headers: str | None, data: str | None) -> Value:
    if headers is None and data is None:
        return EMPTY
    return Value(None if headers is None else orjson.loads(headers), data)


def promise_row(promise: Promise) -> Row:
    """Return a promise as a row."""
    return (
        promise.id,
        promise.state.value,
        promise.timeout_at,
        promise.created_at,
        promise.settled_at,
        _headers(promise.param),
        promise.param.data,
        _headers(promise.value),
        promise.value.data,
        _json(promise.tags),
        promise.tags.get(tag.BRANCH),
        promise.tags.get(tag.PARENT),
    )


def promise_from(row: Row) -> Promise:
    """Return the promise of a row."""
    id, state, timeout_at, created_at, settled_at, param, param_data, value, value_data, tags, _, _ = row
    return Promise(
        id,
        _PROMISE_STATES[state],
        timeout_at,
        created_at,
        _value(param, param_data),
        _value(value, value_data),
        orjson.loads(tags),
        settled_at,
    )


def task_row(task: TaskRecord) -> Row:
    """Return a task as a row."""
    resumes = _json(task.resumes)
    held = (task.id, task.state.value, task.version, resumes, task.ttl, task.pid, task.due_at)
    cancellation = task.cancellation
    if cancellation is None:
        return (*held, None, None, None, None, None)
    at, until, version, value = cancellation.at, cancellation.until, cancellation.version, cancellation.value
    return (*held, at, until, version, _headers(value), value.data)


def task_from(row: Row) -> TaskRecord:
    """Return the task of a row."""
    id, state, version, resumes, ttl, pid, due_at, cancelled_at, *rest = row
    cancellation = None if cancelled_at is None else _cancellation_from(cancelled_at, *rest)
    resumed = tuple(orjson.loads(resumes))
    return TaskRecord(id, _TASK_STATES[state], version, resumed, ttl, pid, due_at, cancellation)


def _cancellation_from(at: int, until: int, version: int, headers: str | None, data: str | None) -> Cancellation:
    return Cancellation(at, until, _value(headers, data), version)


def schedule_row(schedule: Schedule) -> Row:
    """Return a schedule as a row."""
    return (
        schedule.id,
        schedule.cron,
        schedule.promise_id,
        schedule.promise_timeout,
        schedule.created_at,
        schedule.next_run_at,
        _headers(schedule.promise_param),
        schedule.promise_param.data,
        _json(schedule.promise_tags),
        schedule.last_run_at,
    )


def schedule_from(row: Row) -> Schedule:
    """Return the schedule of a row."""
    id, cron, promise_id, promise_timeout, created_at, next_run_at, headers, data, tags, last_run_at = row
    return Schedule(
        id,
        cron,
        promise_id,
        promise_timeout,
        created_at,
        next_run_at,
        _value(headers, data),
        orjson.loads(tags),
        last_run_at,
    )
