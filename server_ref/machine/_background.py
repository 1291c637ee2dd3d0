"""What the server does by itself, when it is due.

Each step looks at the state again, so running it late, twice or in another order is harmless. Instants that
stand at `NEVER` are never due, not even at `NEVER`.
"""

from typing import final

from attrs import field, frozen, validators

from resonate_trio.protocol import TaskState, tags as tag

from . import _transitions as to
from ._draft import Draft
from ._effects import store_settled
from ._projection import NEVER, find_promise, find_task, later
from ._promises import earliest_dispatch
from ._schedules import fire
from ._view import Dispatch


@final
@frozen
class Settings:
    """How the background work is done.

    Attributes:
        retry_interval_ms: after how long a task that was dispatched and not acquired is dispatched again.
        batch_limit: how many due items of each kind one turn handles.
    """

    retry_interval_ms: int = field(default=5_000, validator=validators.gt(0))
    batch_limit: int = field(default=1_000, validator=validators.gt(0))


def fire_due(now: int, draft: Draft, settings: Settings) -> bool:
    """Do what is due at `now`, and what that makes due, and tell whether more is due than one turn handles.

    Promises come first, because settling them wakes tasks, then schedules, because they create tasks, and
    then tasks: so all that follows from a deadline is done in the turn that sees it.
    """
    limit = settings.batch_limit
    reached = min(now, NEVER - 1)
    due = draft.due(reached, limit)
    for _, id in due.promises:
        _expire(id, now, draft)
    _fire_schedules([id for _, id in due.schedules], reached, now, draft, limit)
    due = draft.due(reached, limit + 1)
    for _, id in due.tasks[:limit]:
        _fire_task(id, now, draft, settings)
    return bool(due.promises or due.schedules) or len(due.tasks) > limit


def _expire(id: str, now: int, draft: Draft) -> None:
    """Store that a promise has reached its deadline, with all that follows."""
    promise = find_promise(draft, id, now)
    if promise is not None and not promise.is_pending:
        store_settled(draft, promise, now)


def _fire_schedules(ids: list[str], reached: int, now: int, draft: Draft, limit: int) -> None:
    """Create the promises of these schedules that are due, at most `limit` in all."""
    for id in ids:
        schedule = draft.schedule(id)
        if schedule is not None:
            limit -= fire(schedule, reached, now, draft, limit=limit)


def _fire_task(id: str, now: int, draft: Draft, settings: Settings) -> None:
    """Dispatch a task; one that is still held has lost its lease by now, so it is taken back first."""
    found = find_task(draft, id, now)
    if found is None:
        return
    task, promise = found
    if not promise.is_pending:
        # The deadline of the promise is as old as this one, and only awaits its turn in a later batch.
        store_settled(draft, promise, now)
        return
    if task.state is TaskState.ACQUIRED:
        task = to.released(task, now=now)
    draft.put_task(to.dispatched(task, again_at=later(now, settings.retry_interval_ms)))
    draft.put_execute(id, Dispatch(promise.tags[tag.TARGET], task.version))


def recover(now: int, draft: Draft) -> None:
    """Make every pending task due whose message may have been lost: they live in memory only.

    To be called once, when a store was opened.
    """
    for task in list(draft.scan_tasks("", TaskState.PENDING)):
        found = find_task(draft, task.id, now)
        if found is not None and found[1].is_pending:
            due_at = earliest_dispatch(found[1], now)
            if task.due_at != due_at:
                draft.put_task(to.dispatched(task, again_at=due_at))


def release_all(now: int, draft: Draft) -> None:
    """Take back every task that is held.

    For a server that owns its store alone, in the process of its workers: the holders have died with it.
    """
    for task in list(draft.scan_tasks("", TaskState.ACQUIRED)):
        draft.put_task(to.released(task, now=now))
