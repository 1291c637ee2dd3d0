"""What makes a well-formed request wrong whatever the state: status 400, before anything is looked up.

The syntax (fields, types, ranges) is checked by the protocol package as the request is read.
"""

from collections.abc import Mapping, Sequence

from resonate_trio.protocol import (
    MAX_ID_LENGTH,
    MAX_MILLIS,
    PromiseCreate,
    PromiseRegisterCallback,
    PromiseRegisterListener,
    ScheduleCreate,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskSuspend,
    extends,
    parse_address,
    quoted,
    tags as tag,
)

from ._cron import check_cron
from ._outcome import Refused
from ._templates import fired_id

_DIGITS = len(str(MAX_MILLIS))


def _bad(where: str, why: object) -> Refused:
    return Refused(400, f"{where}: {why}")


# --- Promises -------------------------------------------------------------------------------------


def check_create(request: PromiseCreate, where: str = "") -> None:
    """Check a promise that is to be created: its address, its delay, its place in the call graph."""
    tags = request.tags
    if tag.TARGET in tags:
        _check_address(tags[tag.TARGET], f"{where}tags.{tag.TARGET}")
    if tag.DELAY in tags:
        _check_delay(tags, request.timeout_at, f"{where}tags.{tag.DELAY}")
    for name in (tag.ORIGIN, tag.BRANCH, tag.PARENT):
        ancestor = tags.get(name)
        if ancestor is not None and not extends(request.id, ancestor):
            why = f"the id {request.id!r} neither is {quoted(ancestor)} nor extends it"
            raise _bad(f"{where}tags.{name}", why)
    if ":" in tags.get(tag.ORIGIN, ""):
        raise _bad(f"{where}tags.{tag.ORIGIN}", f"{quoted(tags[tag.ORIGIN])} is no root: it contains a ':'")


def _check_address(address: str, where: str) -> None:
    try:
        parse_address(address)
    except ValueError as error:
        raise _bad(where, error) from None


def _check_delay(tags: Mapping[str, str], timeout_at: int, where: str) -> None:
    if tag.TARGET not in tags:
        raise _bad(where, f"nothing is dispatched without the tag {tag.TARGET}")
    delay = tags[tag.DELAY]
    if not (delay.isascii() and delay.isdigit() and len(delay) <= _DIGITS):
        raise _bad(where, f"expected an instant in milliseconds, got {quoted(delay)}")
    if int(delay) >= timeout_at:
        raise _bad(where, f"{delay} is not before the deadline {timeout_at}")


def check_callback(request: PromiseRegisterCallback) -> None:
    """Check that nothing waits for itself."""
    if request.awaited == request.awaiter:
        raise _bad("awaited", f"{request.awaiter!r} cannot wait for itself")


def check_listener(request: PromiseRegisterListener) -> None:
    """Check the address of a listener."""
    _check_address(request.address, "address")


# --- Tasks ----------------------------------------------------------------------------------------


def check_task_create(request: TaskCreate) -> None:
    """Check that the promise is one that gets a task, which can be acquired at once."""
    create = request.action.data
    where = "action.data."
    if tag.TARGET not in create.tags:
        raise _bad(f"{where}tags", f"a task needs the tag {tag.TARGET}")
    if tag.DELAY in create.tags:
        raise _bad(f"{where}tags.{tag.DELAY}", "a task that is acquired at once cannot be delayed")
    if tag.is_timer(create.tags):
        raise _bad(f"{where}tags.{tag.TIMER}", "a timer never gets a task")
    check_create(create, where)


def check_fence(request: TaskFence) -> None:
    """Check the inner request, and that it is not about the task's own promise."""
    action = request.action.data
    if action.id == request.id:
        raise _bad("action.data.id", f"{request.id!r} is the task's own promise: use task.fulfill")
    if isinstance(action, PromiseCreate):
        check_create(action, "action.data.")


def check_suspend(request: TaskSuspend) -> None:
    """Check that the task waits for something, for each promise once, and for none but others."""
    if not request.actions:
        raise _bad("actions", "a task cannot be suspended on nothing: name what it waits for")
    awaited: set[str] = set()
    for index, action in enumerate(request.actions):
        where = f"actions[{index}].data"
        if action.data.awaiter != request.id:
            raise _bad(f"{where}.awaiter", f"expected the task {request.id!r}, got {action.data.awaiter!r}")
        if action.data.awaited == request.id:
            raise _bad(f"{where}.awaited", f"{request.id!r} cannot wait for itself")
        if action.data.awaited in awaited:
            raise _bad(f"{where}.awaited", f"{action.data.awaited!r} is named twice")
        awaited.add(action.data.awaited)


def check_waits_for_any(callbacks: Sequence[PromiseRegisterCallback]) -> None:
    """Check that a task waits for more than failures: without any it would wait for ever."""
    if all(callback.only_failure for callback in callbacks):
        raise _bad("actions", "a task cannot wait for failures only: one needs to be without onlyFailure")


def check_fulfill(request: TaskFulfill) -> None:
    """Check that the task settles its own promise."""
    if request.action.data.id != request.id:
        raise _bad("action.data.id", f"expected the task {request.id!r}, got {request.action.data.id!r}")


# --- Schedules ------------------------------------------------------------------------------------


def check_schedule(request: ScheduleCreate) -> None:
    """Check the expression, and that the promises to come will be well-formed."""
    try:
        check_cron(request.cron)
    except ValueError as error:
        raise _bad("cron", error) from None
    if tag.TARGET not in request.promise_tags:
        raise _bad("promiseTags", f"a scheduled promise needs the tag {tag.TARGET}")
    if tag.DELAY in request.promise_tags:
        raise _bad(f"promiseTags.{tag.DELAY}", "a scheduled promise cannot be delayed: move its schedule")
    _check_address(request.promise_tags[tag.TARGET], f"promiseTags.{tag.TARGET}")
    if ":" in request.promise_id:
        raise _bad("promiseId", "each promise is the root of a call graph, so its id must not contain ':'")
    if len(fired_id(request.promise_id, request.id, MAX_MILLIS)) > MAX_ID_LENGTH:
        raise _bad("promiseId", f"the ids made from it are longer than {MAX_ID_LENGTH} characters")
