"""The requests about promises."""

from resonate_trio.protocol import (
    EMPTY,
    Promise,
    PromiseCreate,
    PromiseGet,
    PromiseRegisterCallback,
    PromiseRegisterListener,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    extensions,
    tags as tag,
)

from ._draft import Draft
from ._effects import settle
from ._extensions import Extensions
from ._outcome import Outcome, Refused, done
from ._projection import delayed, find_promise, project
from ._transitions import created, fulfilled
from ._validation import check_callback, check_create, check_listener
from ._view import TaskRecord, View


def perform_get(request: PromiseGet, now: int, draft: Draft) -> Outcome:
    """Perform promise.get."""
    return done(PromiseReply(known_promise(draft, request.id, now)))


def perform_create(request: PromiseCreate, now: int, draft: Draft) -> Outcome:
    """Perform promise.create."""
    check_create(request)
    return done(PromiseReply(create(request, now, draft)))


def perform_settle(request: PromiseSettle, now: int, draft: Draft) -> Outcome:
    """Perform promise.settle."""
    promise = known_promise(draft, request.id, now)
    if promise.is_pending:
        promise = settle(draft, promise, request.state, request.value, now)
    return done(PromiseReply(promise))


def perform_register_callback(
    request: PromiseRegisterCallback, now: int, draft: Draft, offered: Extensions
) -> Outcome:
    """Perform promise.register_callback."""
    check_callback(request)
    awaited = known_promise(draft, request.awaited, now)
    awaiter = find_promise(draft, request.awaiter, now)
    if awaiter is None:
        raise Refused(422, f"the awaiter {request.awaiter!r} does not exist")
    check_one_origin(awaiter, awaited)
    if not tag.has_task(awaiter.tags):
        raise Refused(422, f"the awaiter {awaiter.id!r} has no task that could be woken: it needs {tag.TARGET}")
    check_awaitable(awaited)
    if awaited.is_pending and awaiter.is_pending:
        remember(request, draft, offered)
    return done(PromiseReply(awaited))


def perform_register_listener(request: PromiseRegisterListener, now: int, draft: Draft) -> Outcome:
    """Perform promise.register_listener."""
    check_listener(request)
    promise = known_promise(draft, request.awaited, now)
    check_awaitable(promise)
    if promise.is_pending:
        draft.add_listener(promise.id, request.address)
    return done(PromiseReply(promise))


# --- Shared with tasks and schedules --------------------------------------------------------------


def known_promise(view: View, id: str, now: int) -> Promise:
    """Return a promise as it is at `now`, or refuse the request (404)."""
    promise = find_promise(view, id, now)
    if promise is None:
        raise Refused(404, f"the promise {id!r} does not exist")
    return promise


def check_awaitable(promise: Promise) -> None:
    """Refuse the request (422) if nobody outside its task may wait for the promise."""
    if not tag.is_external(promise.tags):
        raise Refused(422, f"the promise {promise.id!r} is local to its task, so it cannot be awaited")


def check_one_origin(awaiter: Promise, awaited: Promise) -> None:
    """Refuse the request (400) if the two belong to different call graphs."""
    ours, theirs = (tag.promise_origin(promise.id, promise.tags) for promise in (awaiter, awaited))
    if ours != theirs:
        raise Refused(400, f"{awaiter.id!r} and {awaited.id!r} are of different origins, {ours!r} and {theirs!r}")


def remember(request: PromiseRegisterCallback, draft: Draft, offered: Extensions) -> None:
    """Have the awaiter woken. One that waits for a failure and for any outcome is woken by any."""
    if waits_for_failure(request, offered):
        draft.add_failure_callback(request.awaited, request.awaiter)
    else:
        draft.add_callback(request.awaited, request.awaiter)


def waits_for_failure(request: PromiseRegisterCallback, offered: Extensions) -> bool:
    """Tell whether the awaiter need not know of a success."""
    return request.only_failure and extensions.FAILURES in offered


def create(request: PromiseCreate, now: int, draft: Draft) -> Promise:
    """Create a promise (its request is checked already) and its task, or return the one that exists."""
    existing = find_promise(draft, request.id, now)
    if existing is not None:
        return existing
    promise = new_promise(request, now)
    draft.put_promise(promise)
    if tag.has_task(promise.tags):
        draft.put_task(new_task(promise, now))
    return promise


def new_promise(request: PromiseCreate, now: int) -> Promise:
    """Return the promise that a request describes, born settled if its deadline was reached already."""
    return project(
        Promise(
            request.id,
            PromiseState.PENDING,
            request.timeout_at,
            min(now, request.timeout_at),
            request.param,
            EMPTY,
            request.tags,
        ),
        now,
    )


def new_task(promise: Promise, now: int) -> TaskRecord:
    """Return the task of a new promise."""
    task = created(promise.id, due_at=delayed(promise, now))
    return task if promise.is_pending else fulfilled(task)
