"""Exceptions as data: how a failure is written into a promise.

Nothing is pickled. What is written is a tree: name, message, attributes, notes, cause and members of each
exception, and by which invocations and workers it has come.

The form is the one that other clients of the protocol write and read: `__type`, `name`, `message`, `stack`, and
for a group (their aggregate error) `errors`. What only we write stands under one key of our own. `stack` is the
whole story as text, for people; what is inside the tree has its part of it as data.
"""

import json
import math
import traceback
from collections.abc import Sequence
from typing import Final, final

from attrs import Factory, define

from resonate_trio._errors import EncodingError, RemoteError

from ._error_classes import OF_THIS_PACKAGE, ErrorClasses
from ._error_state import STATE_KEYS, Json, arguments, readable_attributes, whole_state
from ._hops import ReadNote, hops_of, shortened_front, trace_of

OURS: Final = "resonate_trio"
THIS_PACKAGE: Final = "resonate_trio"
MAX_TEXT: Final = 16_384
# Of the whole tree. When the room is used up, or so many exceptions are written, what is left is told in short.
MAX_ROOM: Final = 524_288
MAX_NODES: Final = 10_000
MAX_DEPTH: Final = 20
MAX_HOPS: Final = 16
_MAX_SHORT: Final = 200
_MAX_ARGS: Final = 100
_MAX_NOTES: Final = 100
_MAX_BITS: Final = 1024


def error_to_json(error: BaseException, classes: ErrorClasses, worker: str | None) -> Json:
    """Return an exception as JSON data. Whatever the exception is, this does not fail.

    Args:
        error: the exception.
        classes: those that travel with all they hold.
        worker: who was at it, as `group/pid`.
    """
    head: Json = {"__type": "error", "name": type(error).__name__, "message": shortened(_text_of(error))}
    try:
        data = _Writer(classes, worker).write(error, 0)
        data = {key: data.pop(key) for key in head} | {"stack": _stack(error)} | data
        json.dumps(data, allow_nan=False)
    except Exception:  # an exception can do anything when it is looked at
        return head
    return data


def shortened(text: str, size: int = MAX_TEXT) -> str:
    """Return the beginning of a text, and how long it is."""
    return text if len(text) <= size else f"{text[:size]}… ({len(text)} characters)"


@final
@define
class _Writer:
    classes: ErrorClasses
    worker: str | None
    room: int = MAX_ROOM
    nodes: int = MAX_NODES
    above: set[int] = Factory(set)

    def write(self, error: BaseException, depth: int) -> Json:
        """Return one exception of the tree, with what is below it. `depth` is how much is above it."""
        self.nodes -= 1
        self.above.add(id(error))
        name, message = self._name_of(error), _text_of(error)
        if isinstance(error, RemoteError):  # pass it on as what it was at its source
            message = str(error.message)
        elif isinstance(error, BaseExceptionGroup):
            message = error.message
        notes = _notes(error)
        ours = self._state(error, notes)
        data: Json = {"__type": "error", "name": name, "message": self._text(message), OURS: ours}
        if isinstance(error, BaseExceptionGroup):
            self._write_members(error, data, notes, depth)
        hops = self._hops(error, depth)
        if hops:
            ours["hops"] = hops
        if notes:
            ours["notes"] = [self._text(note) for note in notes[:_MAX_NOTES]]
        self._write_cause(error, ours, depth)
        self.above.discard(id(error))
        return data

    def _name_of(self, error: BaseException) -> str:
        if isinstance(error, RemoteError):
            return error.type_name
        return self.classes.name_of(type(error)) or type(error).__name__

    def _state(self, error: BaseException, notes: list[str]) -> Json:
        """Return what is needed to build the exception again."""
        cls = type(error)
        if isinstance(error, RemoteError):
            stored = error.data.get(OURS) if isinstance(error.data, dict) else None
            known = stored if isinstance(stored, dict) else {}
            state = {key: known[key] for key in ("module", "registered", *STATE_KEYS) if key in known}
            return state if self._takes(state) else {"module": known.get("module")}
        if cls is OF_THIS_PACKAGE.get(cls.__name__):
            attributes = {name: _plain(value) for name, value in vars(error).items() if not name.startswith("_")}
            return {"module": THIS_PACKAGE, "attributes": attributes}
        state = {"module": cls.__module__}
        if self.classes.name_of(cls) is not None:
            try:
                whole = whole_state(error)
            except EncodingError as problem:
                notes.append(f"({cls.__qualname__} is registered, but could not be sent: {problem})")
            else:
                if self._takes(whole):
                    return {**state, "registered": True, **whole}
                notes.append(f"({cls.__qualname__} is registered, but there was no room left to send it)")
        return state | self._loose_state(error)

    def _loose_state(self, error: BaseException) -> Json:
        """Return the state of an exception that nobody has registered, as far as it can be written."""
        state: Json = {}
        if not isinstance(error, BaseExceptionGroup):
            args = arguments(error)
            if len(args) <= _MAX_ARGS and all(_survives(arg) for arg in args) and self._takes(list(args)):
                state["args"] = list(args)
        attributes = readable_attributes(error)
        if attributes and self._takes(attributes):
            state["attributes"] = attributes
        return state

    def _write_members(
        self, group: BaseExceptionGroup[BaseException], data: Json, notes: list[str], depth: int
    ) -> None:
        members: list[Json] = []
        if depth < MAX_DEPTH:
            for member in group.exceptions:
                if self.nodes <= 0:
                    break
                members.append(self.write(member, depth + 1))
        if len(members) < len(group.exceptions):
            notes.append(f"({len(group.exceptions) - len(members)} errors of this group were left out)")
        if members:
            data |= {"__type": "aggregate_error", "errors": members}

    def _write_cause(self, error: BaseException, ours: Json, depth: int) -> None:
        """Write what Python would print above this exception: its cause, else its context unless suppressed."""
        key = "cause" if error.__cause__ is not None else "context"
        above = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if above is not None and id(above) not in self.above and depth < MAX_DEPTH and self.nodes > 0:
            ours[key] = self.write(above, depth + 1)

    def _hops(self, error: BaseException, depth: int) -> list[Json]:
        """Return the way of the exception: this invocation, whose id its reader knows, and those before it."""
        before = hops_of(error)
        hops: list[Json] = []
        trace = trace_of(error, was_read=bool(before))
        if trace or not before or depth == 0:
            worker: Json = {"worker": self.worker} if self.worker else {}
            hops.append(worker | ({"traceback": trace} if trace and self._takes(trace) else {}))
        for hop in before[-MAX_HOPS:]:
            fields = {
                "id": hop.id,
                "worker": hop.worker,
                "traceback": hop.trace if self._takes(hop.trace) else None,
            }
            hops.append({key: value for key, value in fields.items() if value})
        return hops if any(hops) else []

    def _text(self, text: str) -> str:
        text = shortened(text)
        return text if self._takes(text) else shortened(text, _MAX_SHORT)

    def _takes(self, data: object) -> bool:
        """Tell whether there is room for data, and take it."""
        size = len(json.dumps(data, allow_nan=False))
        if size > self.room:
            return False
        self.room -= size
        return True


def _plain(value: object) -> object:
    """Return the value of one of our attributes as it is, if JSON can hold it: texts, numbers, lists of texts."""
    if isinstance(value, tuple):
        return [item for item in value if _survives(item)]
    return value if _survives(value) else None


def _survives(value: object) -> bool:
    """Tell whether an argument is the same after it went through JSON, and small. Most are short texts."""
    if type(value) is str:
        return len(value) <= MAX_TEXT
    if type(value) is int:
        return value.bit_length() <= _MAX_BITS
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) is bool


def _notes(error: BaseException) -> list[str]:
    """Return the notes that the program has added."""
    notes: object = getattr(error, "__notes__", ())
    if not isinstance(notes, Sequence) or isinstance(notes, str):
        return []
    return [note for note in notes if isinstance(note, str) and not isinstance(note, ReadNote)]


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(no message: its __str__ fails)"


def _stack(error: BaseException) -> str:
    """Return the traceback as Python prints it. Of a long one, the end: what was raised, and what it says."""
    return shortened_front("".join(traceback.format_exception(error)), MAX_TEXT)
