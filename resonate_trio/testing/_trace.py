"""What happened in a world, line by line: no payloads, no random ids, so the same seed gives the same text."""

from collections.abc import Callable, Iterator
from typing import final

from attrs import Factory, define

from resonate_trio.protocol import (
    Execute,
    Message,
    PromiseSettle,
    Reply,
    Request,
    TaskFence,
    TaskFulfill,
    TaskHeartbeat,
    TaskSuspend,
    Unblock,
)


@final
@define(eq=False, repr=False)
class Trace:
    """What happened in a world, in order: requests, replies, messages, faults. `str()` of it is readable.

    Attributes:
        lines: one for each thing that happened: seconds since the world was opened, who, and what.
    """

    _now: Callable[[], float]
    lines: list[str] = Factory(list)

    def __repr__(self) -> str:
        return f"<Trace of {len(self.lines)} lines>"

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def add(self, who: str, what: str) -> None:
        """Add a line of one's own, by the present time."""
        self.lines.append(f"{self._now():12.3f}  {who:<10}  {what}")


def parts(request: Request) -> Iterator[Request]:
    """Yield a request and those within it."""
    yield request
    inner = [getattr(request, "action", None), *getattr(request, "actions", ()), *getattr(request, "requests", ())]
    for envelope in inner:
        if envelope is not None:
            yield from parts(envelope.data)


def described(request: Request) -> str:
    """Return what a request asks for, in a line."""
    match request:
        case TaskFence():
            return f"task.fence {request.id} at {request.version}: {described(request.action.data)}"
        case TaskFulfill():
            return f"task.fulfill {request.id} at {request.version}: {request.action.data.state}"
        case TaskSuspend():
            awaited = ", ".join(action.data.awaited for action in request.actions)
            return f"task.suspend {request.id} at {request.version}: {awaited}"
        case TaskHeartbeat():
            return f"task.heartbeat {', '.join(task.id for task in request.tasks)}"
        case PromiseSettle():
            return f"promise.settle {request.id}: {request.state}"
    batch = getattr(request, "requests", None)
    if batch is not None:
        return f"{request.kind}: {'; '.join(described(envelope.data) for envelope in batch)}"
    named = " ".join(str(getattr(request, name)) for name in ("id", "awaited") if hasattr(request, name))
    return f"{request.kind} {named}".rstrip()


def replied(reply: Reply) -> str:
    """Return a reply, in a line."""
    return f"{reply.kind} {reply.status}" + (f": {reply.data}" if reply.is_error else "")


def is_acquired(message: Message) -> bool:
    """Tell whether a message brings a task that is held already."""
    return isinstance(message, Execute) and message.acquired is not None


def told(message: Message) -> str:
    """Return a message, in a line."""
    match message:
        case Execute():
            return f"execute {message.id} at {message.version}" + (", acquired" if is_acquired(message) else "")
        case Unblock():
            return f"unblock {message.promise.id}: {message.promise.state}"
    return f"{message.kind} {getattr(message, 'id', '')}".rstrip()
