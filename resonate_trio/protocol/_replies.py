"""The data of every successful reply, one class each."""

from collections.abc import Mapping, Sequence
from typing import final

from attrs import field, frozen

from ._envelope import Reply
from ._records import Id, Millis, Promise, Schedule, Task


@final
@frozen
class Empty:
    """Done; nothing to add."""


@final
@frozen
class BatchReply:
    """The replies to the requests of a batch, one for each, in order."""

    responses: Sequence[Reply]


@final
@frozen
class PromiseReply:
    """A promise, as it is after the request."""

    promise: Promise


@final
@frozen
class PromisePage:
    """Promises ordered by id. With a cursor there may be more."""

    promises: Sequence[Promise]
    cursor: str | None = None


@final
@frozen
class TaskReply:
    """A task, as it is after the request."""

    task: Task


@final
@frozen
class TaskPage:
    """Tasks ordered by id. With a cursor there may be more."""

    tasks: Sequence[Task]
    cursor: str | None = None


@final
@frozen
class Acquired:
    """A task, its promise, and promises that its holder will ask for next.

    If it is `partial`, those are only what has woken the task: it was suspended by the process that gets it now,
    and that may have kept the rest. (An extension.)
    """

    task: Task
    promise: Promise
    preload: Sequence[Promise] = ()
    partial: bool = False


@final
@frozen
class Fenced:
    """The reply to the inner request, whatever its status. `cancelled_at` is that of the task."""

    action: Reply
    preload: Sequence[Promise] = ()
    cancelled_at: Millis | None = None


@final
@frozen
class CancelledTask:
    """A task that is to be cancelled, and since when."""

    id: Id
    at: Millis


@final
@frozen
class Beaten:
    """What has become of tasks without their holder's knowledge.

    Attributes:
        lost: those that the process does not hold any longer, at the version it names.
        cancelled: those that it holds and that are to be cancelled.
    """

    lost: Sequence[Id] = field(default=(), metadata={"optional": True})
    cancelled: Sequence[CancelledTask] = field(default=(), metadata={"optional": True})


@final
@frozen
class Suspended:
    """Status 200: the task is suspended. 300: it is still held, and `preload` says what has settled.

    With `cancelled_at` the task is to be cancelled; that alone can be the reason why it is still held.
    """

    preload: Sequence[Promise] | None = None
    cancelled_at: Millis | None = None


@final
@frozen
class ScheduleReply:
    """A schedule, as it is after the request."""

    schedule: Schedule


@final
@frozen
class SchedulePage:
    """Schedules ordered by id. With a cursor there may be more."""

    schedules: Sequence[Schedule]
    cursor: str | None = None


@final
@frozen
class PromiseTimeout:
    """A pending promise and its deadline."""

    id: Id
    timeout: Millis


@final
@frozen
class Callback:
    """A task that waits for a promise."""

    awaiter: Id
    awaited: Id


@final
@frozen
class Listener:
    """An address that is told when a promise settles."""

    id: Id
    address: str


@final
@frozen
class TaskTimeout:
    """A task and the instant at which its dispatch (`type` 0) or the end of its lease (`type` 1) is due."""

    id: Id
    type: int
    timeout: Millis


@final
@frozen
class OutgoingMessage:
    """A message that waits for its delivery, as it will travel."""

    address: str
    message: Mapping[str, object]


@final
@frozen
class Snapshot:
    """Everything that the store holds, each list ordered."""

    promises: Sequence[Promise]
    promise_timeouts: Sequence[PromiseTimeout]
    callbacks: Sequence[Callback]
    listeners: Sequence[Listener]
    tasks: Sequence[Task]
    task_timeouts: Sequence[TaskTimeout]
    messages: Sequence[OutgoingMessage]
