"""How unions are read: which member is meant is told by the data alone.

Members are tried in the order of the annotation, the first that fits counts, but a class whose fields are
exactly the names in the data goes before one with more or fewer, and `float` goes last, because it takes
integers too. Two members that JSON writes alike, as `date | str`, are a matter of that order.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from types import NoneType, UnionType
from typing import Any, Union, cast, final, get_args, get_origin

from attrs import frozen
from cattrs import Converter

from ._reading import Hook, MismatchError, explain, named
from ._records import field_types, is_class, is_typed_dict


@final
@frozen
class _Member:
    """A member of a union. `fields` are its fields and their types if it is a record, else None."""

    kind: Any
    read: Hook
    fields: Mapping[str, object] | None

    @property
    def name(self) -> str:
        """What messages call it."""
        return cast(str, getattr(self.kind, "__name__", None) or str(self.kind))

    def distance(self, data: Mapping[str, object]) -> int:
        """Return how many names only the record has, or only the data."""
        return 0 if self.fields is None else len(self.fields.keys() ^ data.keys())

    def is_twin_of(self, other: "_Member") -> bool:
        """Tell whether both are records that no data can tell apart."""
        return (
            self.fields is not None and self.fields == other.fields and get_args(self.kind) == get_args(other.kind)
        )


def is_union(kind: object) -> bool:
    """Tell whether `kind` is a union, an Optional included."""
    return get_origin(kind) in {Union, UnionType}


def union_hook(kind: object, converter: Converter) -> Hook:
    """Return the hook that reads a union."""
    kinds = sorted(get_args(kind), key=lambda member: member is float)
    members = [_member(kind, converter) for kind in kinds]
    values = [member for member in members if member.kind is not NoneType]
    if len(values) == 1:
        return _optional_hook(values[0])
    for first, second in combinations(members, 2):
        if first.is_twin_of(second):
            raise MismatchError(
                f"{first.name} and {second.name} have the same fields, so data cannot tell which is meant: "
                f'give each a field like kind: Literal["{first.name.lower()}"]'
            )
    return lambda data, _: _read_first(data, members)


def _member(kind: object, converter: Converter) -> _Member:
    is_record = is_class(kind) or is_typed_dict(kind)
    hook = converter.get_structure_hook(cast(Any, kind))
    return _Member(kind, hook, field_types(kind) if is_record else None)


def _optional_hook(member: _Member) -> Hook:
    return lambda data, _: None if data is None else member.read(data, member.kind)


def _read_first(data: object, members: Sequence[_Member]) -> object:
    if isinstance(data, dict):
        members = sorted(members, key=lambda member: member.distance(data))
    reasons: list[str] = []
    for member in members:
        try:
            return member.read(data, member.kind)
        except Exception as error:
            path, reason = explain(error)
            reasons.append(f"{member.name}{path}: {reason}")
    raise MismatchError(f"{named(data)} fits no member of the union ({'; '.join(reasons)})")
