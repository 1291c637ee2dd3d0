"""What all readers share: how data is checked, and how the failure far below becomes a path and a reason."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar, cast, final, get_args

from cattrs import BaseValidationError
from cattrs.errors import AttributeValidationNote, IterableValidationNote, StructureHandlerNotFoundError

T = TypeVar("T")
Hook: TypeAlias = Callable[[object, Any], object]
"""Reads data as a type. It is given the type too, because some hooks serve many."""

_NAMES: Final[dict[type, str]] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    type(None): "None",
}
_MAX_SHOWN: Final = 60


@final
class MismatchError(Exception):
    """Data does not fit the annotation it is read by."""


def arguments(kind: object) -> tuple[Any, ...]:
    """Return the types that a generic type is made of. As elsewhere in annotations, None means its type."""
    return tuple(type(None) if argument is None else argument for argument in get_args(kind))


def named(data: object) -> str:
    """Describe JSON data in a message: short scalars literally, all else by its kind."""
    shown = "" if isinstance(data, list | dict) else repr(data)
    return shown if 0 < len(shown) <= _MAX_SHOWN else _NAMES[type(data)]


def expect(cls: type[T], data: object) -> T:
    """Return `data` if it is JSON of exactly this kind (a bool is no int)."""
    if type(data) is not cls:
        raise MismatchError(f"expected {_NAMES[cls]}, got {named(data)}")
    return data


def add_step(error: Exception, key: int | str) -> None:
    """Add an index or a key to the path of an error on its way up."""
    error.add_note(cast(str, IterableValidationNote("", key, object)))


def explain(error: BaseException) -> tuple[str, str]:
    """Return where reading failed (a path to be appended to the name of the whole) and why.

    The first failure is told; cattrs collects all those of a class.
    """
    path = _location(error)
    if isinstance(error, BaseValidationError):
        inner_path, reason = explain(error.exceptions[0])
        return path + inner_path, reason
    if isinstance(error, KeyError) and path.endswith(f".{error.args[0]}"):
        return path, "is missing"
    return path, _reason(error)


def _reason(error: BaseException) -> str:
    if isinstance(error, MismatchError):
        return str(error)
    if isinstance(error, RecursionError):
        return "is nested too deep"
    if isinstance(error, StructureHandlerNotFoundError):
        return f"no value of the type {error.type_!r} can be made from JSON; annotate with another type"
    if isinstance(error, NameError):
        return (
            f"an annotation of the class names {error.name!r}, which is not known where the class stands: "
            f"define or import it at the top of that module"
        )
    return f"{type(error).__name__}: {error}"


def _location(error: BaseException) -> str:
    parts: list[str] = []
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            parts.append(f".{note.name}")
        elif isinstance(note, IterableValidationNote):
            parts.append(f"[{note.index!r}]")
    return "".join(reversed(parts))
