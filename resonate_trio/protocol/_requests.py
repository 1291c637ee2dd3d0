"""Every request of the protocol, one class each.

A field without a default is required. `reply` is the class of the data of a successful reply.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, final

from attrs import frozen

from ._envelope import Envelope, Reply
from ._records import (
    EMPTY,
    Id,
    Millis,
    PositiveMillis,
    PromiseState,
    TaskState,
    Value,
    Version,
)
from ._replies import (
    Acquired,
    BatchReply,
    Beaten,
    Empty,
    Fenced,
    PromisePage,
    PromiseReply,
    SchedulePage,
    ScheduleReply,
    Snapshot,
    Suspended,
    TaskPage,
    TaskReply,
)

SettledState = Annotated[PromiseState, "settled by a client"]
"""`resolved`, `rejected` or `rejected_canceled`: what a client may settle a promise as."""
Limit = Annotated[int, "limit"]
"""How many records a page may hold: 1 to 1,000."""
ScheduleId = Annotated[str, "schedule id"]
"""An id without `:`."""


# --- Promises -------------------------------------------------------------------------------------


@final
@frozen
class PromiseGet:
    """Read a promise."""

    kind: ClassVar[str] = "promise.get"
    reply: ClassVar[type] = PromiseReply
    id: Id


@final
@frozen
class PromiseCreate:
    """Create a promise, and with a target the task that executes it. Idempotent."""

    kind: ClassVar[str] = "promise.create"
    reply: ClassVar[type] = PromiseReply
    id: Id
    timeout_at: Millis
    tags: Mapping[str, str]
    param: Value = EMPTY


@final
@frozen
class PromiseSettle:
    """Give a promise its outcome. Idempotent: the first one stays."""

    kind: ClassVar[str] = "promise.settle"
    reply: ClassVar[type] = PromiseReply
    id: Id
    state: SettledState
    value: Value = EMPTY


@final
@frozen
class PromiseCancel:
    """Ask that a promise end as `rejected_canceled`. (An extension.)

    Without a task it does so at once, else when its worker has cleaned up, at the latest `budget` (ms) from now:
    then the server ends it, and all that it has called. The first request stays. `value` says who asked and why.
    """

    kind: ClassVar[str] = "promise.cancel"
    reply: ClassVar[type] = PromiseReply
    id: Id
    budget: PositiveMillis
    value: Value = EMPTY


@final
@frozen
class PromiseRegisterCallback:
    """Have the task `awaiter` woken when the promise `awaited` settles.

    With `only_failure` not when it is resolved. (An extension; other servers wake it then too.)
    """

    kind: ClassVar[str] = "promise.register_callback"
    reply: ClassVar[type] = PromiseReply
    awaited: Id
    awaiter: Id
    only_failure: bool = False


@final
@frozen
class PromiseRegisterListener:
    """Have a message sent to `address` when the promise `awaited` settles."""

    kind: ClassVar[str] = "promise.register_listener"
    reply: ClassVar[type] = PromiseReply
    awaited: Id
    address: str


@final
@frozen
class PromiseSearch:
    """Find promises by state and tags, all of which must match.

    With a prefix, only those whose id begins with it. (An extension; other servers ignore it.)
    """

    kind: ClassVar[str] = "promise.search"
    reply: ClassVar[type] = PromisePage
    state: PromiseState | None = None
    tags: Mapping[str, str] | None = None
    limit: Limit | None = None
    cursor: str | None = None
    prefix: str | None = None


# --- Tasks ----------------------------------------------------------------------------------------


@final
@frozen
class TaskGet:
    """Read a task."""

    kind: ClassVar[str] = "task.get"
    reply: ClassVar[type] = TaskReply
    id: Id


@final
@frozen
class TaskCreate:
    """Create a promise and its task, acquired by `pid` from the start."""

    kind: ClassVar[str] = "task.create"
    reply: ClassVar[type] = Acquired
    pid: str
    ttl: PositiveMillis
    action: Envelope[PromiseCreate]


@final
@frozen
class TaskAcquire:
    """Take a pending task at the version that its message named, for `ttl`.

    With `preload` false only what has woken the task is sent ahead, as with `TaskFence`.
    """

    kind: ClassVar[str] = "task.acquire"
    reply: ClassVar[type] = Acquired
    id: Id
    version: Version
    pid: str
    ttl: PositiveMillis
    preload: bool = True


@final
@frozen
class TaskFence:
    """Create, settle or cancel a promise if, and only if, the task is still held at this version.

    With `preload` false the reply comes without promises sent ahead. A worker that has all of them asks for
    that: otherwise n steps in a row would cost n² promises. (An extension; other servers send them anyway.)
    """

    kind: ClassVar[str] = "task.fence"
    reply: ClassVar[type] = Fenced
    id: Id
    version: Version
    action: Envelope[PromiseCreate | PromiseSettle | PromiseCancel]
    preload: bool = True


@final
@frozen
class TaskRef:
    """A task at a version."""

    id: Id
    version: Version


@final
@frozen
class TaskHeartbeat:
    """Extend the leases of those of these tasks that `pid` holds."""

    kind: ClassVar[str] = "task.heartbeat"
    reply: ClassVar[type] = Beaten
    pid: str
    tasks: Sequence[TaskRef]


@final
@frozen
class TaskSuspend:
    """Give the task back until one of the awaited promises settles.

    A task that is to be cancelled is kept (status 300), so that its holder hears of it, unless `knows_cancelled`
    says that it has. (An extension.)
    """

    kind: ClassVar[str] = "task.suspend"
    reply: ClassVar[type] = Suspended
    id: Id
    version: Version
    actions: Sequence[Envelope[PromiseRegisterCallback]]
    knows_cancelled: bool = False


@final
@frozen
class TaskFulfill:
    """Settle the promise of the task, and with it the task."""

    kind: ClassVar[str] = "task.fulfill"
    reply: ClassVar[type] = PromiseReply
    id: Id
    version: Version
    action: Envelope[PromiseSettle]


@final
@frozen
class TaskRelease:
    """Give the task back, to be dispatched again at once."""

    kind: ClassVar[str] = "task.release"
    reply: ClassVar[type] = Empty
    id: Id
    version: Version


@final
@frozen
class TaskHalt:
    """Stop dispatching a task until `task.continue`."""

    kind: ClassVar[str] = "task.halt"
    reply: ClassVar[type] = Empty
    id: Id


@final
@frozen
class TaskContinue:
    """Dispatch a halted task again."""

    kind: ClassVar[str] = "task.continue"
    reply: ClassVar[type] = Empty
    id: Id


@final
@frozen
class TaskSearch:
    """Find tasks by state.

    With a prefix, only those whose id begins with it. (An extension; other servers ignore it.)
    """

    kind: ClassVar[str] = "task.search"
    reply: ClassVar[type] = TaskPage
    state: TaskState | None = None
    limit: Limit | None = None
    cursor: str | None = None
    prefix: str | None = None


# --- Schedules ------------------------------------------------------------------------------------


@final
@frozen
class ScheduleGet:
    """Read a schedule."""

    kind: ClassVar[str] = "schedule.get"
    reply: ClassVar[type] = ScheduleReply
    id: ScheduleId


@final
@frozen
class ScheduleCreate:
    """Create a schedule. Idempotent."""

    kind: ClassVar[str] = "schedule.create"
    reply: ClassVar[type] = ScheduleReply
    id: ScheduleId
    cron: str
    promise_id: Id
    promise_timeout: Millis
    promise_tags: Mapping[str, str]
    promise_param: Value = EMPTY


@final
@frozen
class ScheduleDelete:
    """Delete a schedule. The promises it created stay."""

    kind: ClassVar[str] = "schedule.delete"
    reply: ClassVar[type] = Empty
    id: ScheduleId


@final
@frozen
class ScheduleSearch:
    """Find schedules by the tags of their promises, all of which must match.

    With a prefix, only those whose id begins with it. (An extension; other servers ignore it.)
    """

    kind: ClassVar[str] = "schedule.search"
    reply: ClassVar[type] = SchedulePage
    tags: Mapping[str, str] | None = None
    limit: Limit | None = None
    cursor: str | None = None
    prefix: str | None = None


# --- Debug ----------------------------------------------------------------------------------------


@final
@frozen
class DebugStart:
    """Pause all background work."""

    kind: ClassVar[str] = "debug.start"
    reply: ClassVar[type] = Empty


@final
@frozen
class DebugStop:
    """Go on with background work."""

    kind: ClassVar[str] = "debug.stop"
    reply: ClassVar[type] = Empty


@final
@frozen
class DebugReset:
    """Empty the store."""

    kind: ClassVar[str] = "debug.reset"
    reply: ClassVar[type] = Empty


@final
@frozen
class DebugTick:
    """Do all background work that is due at `time`."""

    kind: ClassVar[str] = "debug.tick"
    reply: ClassVar[type] = Sequence
    time: Millis


@final
@frozen
class DebugSnap:
    """Read everything."""

    kind: ClassVar[str] = "debug.snap"
    reply: ClassVar[type] = Snapshot


PromiseRequest = (
    PromiseGet
    | PromiseCreate
    | PromiseSettle
    | PromiseCancel
    | PromiseRegisterCallback
    | PromiseRegisterListener
    | PromiseSearch
)
TaskRequest = (
    TaskGet
    | TaskCreate
    | TaskAcquire
    | TaskFence
    | TaskHeartbeat
    | TaskSuspend
    | TaskFulfill
    | TaskRelease
    | TaskHalt
    | TaskContinue
    | TaskSearch
)
ScheduleRequest = ScheduleGet | ScheduleCreate | ScheduleDelete | ScheduleSearch
DebugRequest = DebugStart | DebugStop | DebugReset | DebugTick | DebugSnap
BatchedRequest = PromiseRequest | TaskRequest | ScheduleRequest
"""The data of a request that may be part of a batch."""


@final
@frozen
class Batch:
    """Perform these in order, and store them by one commit. Each has its own outcome. (An extension.)

    Where one is refused before it is performed, because it is malformed or not allowed, its reply takes its place.
    """

    kind: ClassVar[str] = "batch"
    reply: ClassVar[type] = BatchReply
    requests: Sequence[Envelope[BatchedRequest] | Reply]


Request = PromiseRequest | TaskRequest | ScheduleRequest | DebugRequest | Batch
"""The data of any request."""

REQUESTS: Mapping[str, type[Request]] = {cls.kind: cls for cls in Request.__args__}
"""The class of each kind."""
