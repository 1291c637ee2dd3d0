"""Exceptions as data: how a failure is written into a promise, and what is raised where it is read.

Nothing is pickled or unpickled. Exceptions of Python's own (`ValueError`, `OSError`, `ExceptionGroup`) are built
again from their names and arguments, those of this package from their attributes; all others become a RemoteError
with what is known of them.

The form is the one that other clients of the protocol write and read: `__type`, `name`, `message`, `stack`, and
for a group (their aggregate error) `errors`. What only we write stands under one key of our own.
"""

import builtins
import math
import traceback
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, final

from resonate_trio import _errors
from resonate_trio._errors import RemoteError, ResonateError

Json: TypeAlias = dict[str, object]

_OURS: Final = "resonate_trio"
_MAX_TEXT: Final = 16_384
_MAX_ARGS: Final = 100
_MAX_BITS: Final = 1024
_MAX_DEPTH: Final = 20
# A StopIteration is left out: Python turns one that leaves a coroutine into a RuntimeError.
_REBUILT: Final[Mapping[str, type[Exception]]] = {
    name: cls
    for name, cls in vars(builtins).items()
    if isinstance(cls, type)
    and issubclass(cls, Exception)
    and not issubclass(cls, BaseExceptionGroup | StopIteration | StopAsyncIteration)
    and cls.__name__ == name
}
# Their constructors make messages out of facts; what travels is the message made, and the facts as attributes.
_OWN: Final[Mapping[str, type[ResonateError]]] = {
    name: cls
    for name, cls in vars(_errors).items()
    if isinstance(cls, type) and issubclass(cls, ResonateError) and cls is not RemoteError
}


@final
class _ReadNote(str):  # ruff: ignore[subclass-builtin]
    """A note that reading added (`add_note` takes only a str).

    It is not written again: the traceback that is written contains it.
    """

    __slots__ = ()


# --- Writing --------------------------------------------------------------------------------------


def error_to_json(error: BaseException, depth: int = 0) -> Json:
    """Return an exception as JSON data. `depth` is how many groups it stands in."""
    data: Json = {
        "__type": "error",
        "name": type(error).__name__,
        "message": _shortened(_text_of(error)),
        "stack": _stack(error),
        _OURS: _details(error),
    }
    if isinstance(error, RemoteError):
        # Pass it on as what it was at its source.
        data |= {"name": error.type_name, "message": _shortened(error.message), _OURS: _ours(error.data)}
    elif isinstance(error, BaseExceptionGroup) and depth < _MAX_DEPTH:
        members = [error_to_json(member, depth + 1) for member in error.exceptions]
        data |= {"__type": "aggregate_error", "message": _shortened(error.message), "errors": members}
    return data


def _details(error: BaseException) -> Json:
    """Return what others do not write: where the class is from, the arguments to build it again, notes."""
    details: Json = {"module": type(error).__module__}
    args = _arguments(error)
    if len(args) <= _MAX_ARGS and all(_survives(arg) for arg in args):
        details["args"] = args
    if type(error) is _OWN.get(type(error).__name__):
        details = {"module": _OURS, "attributes": {name: _plain(value) for name, value in _attributes(error)}}
    notes = getattr(error, "__notes__", ())
    own = [_shortened(note) for note in _strings(notes) if not isinstance(note, _ReadNote)]
    if own:
        details["notes"] = own
    return details


def _arguments(error: BaseException) -> list[object]:
    if isinstance(error, OSError) and error.filename is not None:
        # The names of files are arguments too, but OSError takes them out of its args.
        return [*error.args, error.filename, None, error.filename2]
    return list(error.args)


def _attributes(error: BaseException) -> Iterable[tuple[str, object]]:
    return ((name, value) for name, value in vars(error).items() if not name.startswith("_"))


def _plain(value: object) -> object:
    """Return the value of one of our attributes as it is, if JSON can hold it: texts, numbers, lists of texts."""
    if isinstance(value, tuple):
        return [item for item in value if _survives(item)]
    return value if _survives(value) else None


def _survives(value: object) -> bool:
    """Tell whether an argument is the same after it went through JSON, and small. Most are short texts."""
    if type(value) is str:
        return len(value) <= _MAX_TEXT
    if type(value) is int:
        return value.bit_length() <= _MAX_BITS
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) is bool


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(no message: its __str__ fails)"


def _stack(error: BaseException) -> str:
    """Return the traceback as text. Of a long one, the end: what was raised, and what it says."""
    text = "".join(traceback.format_exception(error))
    return text if len(text) <= _MAX_TEXT else f"…{text[-_MAX_TEXT:]}"


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… ({len(text)} characters)"


# --- Reading --------------------------------------------------------------------------------------


def error_from_json(data: object, id: str) -> Exception:
    """Return the exception that `data` describes. Whatever it is, this does not fail.

    Args:
        data: the value of a rejected promise, JSON data.
        id: the promise.
    """
    try:
        error = _rebuilt(data, id)
    except RecursionError:
        error = RemoteError(id, type_name="Error", message="(groups of errors, nested too deep)", data=data)
    error.add_note(_ReadNote(f"Raised by the invocation {id!r}."))
    return error


def _rebuilt(data: object, id: str) -> Exception:
    if not isinstance(data, dict):
        return RemoteError(id, type_name="Error", message=_told(data), data=data)
    stack = data.get("stack")
    error = _group(data, id) or _builtin(data) or _own(data) or _remote(data, id)
    for note in _strings(_ours(data).get("notes")):
        error.add_note(note)
    if isinstance(stack, str) and not isinstance(error, ExceptionGroup):  # its members tell theirs
        error.add_note(_ReadNote(f"The traceback there:\n{stack}"))
    return error


def _group(data: Json, id: str) -> Exception | None:
    members = data.get("errors")
    if data.get("__type") != "aggregate_error" or not isinstance(members, list) or not members:
        return None
    message = data.get("message")
    return ExceptionGroup(message if isinstance(message, str) else "", [_rebuilt(m, id) for m in members])


def _builtin(data: Json) -> Exception | None:
    name, message, ours = data.get("name"), data.get("message"), _ours(data)
    cls = _REBUILT.get(name) if isinstance(name, str) else None
    if cls is None or ours.get("module", builtins.__name__) != builtins.__name__:
        return None
    args = ours.get("args")
    if not isinstance(args, list):
        args = [message] if isinstance(message, str) else []
    try:
        return cls(*args)
    except Exception:  # some take other arguments than it was written with
        return None


def _own(data: Json) -> Exception | None:
    name, message, ours = data.get("name"), data.get("message"), _ours(data)
    cls = _OWN.get(name) if isinstance(name, str) and ours.get("module") == _OURS else None
    attributes = ours.get("attributes")
    if cls is None or not isinstance(attributes, dict):
        return None
    error = cls.__new__(cls)
    error.args = (message if isinstance(message, str) else "",)
    for attribute, value in attributes.items():
        if not attribute.startswith("_") and not hasattr(cls, attribute):  # whoever wrote this: facts, no methods
            setattr(error, attribute, tuple(value) if isinstance(value, list) else value)
    return error


def _remote(data: Json, id: str) -> RemoteError:
    name, message, stack = data.get("name"), data.get("message"), data.get("stack")
    return RemoteError(
        id,
        type_name=name if isinstance(name, str) and name else "Error",
        message=message if isinstance(message, str) else _told(data),
        remote_traceback=stack if isinstance(stack, str) else None,
        data=data,
    )


def _told(data: object) -> str:
    """Return what there is to tell of an error that is written in no form that we know."""
    if data is None:
        return "(nothing is stored about it)"
    return data if isinstance(data, str) else _shortened(repr(data))


def _ours(data: object) -> Json:
    ours = data.get(_OURS) if isinstance(data, dict) else None
    return ours if isinstance(ours, dict) else {}


def _strings(items: object) -> list[str]:
    return [item for item in items if isinstance(item, str)] if isinstance(items, list) else []
