"""The requests about tasks."""

from resonate_trio.protocol import (
    Acquired,
    Empty,
    Fenced,
    Promise,
    PromiseCreate,
    PromiseReply,
    PromiseSettle,
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
)

from . import _transitions as to
from ._draft import Draft
from ._effects import settle
from ._outcome import Outcome, Refused, done
from ._preload import preload
from ._projection import earliest_dispatch, find_promise, find_task, later
from ._promises import check_awaitable, check_one_origin, create, new_promise, new_task, perform_settle
from ._transitions import Event, allows
from ._validation import check_fence, check_fulfill, check_suspend, check_task_create
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
    view: View, request: TaskFence | TaskSuspend | TaskFulfill | TaskRelease, now: int
) -> tuple[TaskRecord, Promise]:
    """Return a task that is held at this version, and its pending promise, or refuse the request."""
    task, promise = _known(view, request.id, now)
    if task.state is not TaskState.ACQUIRED:
        raise Refused(409, f"the task {task.id!r} is held by nobody: it is {task.state}")
    _check_version(task, request.version)
    return task, promise


# --- Reading --------------------------------------------------------------------------------------


def perform_get(request: TaskGet, now: int, draft: Draft) -> Outcome:
    """Perform task.get."""
    task, _ = _known(draft, request.id, now)
    return done(TaskReply(task.to_wire()))


# --- Taking ---------------------------------------------------------------------------------------


def perform_create(request: TaskCreate, now: int, draft: Draft) -> Outcome:
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
        return done(Acquired(task.to_wire(), promise, preload(draft, promise, now)))
    return _acquire(request, task, promise, now, draft)


def perform_acquire(request: TaskAcquire, now: int, draft: Draft) -> Outcome:
    """Perform task.acquire."""
    task, promise = _known(draft, request.id, now)
    _check(task, Event.ACQUIRE)
    _check_version(task, request.version)
    return _acquire(request, task, promise, now, draft)


def _acquire(
    request: TaskCreate | TaskAcquire, task: TaskRecord, promise: Promise, now: int, draft: Draft
) -> Outcome:
    _check(task, Event.ACQUIRE)
    taken = to.acquired(task, pid=request.pid, ttl_ms=request.ttl, until=later(now, request.ttl))
    draft.put_task(taken)
    # What woke the task comes along: it is forgotten now, and the first thing the worker looks for.
    return done(Acquired(taken.to_wire(), promise, preload(draft, promise, now, task.resumes)))


# --- Holding --------------------------------------------------------------------------------------


def perform_heartbeat(request: TaskHeartbeat, now: int, draft: Draft) -> Outcome:
    """Perform task.heartbeat."""
    for ref in request.tasks:
        _extend(ref, request.pid, now, draft)
    return done(Empty())


def _extend(ref: TaskRef, pid: str, now: int, draft: Draft) -> None:
    found = find_task(draft, ref.id, now)
    if found is None:
        return
    task, _ = found
    if allows(Event.EXTEND, task) and task.pid == pid and task.version == ref.version and task.ttl is not None:
        draft.put_task(to.extended(task, until=later(now, task.ttl)))


def perform_fence(request: TaskFence, now: int, draft: Draft) -> Outcome:
    """Perform task.fence: a refusal of the inner request is the reply to that, not to the fence."""
    check_fence(request)
    _, promise = _held(draft, request, now)
    try:
        inner = _perform_inner(request.action.data, now, draft)
    except Refused as refusal:
        inner = refusal.outcome()
    head = request.action.head
    reply = Reply(request.action.kind, ReplyHead(head.corr_id, inner.status, head.version), inner.data)
    return done(Fenced(reply, preload(draft, promise, now) if request.preload else ()))


def _perform_inner(request: PromiseCreate | PromiseSettle, now: int, draft: Draft) -> Outcome:
    if isinstance(request, PromiseCreate):
        return done(PromiseReply(create(request, now, draft)))
    return perform_settle(request, now, draft)


# --- Giving back ----------------------------------------------------------------------------------


def perform_suspend(request: TaskSuspend, now: int, draft: Draft) -> Outcome:
    """Perform task.suspend."""
    check_suspend(request)
    task, promise = _held(draft, request, now)
    awaited = [_awaited(draft, action.data.awaited, promise, now) for action in request.actions]
    settled = [other.id for other in awaited if not other.is_pending]
    if settled:
        if task.resumes:
            draft.put_task(to.up_to_date(task))
        return Outcome(300, Suspended(preload(draft, promise, now, settled)))
    for other in awaited:
        draft.add_callback(other.id, task.id)
    draft.put_task(to.suspended(task))
    return done(Suspended())


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
    draft.put_task(to.released(task, due_at=earliest_dispatch(promise, now)))
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
    draft.put_task(to.continued(task, due_at=earliest_dispatch(promise, now)))
    return done(Empty())
