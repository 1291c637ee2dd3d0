"""What the server does by itself, when it is due.

Each step looks at the state again, so running it late, twice or in another order is harmless. Instants that
stand at `NEVER` are never due, not even at `NEVER`.
"""

from typing import final

from attrs import field, frozen, validators

from resonate_trio.protocol import TaskState, tags as tag

from . import _transitions as to
from ._cancel import end_cancelled, sweep
from ._draft import Draft
from ._effects import store_settled
from ._extensions import OFFERED, Extensions
from ._projection import NEVER, earliest_dispatch, later, project, task_at
from ._schedules import fire
from ._view import Dispatch, existing


@final
@frozen
class Settings:
    """How the background work is done.

    Attributes:
        retry_interval_ms: after how long a task that was dispatched and not acquired is dispatched again.
        batch_limit: how many due items of each kind one turn handles.
        extensions: those of the protocol that are offered.
    """

    retry_interval_ms: int = field(default=5_000, validator=validators.gt(0))
    batch_limit: int = field(default=1_000, validator=validators.gt(0))
    extensions: Extensions = OFFERED


def fire_due(now: int, draft: Draft, settings: Settings) -> bool:
    """Do what is due at `now`, and what that makes due, and tell whether more is due than one turn handles.

    Promises and cancellations come first, because settling them wakes tasks, then schedules, because they create
    tasks, and then tasks: so what follows from a deadline is done in the turn that sees it.
    """
    limit = settings.batch_limit
    reached = min(now, NEVER - 1)
    due = draft.due(reached, limit + 1)
    is_swept = not draft.sweeps(1)
    if due.promises or due.schedules or due.cancellations or not is_swept:
        for _, id in due.promises[:limit]:
            _expire(id, now, draft)
        for _, id in due.cancellations[:limit]:
            end_cancelled(id, now, draft)
        is_swept = sweep(now, draft, limit)
        _fire_schedules([id for _, id in due.schedules[:limit]], reached, now, draft, limit)
        due = draft.due(reached, limit + 1)  # which these have added to
    for _, id in due.tasks[:limit]:
        _fire_task(id, now, draft, settings)
    return bool(due.promises or due.schedules or due.cancellations) or len(due.tasks) > limit or not is_swept


def _expire(id: str, now: int, draft: Draft) -> None:
    """Store that a promise has reached its deadline, with all that follows."""
    store_settled(draft, project(existing(draft.promise(id), id), now), now)


def _fire_schedules(ids: list[str], reached: int, now: int, draft: Draft, limit: int) -> None:
    """Create the promises of these schedules that are due, at most `limit` in all."""
    for id in ids:
        if limit == 0:
            return
        limit -= fire(existing(draft.schedule(id), id), reached, now, draft, limit=limit)


def _fire_task(id: str, now: int, draft: Draft, settings: Settings) -> None:
    """Dispatch a task; one that is still held has lost its lease by now, so it is taken back first.

    It may have been acquired before its delay was over. Then it is not dispatched yet.
    """
    task, promise = task_at(draft, existing(draft.task(id), id), now)
    if not promise.is_pending:
        # The deadline of the promise has passed too, and its own turn would come in a later batch.
        store_settled(draft, promise, now)
        return
    if task.state is TaskState.ACQUIRED:
        task = to.released(task, due_at=earliest_dispatch(task, promise, now))
        if task.due_at is not None and task.due_at > now:
            draft.put_task(task)
            return
    draft.put_task(to.dispatched(task, again_at=later(now, settings.retry_interval_ms)))
    draft.put_execute(id, Dispatch(promise.tags[tag.TARGET], task.version, task.cancelled_at))


def recover(now: int, draft: Draft) -> None:
    """Make every pending task due whose message may have been lost: they live in memory only.

    To be called once, when a store was opened.
    """
    for task in list(draft.scan_tasks("", TaskState.PENDING)):
        promise = existing(draft.promise(task.id), task.id)
        due_at = earliest_dispatch(task, promise, now)
        if task.due_at != due_at:
            draft.put_task(to.dispatched(task, again_at=due_at))


def release_all(now: int, draft: Draft) -> None:
    """Take back every task that is held.

    For a server that owns its store alone, in the process of its workers: the holders have died with it.
    """
    for task in list(draft.scan_tasks("", TaskState.ACQUIRED)):
        promise = existing(draft.promise(task.id), task.id)
        draft.put_task(to.released(task, due_at=earliest_dispatch(task, promise, now)))
