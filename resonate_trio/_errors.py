"""Every exception that this package raises on its own account.

The root is `ResonateError`; below it stand, side by side, what the program does wrong (`UsageError`), what
the server or the way to it does wrong, and how an awaited invocation ended (`InvocationFailed`).
"""

from collections.abc import Mapping, Sequence
from typing import Final, final

_ENCODABLE: Final = (
    "None, bool, int, finite float, str, bytes, Decimal, UUID, datetime, date, time, timedelta, Path, enums, "
    "lists, tuples, sets, dicts, and attrs classes and dataclasses made of these"
)


class ResonateError(Exception):
    """Root of all errors of this package."""


# --- The program is wrong -------------------------------------------------------------------------


class UsageError(ResonateError):
    """The program is wrong: something was called in a way that can never work.

    The message shows the right call. Never retried: the same code would fail again.
    """


@final
class UnregisteredFunctionError(UsageError):
    """A function object was invoked remotely, but it was never registered.

    A remote invocation travels by name, and only registered functions have one. Put `@resonate.register`
    above the function, or name a function of another service by a string.

    Attributes:
        function: the name of the object that was invoked.
    """

    def __init__(self, function: object) -> None:
        name = getattr(function, "__qualname__", None) or repr(function)
        super().__init__(
            f"{name} is not registered, so it has no name to invoke it by: put @resonate.register above its "
            f"definition, or name a function of another service by a string"
        )
        self.function = name


@final
class ArgumentsError(UsageError, TypeError):
    """The arguments of an invocation do not bind to the function's signature, or do not fit its annotations.

    Correct the call, or the signature.

    Attributes:
        function: name of the function.
        path: the argument that does not fit, and the place in it, as `order.items[2]`; None if the
            arguments do not bind at all.
    """

    def __init__(self, message: str, *, function: str, path: str | None = None) -> None:
        super().__init__(message)
        self.function = function
        self.path = path


@final
class EncodingError(UsageError):
    """A value cannot be written as JSON, so it can be no argument, result or value of a promise.

    Pass something that can be (the message lists what), or the facts from which the other side can build it.

    Attributes:
        path: where in the value, as `args[0].items[2].socket`.
        value_type: the name of the type of what is there.
    """

    def __init__(self, path: str, value_type: type, reason: str | None = None) -> None:
        if reason is None:
            reason = f"{_type_name(value_type)} cannot be encoded. What can be encoded: {_ENCODABLE}"
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.value_type = _type_name(value_type)


# --- Functions and data that this process does not know -------------------------------------------


@final
class UnknownFunctionError(ResonateError):
    """A task names a function that this worker does not have.

    Register the function in every worker of the group, at every version that may still be under way, or
    correct the group that it was invoked in.

    Attributes:
        name: the function that was asked for.
        version: the version that was asked for; 0 means the newest.
        registered: the functions that are registered, as `name` or `name (versions 1, 2)`.
    """

    def __init__(self, name: str, version: int, registered: Sequence[str]) -> None:
        wanted = f"{name!r} version {version}" if version else repr(name)
        known = ", ".join(registered) if registered else "none at all"
        super().__init__(
            f"no function {wanted} is registered in this worker (registered: {known}). Register it with "
            f"@resonate.register in every worker of the group, or invoke it in the group that has it"
        )
        self.name = name
        self.version = version
        self.registered = tuple(registered)


@final
class DecodingError(ResonateError):
    """Stored data does not fit the annotation it is read by, or is no payload at all.

    Writer and reader disagree: correct the annotation, or give what was added to a class a default.

    Attributes:
        path: where in the data, as `value.items[2].price`.
        reason: what is wrong there.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@final
class DivergenceError(ResonateError):
    """What is stored at an id is not what the code asks for there: it has changed under a running execution.

    The task is halted, so no wrong result comes of it. Deploy code that makes the calls of the first run again (or
    uses `ctx.version` where it must differ), then let the task go on by `resonate-trio continue ID`. It is logged
    and given to the instrument; a durable function does not get to see it.

    Attributes:
        id: the invocation.
        asked: what the code asks for now.
        stored: what an earlier run of it has stored.
    """

    def __init__(self, id: str, *, asked: str, stored: str) -> None:
        super().__init__(
            f"the code has changed under a running execution: at {id!r} it asks for {asked}, but what an earlier "
            f"run has stored is {stored}. The task is halted. Deploy code that makes the calls of that run, or "
            f"tells the two apart by ctx.version(), then have it go on by `resonate-trio continue`"
        )
        self.id = id
        self.asked = asked
        self.stored = stored


# --- The server, and the way to it ----------------------------------------------------------------


@final
class ServerUnreachableError(ResonateError):
    """No server answered, although it was tried again and again.

    Check that the server runs and that the URL (`Resonate(url)` or RESONATE_URL) is right.

    Attributes:
        url: where the server was looked for.
        seconds: for how long.
    """

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(
            f"no answer from {url} for {seconds:.1f} seconds: is the server running, and is this its URL? "
            f"The URL is the first argument of Resonate or Client, or RESONATE_URL"
        )
        self.url = url
        self.seconds = seconds


@final
class AuthenticationError(ResonateError):
    """The server wants a token, and it got none or a wrong one (status 401).

    Give a valid token as `token=` or in RESONATE_TOKEN.

    Attributes:
        detail: what the server said.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(f"not authenticated: {detail}. Give a valid token as token= or in RESONATE_TOKEN")
        self.detail = detail


@final
class PermissionDeniedError(ResonateError):
    """The server knows who asks, and does not allow it (status 403).

    Use a token with the rights for this request.

    Attributes:
        detail: what the server said.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(f"not allowed: {detail}. The token (token= or RESONATE_TOKEN) lacks the right to do this")
        self.detail = detail


@final
class ServerError(ResonateError):
    """The server failed (status 5xx), or its reply violates the protocol.

    Nothing the program can correct; the server's log tells more. What was asked may have happened.

    Attributes:
        status: the status of the reply; None if it was no reply of this protocol.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message if status is None else f"the server failed with status {status}: {message}")
        self.status = status


@final
class RequestRefusedError(ResonateError):
    """The server refused a request (a status 4xx that has no error of its own); nothing happened.

    Attributes:
        status: the status of the reply.
        kind: the kind of the request, as `promise.create`.
        detail: what the server said.
    """

    def __init__(self, detail: str, *, status: int, kind: str) -> None:
        super().__init__(f"{kind} was refused with status {status}: {detail}")
        self.status = status
        self.kind = kind
        self.detail = detail


@final
class PromiseNotFoundError(ResonateError):
    """There is no promise of this id.

    Check the id; a promise exists from the moment its invocation was accepted by the server.

    Attributes:
        id: the id that was asked for.
    """

    def __init__(self, id: str) -> None:
        super().__init__(
            f"there is no promise {id!r}: check the id, and that this is the server it was created on"
        )
        self.id = id


@final
class ScheduleNotFoundError(ResonateError):
    """There is no schedule of this id.

    Check the id; `schedules.list()` returns what there is.

    Attributes:
        id: the id that was asked for.
    """

    def __init__(self, id: str) -> None:
        super().__init__(f"there is no schedule {id!r}: schedules.list() returns those of this server")
        self.id = id


# --- How an awaited invocation ended --------------------------------------------------------------


class InvocationFailed(ResonateError):
    """An awaited invocation ended without a value, and not by an exception that can be raised here.

    Attributes:
        id: the promise of the invocation.
    """

    def __init__(self, message: str, *, id: str) -> None:
        super().__init__(message)
        self.id = id


@final
class InvocationCancelled(InvocationFailed):
    """The invocation was cancelled from outside. Await it again and the outcome is the same: it is final.

    Attributes:
        by: who cancelled it, "client" for a client; None if that is not known.
        reason: why, if that was said.
    """

    def __init__(self, id: str, *, by: str | None = None, reason: str | None = None) -> None:
        caller = "" if by is None else by.partition("#")[0]
        who = "" if by is None else " by a client" if by == "client" else f" by the invocation {caller!r}"
        why = "" if reason is None else f": {reason}"
        super().__init__(f"the invocation {id!r} was cancelled{who}{why}", id=id)
        self.by = by
        self.reason = reason


@final
class InvocationTimedOut(InvocationFailed):
    """The invocation did not end before its deadline.

    Give it more time (`timeout=`), and check that workers of its group are running.
    """

    def __init__(self, id: str) -> None:
        super().__init__(
            f"the invocation {id!r} did not end before its deadline: give it more time with timeout=, and "
            f"check that a worker of its group is running",
            id=id,
        )


@final
class RemoteError(InvocationFailed):
    """The function raised something that cannot be rebuilt here.

    Its class is not registered (`@resonate.register_error`), on one side at least. A note says so if it is, but
    what was raised does not fit it.

    Attributes:
        id: the promise of the invocation that raised it, which may be further down than the one that was awaited.
        type_name: name of the exception's class there.
        message: its message.
        worker: who executed it, as `group/pid`; None if that is not known.
        attributes: what its public attributes held, JSON data.
        remote_traceback: the traceback as text, if one was stored.
        data: the whole error as it is stored, JSON data; whatever else its writer added is in here.
    """

    def __init__(
        self,
        id: str,
        *,
        type_name: str,
        message: str,
        worker: str | None = None,
        attributes: Mapping[str, object] | None = None,
        remote_traceback: str | None = None,
        data: object = None,
    ) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name, id=id)
        self.type_name = type_name
        self.message = message
        self.worker = worker
        self.attributes = dict(attributes or {})
        self.remote_traceback = remote_traceback
        self.data = data


# --- Control --------------------------------------------------------------------------------------


@final
class ExecutionDropped(BaseException):
    """This execution is no longer ours; whatever it still did would be done twice.

    A signal, not an error: durable calls raise it, and only the runtime catches it. Durable functions let it
    pass (`except Exception` does).
    """


def _type_name(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
