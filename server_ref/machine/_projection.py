"""Time: what a stored record is at some instant.

A pending promise whose deadline was reached is settled, and a task whose promise is settled is fulfilled,
whatever the store says. Every guard and every reply looks through the functions of this file. They store
nothing: that is left to the background (see `_background`), where it wakes awaiters as well.
"""

from typing import Final

from attrs import evolve

from resonate_trio.protocol import MAX_MILLIS, Promise, PromiseState, TaskState, tags as tag

from ._transitions import fulfilled
from ._view import TaskRecord, View, existing

NEVER: Final = MAX_MILLIS
"""The last instant that can be written: what is due then is never due."""


def later(instant: int, duration_ms: int) -> int:
    """Return the instant `duration_ms` after `instant`, at the latest `NEVER`."""
    return min(instant + duration_ms, NEVER)


def project(promise: Promise, now: int) -> Promise:
    """Return the promise as it is at `now`."""
    if not promise.is_pending or promise.timeout_at > now:
        return promise
    state = PromiseState.RESOLVED if tag.is_timer(promise.tags) else PromiseState.TIMEDOUT
    return evolve(promise, state=state, settled_at=promise.timeout_at)


def project_task(task: TaskRecord, promise: Promise) -> TaskRecord:
    """Return the task as it is, given its projected promise."""
    if promise.is_pending or task.state is TaskState.FULFILLED:
        return task
    return fulfilled(task)


def earliest_dispatch(task: TaskRecord, promise: Promise, now: int) -> int:
    """Return the instant from which a task may be dispatched.

    That is not before its delay, whatever happens to it meanwhile, unless it is to be cancelled.
    """
    return now if task.cancellation is not None else delayed(promise, now)


def delayed(promise: Promise, now: int) -> int:
    """Return the instant from which the new task of a promise may be dispatched."""
    return max(now, int(promise.tags.get(tag.DELAY, "0")))


def find_promise(view: View, id: str, now: int) -> Promise | None:
    """Return a promise as it is at `now`."""
    promise = view.promise(id)
    return None if promise is None else project(promise, now)


def find_task(view: View, id: str, now: int) -> tuple[TaskRecord, Promise] | None:
    """Return a task and its promise as they are at `now`."""
    task = view.task(id)
    return None if task is None else task_at(view, task, now)


def task_at(view: View, task: TaskRecord, now: int) -> tuple[TaskRecord, Promise]:
    """Return a task that was read already, and its promise, as they are at `now`."""
    promise = project(existing(view.promise(task.id), task.id), now)
    return project_task(task, promise), promise
