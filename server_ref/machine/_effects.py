"""What follows from a promise that settles."""

from attrs import evolve

from resonate_trio.protocol import EMPTY, Promise, PromiseState, TaskState, Value

from ._draft import Draft
from ._projection import earliest_dispatch, find_task
from ._transitions import fulfilled, woken


def settle(draft: Draft, promise: Promise, state: PromiseState, value: Value, now: int) -> Promise:
    """Give a pending promise its outcome, and return it.

    One that is cancelled without a value gets that of the request to cancel it, if there was one.
    """
    if state is PromiseState.CANCELED and value == EMPTY:
        value = asked_with(draft, promise.id)
    settled = evolve(promise, state=state, value=value, settled_at=now)
    store_settled(draft, settled, now)
    return settled


def asked_with(draft: Draft, id: str) -> Value:
    """Return the value of the request to cancel a promise, empty if there was none."""
    task = draft.task(id)
    return EMPTY if task is None or task.cancellation is None else task.cancellation.value


def store_settled(draft: Draft, promise: Promise, now: int) -> None:
    """Store a settled promise: its task ends, its awaiters are woken, its listeners are told."""
    draft.put_promise(promise)
    task = draft.task(promise.id)
    if task is not None and task.state is not TaskState.FULFILLED:
        draft.put_task(fulfilled(task))
    for awaiter in draft.awaiters(promise.id):
        draft.remove_callback(promise.id, awaiter)
        _wake(draft, awaiter, promise.id, now)
    for awaiter in draft.failure_awaiters(promise.id):
        draft.remove_failure_callback(promise.id, awaiter)
        if promise.state is not PromiseState.RESOLVED:
            _wake(draft, awaiter, promise.id, now)
    for address in draft.listeners(promise.id):
        draft.remove_listener(promise.id, address)
        draft.put_unblock(promise.id, address)


def _wake(draft: Draft, awaiter: str, awaited: str, now: int) -> None:
    """Tell a task that a promise has settled. One that is over, by its own deadline too, stays as it is."""
    found = find_task(draft, awaiter, now)
    if found is None:
        return
    task, promise = found
    if promise.is_pending:
        draft.put_task(woken(task, by=awaited, due_at=earliest_dispatch(task, promise, now)))
