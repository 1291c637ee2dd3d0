"""The one converter between records and JSON, and the functions that read and write whole envelopes.

Everything is checked on the way in (types are never coerced); cattrs builds one function a class, at its
first use.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final, TypeVar, cast, get_args, get_origin

import attrs
import orjson
from cattrs import BaseValidationError, Converter
from cattrs.errors import AttributeValidationNote, IterableValidationNote
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from ._envelope import PROTOCOL_VERSION, Envelope, Head, Reply, ReplyHead, RequestData
from ._errors import ProtocolError, quoted
from ._ids import check_id
from ._records import EMPTY, MAX_MILLIS, Id, Millis, PositiveMillis, PromiseState, TaskState, Value, Version
from ._replies import BatchReply
from ._requests import REQUESTS, Batch, BatchedRequest, Limit, Request, ScheduleId, SettledState

MAX_LIMIT: Final = 1000
BATCHED: Final = frozenset(cls.kind for cls in get_args(BatchedRequest))
T = TypeVar("T")


def _wire_name(attribute: "attrs.Attribute[object]") -> str:
    explicit = attribute.metadata.get("wire")
    if explicit is not None:
        return str(explicit)
    return _camel_case(attribute.name)


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


# --- Scalars: never coerced -----------------------------------------------------------------------


def _string(value: object, _: object = None) -> str:
    if type(value) is not str:
        raise TypeError(f"expected a string, got {named(value)}")
    return value


def _integer(low: int, high: int) -> Callable[[object, object], int]:
    def check(value: object, _: object) -> int:
        if type(value) is not int:
            raise TypeError(f"expected an integer, got {named(value)}")
        if not low <= value <= high:
            raise ValueError(f"expected an integer from {low} to {high}, got {value}")
        return value

    return check


def _boolean(value: object, _: object) -> bool:
    if type(value) is not bool:
        raise TypeError(f"expected a boolean, got {named(value)}")
    return value


def _id(value: object, _: object) -> str:
    return check_id(_string(value))


def _schedule_id(value: object, _: object) -> str:
    id = check_id(_string(value))
    if ":" in id:
        raise ValueError("must not contain ':'")
    return id


def _member(cls: type[StrEnum], *, but: Collection[StrEnum] = ()) -> Callable[[object, object], StrEnum]:
    members = {member.value: member for member in cls if member not in but}

    def check(value: object, _: object) -> StrEnum:
        member = members.get(value) if type(value) is str else None
        if member is None:
            raise ValueError(f"expected one of {', '.join(members)}, got {named(value)}")
        return member

    return check


def named(value: object) -> str:
    """Describe a value of JSON in a message: short ones literally, others by their type."""
    names = {dict: "an object", list: "an array", type(None): "null", bool: "a boolean"}
    return names.get(type(value)) or repr(value)[:80]


# --- Records --------------------------------------------------------------------------------------


def _structure_attrs(cls: type) -> Callable[[object, object], object]:
    overrides = {a.name: override(rename=_wire_name(a)) for a in attrs.fields(cls)}
    build: Callable[[object, object], object] = make_dict_structure_fn(cls, converter, **overrides)  # type: ignore[arg-type,assignment]
    required = [_wire_name(a) for a in attrs.fields(cls) if a.metadata.get("required")]

    def structure(value: object, _: object) -> object:
        if type(value) is not dict:
            raise TypeError(f"expected an object, got {named(value)}")
        for name in required:
            if name not in value:
                raise KeyError(name)
        return build(value, cls)

    return structure


def _unstructure_attrs(cls: type) -> Callable[[object], dict[str, object]]:
    overrides = {
        a.name: override(rename=_wire_name(a), omit_if_default=_is_optional(a)) for a in attrs.fields(cls)
    }
    return make_dict_unstructure_fn(cls, converter, **overrides)  # type: ignore[arg-type]


def _is_optional(attribute: "attrs.Attribute[object]") -> bool:
    """Tell whether a field is left out where it has its default."""
    is_flag = any(attribute.default is value for value in (None, True, False))
    return is_flag or "optional" in attribute.metadata


def _structure_value(value: object, _: object) -> Value:
    if value is None or value == {}:
        return EMPTY
    return cast(Value, _value_fields(value, Value))


def _structure_mapping(value: object, _: object) -> Mapping[str, str]:
    if type(value) is not dict:
        raise TypeError(f"expected an object, got {named(value)}")
    for key, item in value.items():
        if type(item) is not str:
            raise TypeError(f"expected a string at {quoted(key)}, got {named(item)}")
    return cast(Mapping[str, str], value)


def _structure_sequence(kind: object) -> Callable[[object, object], Sequence[object]]:
    (item_type,) = get_args(kind)
    structure_item = converter.get_structure_hook(item_type)

    def structure(value: object, _: object) -> Sequence[object]:
        if type(value) is not list:
            raise TypeError(f"expected an array, got {named(value)}")
        items = []
        for index, item in enumerate(value):
            try:
                items.append(structure_item(item, item_type))
            except Exception as error:
                error.add_note(cast(str, IterableValidationNote(f"at index {index}", index, item_type)))
                raise
        return items

    return structure


def _structure_envelope(kind: object) -> Callable[[object, object], Envelope[RequestData]]:
    (data_type,) = get_args(kind)
    allowed = get_args(data_type) or (data_type,)
    classes = {cls.kind: cls for cls in allowed}

    def structure(value: object, _: object) -> Envelope[RequestData]:
        if type(value) is not dict:
            raise TypeError(f"expected an object, got {named(value)}")
        kind = value.get("kind")
        cls = classes.get(kind) if type(kind) is str else None
        if cls is None:
            raise ValueError(f"expected the kind {' or '.join(classes)}, got {named(kind)}")
        return Envelope(_part(value, "head", Head), _part(value, "data", cls))

    return structure


def _part(envelope: Mapping[str, object], name: str, cls: type[T]) -> T:
    if name not in envelope:
        raise KeyError(name)
    try:
        return cast(T, converter.get_structure_hook(cls)(envelope[name], cls))
    except Exception as error:
        error.add_note(cast(str, AttributeValidationNote(f"in {name}", name, cls)))
        raise


def _unstructure_envelope(envelope: Envelope[RequestData]) -> dict[str, object]:
    return {
        "kind": envelope.data.kind,
        "head": converter.unstructure(envelope.head),
        "data": converter.unstructure(envelope.data),
    }


def _structure_batched(value: object, _: object) -> Envelope[Request] | Reply:
    """Read a request of a batch. What is none has its refusal in its place, so that it spoils no other."""
    try:
        envelope = request_from_wire(value, BATCHED)
    except ProtocolError as error:
        return Reply(error.kind, ReplyHead(error.corr_id, 400), error.message)
    return envelope


def _structure_reply(value: object, _: object) -> Reply:
    """Read a reply: its data is of the class that its kind says, that of a refusal a string."""
    if type(value) is not dict:
        raise TypeError(f"expected an object, got {named(value)}")
    kind = _string(value.get("kind"))
    head = _part(value, "head", ReplyHead)
    if head.status >= 400:
        return Reply(kind, head, _string(value.get("data")))
    cls = REQUESTS.get(kind)
    if cls is None:
        raise ValueError(f"unknown kind {kind!r}")
    return Reply(kind, head, _part(value, "data", cls.reply))


def _unstructure_reply(reply: Reply) -> dict[str, object]:
    return {
        "kind": reply.kind,
        "head": {"corrId": reply.head.corr_id, "status": reply.head.status, "version": reply.head.version},
        "data": reply.data if reply.is_error else converter.unstructure(reply.data),
    }


def _origin(kind: object) -> object:
    return get_origin(kind)


def _is_exactly(annotated: object) -> Callable[[object], bool]:
    return lambda kind: _origin(kind) is Annotated and kind == annotated


converter = Converter(detailed_validation=True)
converter.register_structure_hook_factory(attrs.has, _structure_attrs)
converter.register_unstructure_hook_factory(attrs.has, _unstructure_attrs)
converter.register_structure_hook(str, _string)
converter.register_structure_hook(int, _integer(-MAX_MILLIS - 1, MAX_MILLIS))
converter.register_structure_hook(bool, _boolean)
converter.register_structure_hook_func(lambda t: _origin(t) is Mapping, _structure_mapping)
converter.register_structure_hook_factory(lambda t: _origin(t) is Sequence, _structure_sequence)
converter.register_structure_hook_factory(lambda t: _origin(t) is Envelope, _structure_envelope)
converter.register_unstructure_hook_func(lambda t: (_origin(t) or t) is Envelope, _unstructure_envelope)
converter.register_structure_hook_func(lambda t: t == Envelope[BatchedRequest] | Reply, _structure_batched)
converter.register_structure_hook(Reply, _structure_reply)
converter.register_unstructure_hook(Reply, _unstructure_reply)
converter.register_structure_hook(PromiseState, _member(PromiseState))
converter.register_structure_hook(TaskState, _member(TaskState))
_SCALARS: Final = {
    Id: _id,
    ScheduleId: _schedule_id,
    Millis: _integer(0, MAX_MILLIS),
    PositiveMillis: _integer(1, MAX_MILLIS),
    Version: _integer(0, MAX_MILLIS),
    Limit: _integer(1, MAX_LIMIT),
    SettledState: _member(PromiseState, but={PromiseState.PENDING, PromiseState.TIMEDOUT}),
}
for _annotated, _hook in _SCALARS.items():
    converter.register_structure_hook_func(_is_exactly(_annotated), _hook)
_value_fields = _structure_attrs(Value)
converter.register_structure_hook(Value, _structure_value)


# --- Errors ---------------------------------------------------------------------------------------


def describe(error: BaseException, path: str) -> str:
    """Say in one line what is wrong, and where: the first error that was found, with its path."""
    path += _location(error)
    if isinstance(error, BaseValidationError):
        return describe(error.exceptions[0], path)
    if isinstance(error, KeyError):
        field = f".{error.args[0]}"
        return "missing field " + (path.removesuffix(field) + field).removeprefix(".")
    return f"{path.removeprefix('.') or 'the envelope'}: {error}"


def _location(error: BaseException) -> str:
    parts: list[str] = []
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            parts.append("." + _camel_case(note.name))
        elif isinstance(note, IterableValidationNote):
            parts.append(f"[{note.index}]")
    return "".join(reversed(parts))


# --- Whole envelopes ------------------------------------------------------------------------------


def decode_request(body: bytes) -> Envelope[Request]:
    """Read a request.

    Raises:
        ProtocolError: it is no request of this protocol (status 400). What could be read of kind and corrId
            is in the error, to be echoed.
    """
    try:
        wire = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"the body is no JSON: {error}") from None
    return request_from_wire(wire)


def request_from_wire(wire: object, kinds: Collection[str] | None = None) -> Envelope[Request]:
    """Read a request that is already decoded from JSON, of one of these kinds. Raises as `decode_request`."""
    if type(wire) is not dict:
        raise ProtocolError(f"the envelope: expected an object, got {named(wire)}")
    kind = wire.get("kind")
    head = wire.get("head")
    corr_id = head.get("corrId") if type(head) is dict else None
    known = {"kind": kind if type(kind) is str else "", "corr_id": corr_id if type(corr_id) is str else ""}
    cls = REQUESTS.get(kind) if type(kind) is str else None
    if cls is None:
        raise ProtocolError(
            f"kind: unknown kind {named(kind)}" if "kind" in wire else "missing field kind", **known
        )
    if kinds is not None and kind not in kinds:
        raise ProtocolError(f"kind: {named(kind)} cannot be part of a batch", **known)
    try:
        envelope = Envelope(_part(wire, "head", Head), _part(wire, "data", cls))
    except Exception as error:
        raise ProtocolError(describe(error, ""), **known) from error
    if envelope.head.version != PROTOCOL_VERSION:
        raise ProtocolError(
            f"head.version: {quoted(envelope.head.version)} is not supported, this is {PROTOCOL_VERSION}",
            **known,
        )
    return envelope


def encode_request(envelope: Envelope[Request]) -> bytes:
    """Write a request."""
    return orjson.dumps(_unstructure_envelope(envelope))


def encode_reply(reply: Reply) -> bytes:
    """Write a reply."""
    return orjson.dumps(_unstructure_reply(reply))


def decode_reply(body: bytes, request: Envelope[Request]) -> Reply:
    """Read the reply to `request`.

    Raises:
        ProtocolError: it is no reply, or the reply to something else.
    """
    try:
        wire = orjson.loads(body)
        reply = _structure_reply(wire, Reply)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"the reply is no JSON: {error}") from None
    except Exception as error:
        raise ProtocolError(f"the reply to {request.kind}: {describe(error, '')}") from error
    if reply.is_error and not reply.head.corr_id:
        # The server refused what it could not read, or would not: it is too large, for one.
        return Reply(request.kind, attrs.evolve(reply.head, corr_id=request.head.corr_id), reply.data)
    _check_answers(reply, request)
    return reply


def _check_answers(reply: Reply, request: Envelope[Request] | Reply) -> None:
    """Raise ProtocolError unless this is the reply to that request, and has one to each that is part of it."""
    if reply.kind != request.kind or reply.head.corr_id != request.head.corr_id:
        raise ProtocolError(f"the reply to {request.kind} belongs to another request ({reply.kind})")
    if isinstance(reply.data, BatchReply) and isinstance(request.data, Batch):
        asked, answered = request.data.requests, reply.data.responses
        if len(asked) != len(answered):
            raise ProtocolError(f"the reply to a batch of {len(asked)} requests has {len(answered)} responses")
        for response, batched in zip(answered, asked, strict=True):
            _check_answers(response, batched)
