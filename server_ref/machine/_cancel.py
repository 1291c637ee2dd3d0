"""Cancelling: the request, and what the server does once the time for it is over.

A task that is cancelled is fulfilled by its worker, as any other. Only when its time is over does the server
settle it, and then all that lies below it. That can be much, so it is done in portions: a sweep notes of each
promise how far its children have been gone through.
"""

from resonate_trio.protocol import (
    EMPTY,
    Promise,
    PromiseCancel,
    PromiseReply,
    PromiseState,
    TaskState,
    extensions,
    tags as tag,
)

from ._draft import Draft
from ._effects import asked_with, settle, store_settled
from ._extensions import Extensions
from ._outcome import Outcome, Refused, done
from ._projection import later, project, task_at
from ._promises import known_promise
from ._transitions import cancelled
from ._view import Cancellation, Sweep, existing


def perform_cancel(request: PromiseCancel, now: int, draft: Draft, offered: Extensions) -> Outcome:
    """Perform promise.cancel."""
    if extensions.CANCEL not in offered:
        raise Refused(501, f"{request.kind} is not offered by this server")
    promise = known_promise(draft, request.id, now)
    if promise.is_pending:
        promise = _cancel(request, promise, now, draft)
    return done(PromiseReply(promise))


def _cancel(request: PromiseCancel, promise: Promise, now: int, draft: Draft) -> Promise:
    task = draft.task(promise.id)
    if task is None:
        return settle(draft, promise, PromiseState.CANCELED, request.value, now)
    if task.cancellation is None:
        cancellation = Cancellation(now, later(now, request.budget), request.value, task.version)
        draft.put_task(cancelled(task, cancellation, due_at=now))
        if task.state is TaskState.ACQUIRED:
            draft.put_cancel(task.id)
    return promise


def end_cancelled(id: str, now: int, draft: Draft) -> None:
    """Settle the promise of a task whose time to be cancelled is over, and begin with what lies below it."""
    _, promise = task_at(draft, existing(draft.task(id), id), now)
    if promise.is_pending:
        settle(draft, promise, PromiseState.CANCELED, EMPTY, now)
        draft.put_sweep(id, Sweep("", id))
    else:
        # The deadline of the promise has passed too, and its own turn would come in a later batch.
        store_settled(draft, promise, now)


def sweep(now: int, draft: Draft, limit: int) -> bool:
    """Settle what lies below promises whose time is over, and tell whether all of that is done.

    Args:
        now: the instant (ms).
        draft: where it is stored.
        limit: how many promises are looked at.
    """
    stored = dict(draft.sweeps(limit))
    # The last ids come first: so of two, one below the other, the one that is nearer is why something ends.
    waiting = list(reversed(stored.items()))
    while waiting and limit > 0:
        parent, state = waiting.pop()
        children = draft.children(parent, state.after, limit)
        if len(children) == limit:
            waiting.append((parent, Sweep(children[-1].id, state.cause)))
        for child in children:
            if child.id != parent and not tag.is_detached(child.id, child.tags):
                _end(project(child, now), state.cause, now, draft)
                waiting.append((child.id, Sweep("", state.cause)))
        limit -= len(children) + 1
    left = dict(waiting)
    for id in stored.keys() - left.keys():
        draft.remove_sweep(id)
    for id, state in left.items():
        draft.put_sweep(id, state)
    return not draft.sweeps(1)


def _end(promise: Promise, cause: str, now: int, draft: Draft) -> None:
    """Settle a promise that lies below another one, `cause`, whose time is over.

    It says why as that one does, unless it was asked for itself.
    """
    if promise.is_pending:
        own = asked_with(draft, promise.id)
        value = existing(draft.promise(cause), cause).value if own == EMPTY else own
        settle(draft, promise, PromiseState.CANCELED, value, now)
