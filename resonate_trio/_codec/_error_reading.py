"""Exceptions from data: what is raised where a rejected promise is read.

Nothing is unpickled, and no class is looked up by a name in the data but in tables of known classes: Python's own
exceptions, those of this package, and those that the application has registered. All others become a RemoteError
with what is known of them, and so does everything that does not fit its class.
"""

import builtins
from typing import Final, final

from attrs import frozen
from cattrs import Converter

from resonate_trio._errors import DecodingError, RemoteError

from ._error_classes import OF_PYTHON, OF_THIS_PACKAGE, OF_TRIO, ErrorClasses
from ._error_state import Json, build, set_attributes, set_fact
from ._error_writing import OURS, THIS_PACKAGE, shortened
from ._hops import Hop, ReadNote, told

# Other clients may know no limit, but Python has one.
_MAX_DEPTH: Final = 100


def error_from_json(data: object, id: str, classes: ErrorClasses, converter: Converter) -> Exception:
    """Return the exception that `data` describes. Whatever it is, this does not fail.

    Args:
        data: the value of a rejected promise, JSON data.
        id: the promise.
        classes: those that the application has registered.
        converter: reads the attributes of these.
    """
    try:
        return _Reader(id, classes, converter).read(data, 0)
    except RecursionError:
        message = "(what is stored about it is nested too deep)"
        return RemoteError(id, type_name="Error", message=message, data=data)


@final
@frozen
class _Reader:
    id: str
    classes: ErrorClasses
    converter: Converter

    def read(self, data: object, depth: int) -> Exception:
        """Return one exception of the tree, with what is below it. `depth` is how much is above it."""
        hops = self._hops(data)
        if not isinstance(data, dict):
            error: Exception = RemoteError(self.id, type_name="Error", message=_told(data), data=data)
            self._add_notes(error, [], hops)
            return error
        ours = _ours(data)
        notes = _strings(ours.get("notes"))
        error = self._built(data, ours, hops, notes, depth)
        self._add_notes(error, notes, hops)
        for key, attribute in (("cause", "__cause__"), ("context", "__context__")):
            above = ours.get(key)
            if isinstance(above, dict) and depth < _MAX_DEPTH:
                set_fact(error, attribute, self.read(above, depth + 1))
        return error

    def _built(self, data: Json, ours: Json, hops: list[Hop], notes: list[str], depth: int) -> Exception:
        members = self._members(data, depth)
        cls = self.classes.named(data.get("name"))
        # Without our part, another client has written it, to whom the name has to mean what it means here.
        is_meant = ours.get("registered") is True or OURS not in data
        if cls is not None and is_meant and issubclass(cls, ExceptionGroup) == bool(members):
            try:
                return self._registered(cls, data, ours, members)
            except Exception as error:  # whatever the class does when it is built
                reason = f"{type(error).__name__}: {error}" if not isinstance(error, DecodingError) else str(error)
                notes.append(f"({cls.__qualname__} is registered here, but could not be built again: {reason})")
        if members:
            message = data.get("message")
            return ExceptionGroup(message if isinstance(message, str) else "", members)
        return _known(data, ours) or _own(data, ours) or _remote(data, ours, hops)

    def _registered(self, cls: type[Exception], data: Json, ours: Json, members: list[Exception]) -> Exception:
        message = data.get("message")
        text = message if isinstance(message, str) else ""
        state = ours or {"args": [text]}
        return build(cls, state, (text, members), self.converter)

    def _members(self, data: Json, depth: int) -> list[Exception]:
        members = data.get("errors")
        if data.get("__type") != "aggregate_error" or not isinstance(members, list) or depth >= _MAX_DEPTH:
            return []
        return [self.read(member, depth + 1) for member in members]

    def _hops(self, data: object) -> list[Hop]:
        stored = _ours(data).get("hops")
        hops = [
            Hop(_text(hop.get("id")) or self.id, _text(hop.get("worker")), _text(hop.get("traceback")) or "")
            for hop in (stored if isinstance(stored, list) else [])
            if isinstance(hop, dict)
        ]
        if hops:
            return hops
        stack = data.get("stack") if isinstance(data, dict) and OURS not in data else None
        return [Hop(self.id, trace=_text(stack) or "")]

    def _add_notes(self, error: Exception, notes: list[str], hops: list[Hop]) -> None:
        set_fact(error, "__notes__", [*notes, ReadNote.of(hops)])


def _known(data: Json, ours: Json) -> Exception | None:
    name, message, module = data.get("name"), data.get("message"), ours.get("module", builtins.__name__)
    table = OF_PYTHON if module == builtins.__name__ else OF_TRIO if module == "trio" else {}
    cls = table.get(name) if isinstance(name, str) else None
    if cls is None:
        return None
    args = ours.get("args")
    if not isinstance(args, list):
        args = [message] if isinstance(message, str) else []
    try:
        error = cls(*args)
        set_attributes(error, _object(ours.get("attributes")))
    except Exception:  # some take other arguments than it was written with
        return None
    return error


def _own(data: Json, ours: Json) -> Exception | None:
    name, message, attributes = data.get("name"), data.get("message"), ours.get("attributes")
    cls = OF_THIS_PACKAGE.get(name) if isinstance(name, str) and ours.get("module") == THIS_PACKAGE else None
    if cls is None or not isinstance(attributes, dict):
        return None
    error = cls.__new__(cls)
    error.args = (message if isinstance(message, str) else "",)
    facts = {key: tuple(value) if isinstance(value, list) else value for key, value in attributes.items()}
    set_attributes(error, facts)
    return error


def _remote(data: Json, ours: Json, hops: list[Hop]) -> RemoteError:
    stack, source = _text(data.get("stack")), hops[-1]
    has_trace = any(hop.trace for hop in hops)
    return RemoteError(
        source.id,
        type_name=_text(data.get("name")) or "Error",
        message=message if isinstance(message := data.get("message"), str) else _told(data),
        worker=source.worker,
        attributes=_object(ours.get("attributes")),
        remote_traceback=stack or (told(hops) if has_trace else None),
        data=data,
    )


def _told(data: object) -> str:
    """Return what there is to tell of an error that is written in no form that we know."""
    if data is None:
        return "(nothing is stored about it)"
    return data if isinstance(data, str) else shortened(repr(data))


def _ours(data: object) -> Json:
    return _object(data.get(OURS)) if isinstance(data, dict) else {}


def _object(data: object) -> Json:
    return data if isinstance(data, dict) else {}


def _text(data: object) -> str | None:
    return data if isinstance(data, str) and data else None


def _strings(items: object) -> list[str]:
    return [item for item in items if isinstance(item, str)] if isinstance(items, list) else []
