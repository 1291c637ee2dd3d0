"""The requests about tasks."""

from resonate_trio.protocol import (
    Acquired,
    Beaten,
    CancelledTask,
    Empty,
    Fenced,
    Promise,
    PromiseCancel,
    PromiseCreate,
    PromiseRegisterCallback,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    Reply,
    ReplyHead,
    Suspended,
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskReply,
    TaskState,
    TaskSuspend,
    extensions,
)

from . import _transitions as to
from ._cancel import perform_cancel
from ._draft import Draft
from ._effects import settle
from ._extensions import Extensions
from ._outcome import Outcome, Refused, done
from ._preload import named, preload, preload_taken
from ._projection import earliest_dispatch, find_promise, find_task, later
from ._promises import (
    check_awaitable,
    check_one_origin,
    create,
    new_promise,
    new_task,
    perform_settle,
    remember,
    waits_for_failure,
)
from ._transitions import Event, allows
from ._validation import check_fence, check_fulfill, check_suspend, check_task_create, check_waits_for_any
from ._view import TaskRecord, View

# --- Guards ---------------------------------------------------------------------------------------


def _known(view: View, id: str, now: int) -> tuple[TaskRecord, Promise]:
    """Return a task and its promise as they are at `now`, or refuse the request (404)."""
    found = find_task(view, id, now)
    if found is None:
        raise Refused(404, f"the task {id!r} does not exist")
    return found


def _check(task: TaskRecord, event: Event) -> None:
    """Refuse the request (409) if the task is in no state that allows `event`."""
    if not allows(event, task):
        raise Refused(409, f"cannot {event.value} the task {task.id!r}: it is {task.state}")


def _check_version(task: TaskRecord, version: int) -> None:
    if task.version != version:
        raise Refused(409, f"the task {task.id!r} is at version {task.version}, not {version}")


def _held(
    draft: Draft, request: TaskFence | TaskSuspend | TaskFulfill | TaskRelease, now: int
) -> tuple[TaskRecord, Promise]:
    """Return a task that is held at this version, and its pending promise, or refuse the request."""
    task, promise = _known(draft, request.id, now)
    if task.state is not TaskState.ACQUIRED:
        raise Refused(409, f"the task {task.id!r} is held by nobody: it is {task.state}")
    _check_version(task, request.version)
    draft.note_heard(task.id)
    return task, promise


# --- Reading --------------------------------------------------------------------------------------


def perform_get(request: TaskGet, now: int, draft: Draft) -> Outcome:
    """Perform task.get."""
    task, _ = _known(draft, request.id, now)
    return done(TaskReply(task.to_wire()))


# --- Taking ---------------------------------------------------------------------------------------


def perform_create(request: TaskCreate, now: int, draft: Draft, offered: Extensions) -> Outcome:
    """Perform task.create."""
    check_task_create(request)
    wanted = request.action.data
    promise = find_promise(draft, wanted.id, now)
    if promise is None:
        promise = new_promise(wanted, now)
        draft.put_promise(promise)
        task = new_task(promise, now)
        if not promise.is_pending:
            draft.put_task(task)
    else:
        found = find_task(draft, promise.id, now)
        if found is None:
            raise Refused(422, f"the promise {promise.id!r} exists, without a task")
        task = found[0]
    if task.state is TaskState.FULFILLED:
        return done(Acquired(task.to_wire(), promise, preload_taken(draft, promise, now, (), offered)))
    taken = _take(request, task, now, draft)
    return done(Acquired(taken.to_wire(), promise, preload_taken(draft, promise, now, task.resumes, offered)))


def perform_acquire(request: TaskAcquire, now: int, draft: Draft, offered: Extensions) -> Outcome:
    """Perform task.acquire."""
    task, promise = _known(draft, request.id, now)
    _check(task, Event.ACQUIRE)
    _check_version(task, request.version)
    taken = _take(request, task, now, draft)
    # What woke the task comes along: it is forgotten now, and the first thing the worker looks for.
    if request.preload:
        ahead = preload_taken(draft, promise, now, task.resumes, offered)
    else:
        ahead = named(draft, promise, now, task.resumes)
    return done(Acquired(taken.to_wire(), promise, ahead))


def _take(request: TaskCreate | TaskAcquire, task: TaskRecord, now: int, draft: Draft) -> TaskRecord:
    _check(task, Event.ACQUIRE)
    taken = to.acquired(task, pid=request.pid, ttl_ms=request.ttl, until=later(now, request.ttl))
    draft.put_task(taken)
    draft.note_suspended(task.id, None)
    return taken


# --- Holding --------------------------------------------------------------------------------------


def perform_heartbeat(request: TaskHeartbeat, now: int, draft: Draft, offered: Extensions) -> Outcome:
    """Perform task.heartbeat."""
    lost = []
    cancelled = []
    for ref in request.tasks:
        task = _extend(ref, request.pid, now, draft)
        if task is None:
            lost.append(ref.id)
        elif task.cancelled_at is not None:
            cancelled.append(CancelledTask(ref.id, task.cancelled_at))
    return done(
        Beaten(
            tuple(lost) if extensions.LOST in offered else (),
            tuple(cancelled) if extensions.CANCEL in offered else (),
        )
    )


def _extend(ref: TaskRef, pid: str, now: int, draft: Draft) -> TaskRecord | None:
    """Extend the lease of a task and return it, or None if `pid` does not hold it at that version."""
    found = find_task(draft, ref.id, now)
    if found is None:
        return None
    task, _ = found
    if not allows(Event.EXTEND, task) or task.pid != pid or task.version != ref.version or task.ttl is None:
        return None
    task = to.extended(task, until=later(now, task.ttl))
    draft.put_task(task)
    draft.note_heard(task.id)
    return task


def perform_fence(request: TaskFence, now: int, draft: Draft, offered: Extensions) -> Outcome:
    """Perform task.fence: a refusal of the inner request is the reply to that, not to the fence."""
    check_fence(request)
    task, promise = _held(draft, request, now)
    try:
        inner = _perform_inner(request.action.data, now, draft, offered)
    except Refused as refusal:
        inner = refusal.outcome()
    head = request.action.head
    reply = Reply(request.action.kind, ReplyHead(head.corr_id, inner.status, head.version), inner.data)
    ahead = preload(draft, promise, now) if request.preload else ()
    return done(Fenced(reply, ahead, task.cancelled_at))


def _perform_inner(
    request: PromiseCreate | PromiseSettle | PromiseCancel, now: int, draft: Draft, offered: Extensions
) -> Outcome:
    match request:
        case PromiseCreate():
            return done(PromiseReply(create(request, now, draft)))
        case PromiseSettle():
            return perform_settle(request, now, draft)
    return perform_cancel(request, now, draft, offered)


# --- Giving back ----------------------------------------------------------------------------------


def perform_suspend(request: TaskSuspend, now: int, draft: Draft, offered: Extensions) -> Outcome:
    """Perform task.suspend."""
    callbacks = [action.data for action in request.actions]
    check_suspend(request)
    if extensions.FAILURES in offered:
        check_waits_for_any(callbacks)
    task, promise = _held(draft, request, now)
    awaited = [(callback, _awaited(draft, callback.awaited, promise, now)) for callback in callbacks]
    settled = [other.id for callback, other in awaited if _is_news(callback, other, offered)]
    if settled:
        if task.resumes:
            draft.put_task(to.up_to_date(task))
        return Outcome(300, Suspended(preload(draft, promise, now, settled), task.cancelled_at))
    for callback, other in awaited:
        if other.is_pending:
            remember(callback, draft, offered)
    draft.put_task(_suspended(task, request, now))
    draft.note_suspended(task.id, task.pid)
    return done(Suspended(cancelled_at=task.cancelled_at))


def _is_news(callback: PromiseRegisterCallback, awaited: Promise, offered: Extensions) -> bool:
    """Tell whether what became of an awaited promise is a reason not to suspend."""
    is_expected = awaited.state is PromiseState.RESOLVED and waits_for_failure(callback, offered)
    return not awaited.is_pending and not is_expected


def _suspended(task: TaskRecord, request: TaskSuspend, now: int) -> TaskRecord:
    """Let a task wait, unless it is to be cancelled and its holder may not have heard of that.

    Then it is as if it had been asked for just after this, and the next holder is told as it takes the task.
    """
    waiting = to.suspended(task)
    cancellation = task.cancellation
    if cancellation is None or task.version > cancellation.version or request.knows_cancelled:
        return waiting
    return to.cancelled(waiting, cancellation, due_at=now)


def _awaited(view: View, id: str, awaiter: Promise, now: int) -> Promise:
    awaited = find_promise(view, id, now)
    if awaited is None:
        raise Refused(422, f"the promise {id!r} does not exist, so it cannot be awaited")
    check_one_origin(awaiter, awaited)
    check_awaitable(awaited)
    return awaited


def perform_fulfill(request: TaskFulfill, now: int, draft: Draft) -> Outcome:
    """Perform task.fulfill."""
    check_fulfill(request)
    _, promise = _held(draft, request, now)
    outcome = request.action.data
    return done(PromiseReply(settle(draft, promise, outcome.state, outcome.value, now)))


def perform_release(request: TaskRelease, now: int, draft: Draft) -> Outcome:
    """Perform task.release."""
    task, promise = _held(draft, request, now)
    draft.put_task(to.released(task, due_at=earliest_dispatch(task, promise, now)))
    return done(Empty())


# --- Stopping -------------------------------------------------------------------------------------


def perform_halt(request: TaskHalt, now: int, draft: Draft) -> Outcome:
    """Perform task.halt."""
    task, _ = _known(draft, request.id, now)
    _check(task, Event.HALT)
    if task.state is not TaskState.HALTED:
        draft.put_task(to.halted(task))
    return done(Empty())


def perform_continue(request: TaskContinue, now: int, draft: Draft) -> Outcome:
    """Perform task.continue."""
    task, promise = _known(draft, request.id, now)
    _check(task, Event.CONTINUE)
    draft.put_task(to.continued(task, due_at=earliest_dispatch(task, promise, now)))
    return done(Empty())
