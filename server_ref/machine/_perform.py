"""Which function performs which request."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from resonate_trio.protocol import (
    DebugReset,
    DebugSnap,
    PromiseCancel,
    PromiseCreate,
    PromiseGet,
    PromiseRegisterCallback,
    PromiseRegisterListener,
    PromiseSearch,
    PromiseSettle,
    Request,
    ScheduleCreate,
    ScheduleDelete,
    ScheduleGet,
    ScheduleSearch,
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRelease,
    TaskSearch,
    TaskSuspend,
)

from . import _cancel, _debug, _promises, _schedules, _search, _tasks
from ._draft import Draft
from ._extensions import OFFERED, Extensions
from ._outcome import Outcome, Refused

# Each handler takes the class it stands beside, which a mapping cannot say.
_HANDLERS: Final[Mapping[type[Request], Callable[[Any, int, Draft], Outcome]]] = {
    PromiseGet: _promises.perform_get,
    PromiseCreate: _promises.perform_create,
    PromiseSettle: _promises.perform_settle,
    PromiseRegisterListener: _promises.perform_register_listener,
    PromiseSearch: _search.perform_promise_search,
    TaskGet: _tasks.perform_get,
    TaskFulfill: _tasks.perform_fulfill,
    TaskRelease: _tasks.perform_release,
    TaskHalt: _tasks.perform_halt,
    TaskContinue: _tasks.perform_continue,
    TaskSearch: _search.perform_task_search,
    ScheduleGet: _schedules.perform_get,
    ScheduleCreate: _schedules.perform_create,
    ScheduleDelete: _schedules.perform_delete,
    ScheduleSearch: _search.perform_schedule_search,
    DebugReset: _debug.perform_reset,
    DebugSnap: _debug.perform_snap,
}
# Likewise, and these also depend on the extensions that are offered.
_EXTENDED: Final[Mapping[type[Request], Callable[[Any, int, Draft, Extensions], Outcome]]] = {
    PromiseCancel: _cancel.perform_cancel,
    PromiseRegisterCallback: _promises.perform_register_callback,
    TaskCreate: _tasks.perform_create,
    TaskAcquire: _tasks.perform_acquire,
    TaskFence: _tasks.perform_fence,
    TaskHeartbeat: _tasks.perform_heartbeat,
    TaskSuspend: _tasks.perform_suspend,
}


def perform(request: Request, now: int, draft: Draft, offered: Extensions = OFFERED) -> Outcome:
    """Perform a request at the instant `now` (ms), and return what to reply.

    A request that is refused (400 and above) has changed nothing.

    Raises:
        TypeError: the request is about the clock (debug.start, debug.stop, debug.tick): the engine's affair.
    """
    extended = _EXTENDED.get(type(request))
    handler = _HANDLERS.get(type(request))
    try:
        if extended is not None:
            return extended(request, now, draft, offered)
        if handler is not None:
            return handler(request, now, draft)
    except Refused as refusal:
        return refusal.outcome()
    raise TypeError(f"{request.kind} is for the engine to perform")
