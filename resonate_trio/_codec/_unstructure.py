"""Python values to JSON data, by their type at run time.

Written by hand instead of with a converter for two reasons: the error for a value that cannot be encoded has
to name the path to it, and equal values must give equal data in every process, because replay compares it.
"""

import dataclasses
import enum
import json
import math
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final
from uuid import UUID

import attrs

from resonate_trio._errors import EncodingError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Write: TypeAlias = Callable[[Any], object]

_MAX_EXACT: Final = timedelta(seconds=2**33)
"""From here on, neighbouring floats of seconds are more than a microsecond apart (IEEE 754: 2**(33 - 52))."""


@final
class _UnencodableError(Exception):
    """Somewhere below, a value cannot be encoded. Each level it passes adds its part of the path."""

    def __init__(self, value_type: type, reason: str | None = None) -> None:
        super().__init__(value_type, reason)
        self.value_type = value_type
        self.reason = reason
        self.path: list[str] = []


def unstructure(value: object, path: str) -> object:
    """Return `value` as JSON data: None, bool, int, float, str, list, and dict with str keys.

    Raises:
        EncodingError: something in it cannot be encoded; `path` names `value` in the message.
    """
    try:
        return _unstructure(value)
    except _UnencodableError as error:
        full_path = path + "".join(reversed(error.path))
        raise EncodingError(full_path, error.value_type, error.reason) from None
    except RecursionError:
        raise EncodingError(path, type(value), "is nested too deep, or contains itself") from None


def _unstructure(value: object) -> object:
    cls = type(value)
    if cls is str or cls is int or cls is bool or value is None:
        return value
    write = _EXACT.get(cls) or _find_write(cls)
    if write is None:
        raise _UnencodableError(cls)
    return write(value)


def _find_write(cls: type) -> _Write | None:
    if attrs.has(cls):
        return _attrs_instance
    if dataclasses.is_dataclass(cls):
        return _dataclass_instance
    return next((write for base, write in _BY_BASE if issubclass(cls, base)), None)


# --- Scalars --------------------------------------------------------------------------------------


def _float(value: float) -> float:
    if not math.isfinite(value):
        raise _UnencodableError(type(value), f"{value} cannot be encoded: JSON has no such number")
    return value


def _timedelta(value: timedelta) -> float:
    seconds, rest = divmod(value, timedelta(seconds=1))
    if not rest:
        return seconds
    if abs(value) >= _MAX_EXACT:
        raise _UnencodableError(timedelta, f"{value} is too long to keep its microseconds")
    return value.total_seconds()


def _bytes(value: bytes | bytearray) -> str:
    return b64encode(value).decode("ascii")


def _isoformat(value: date | time) -> str:
    return value.isoformat()


def _enum(value: enum.Enum) -> object:
    return _unstructure(value.value)


def _unchanged(value: object) -> object:
    return value


# --- Collections ----------------------------------------------------------------------------------


def _list(value: Iterable[object]) -> list[object]:
    data: list[object] = []
    for index, item in enumerate(value):
        try:
            data.append(_unstructure(item))
        except _UnencodableError as error:
            error.path.append(f"[{index}]")
            raise
    return data


def _set(value: Iterable[object]) -> list[object]:
    """Write a set in sorted order: its own differs from process to process."""
    return sorted(_list(value), key=lambda item: json.dumps(item, sort_keys=True))


def _mapping(value: Mapping[object, object]) -> dict[str, object]:
    data: dict[str, object] = {}
    for key, item in value.items():
        name = key if type(key) is str else _key(key)
        if name in data:
            raise _UnencodableError(type(value), f"has two keys that JSON both writes as {name!r}")
        try:
            data[name] = _unstructure(item)
        except _UnencodableError as error:
            error.path.append(f"[{key!r}]")
            raise
    return data


def _key(key: object) -> str:
    """Write a key that may be no str: any other scalar becomes its JSON text."""
    data = _unstructure(key)
    if isinstance(data, list | dict):
        raise _UnencodableError(type(key), f"the key {key!r} cannot be encoded: it is no scalar")
    return data if isinstance(data, str) else json.dumps(data)


# --- Records --------------------------------------------------------------------------------------


def _attrs_instance(value: attrs.AttrsInstance) -> dict[str, object]:
    return _fields(value, [a.name for a in attrs.fields(type(value)) if a.init])


def _dataclass_instance(value: "DataclassInstance") -> dict[str, object]:
    return _fields(value, [field.name for field in dataclasses.fields(value) if field.init])


def _fields(value: object, names: Iterable[str]) -> dict[str, object]:
    data: dict[str, object] = {}
    for name in names:
        try:
            data[name] = _unstructure(getattr(value, name))
        except _UnencodableError as error:
            error.path.append(f".{name}")
            raise
    return data


_EXACT: Final[Mapping[type, _Write]] = {list: _list, tuple: _list, dict: _mapping, float: _float}
# The first that matches counts: an enum may be of any other base, and a datetime is a date.
_BY_BASE: Final[tuple[tuple[type, _Write], ...]] = (
    (enum.Enum, _enum),
    (str, _unchanged),
    (int, _unchanged),
    (float, _float),
    (bytes, _bytes),
    (bytearray, _bytes),
    (datetime, _isoformat),
    (date, _isoformat),
    (time, _isoformat),
    (timedelta, _timedelta),
    (Decimal, str),
    (UUID, str),
    (PurePath, str),
    (list, _list),
    (tuple, _list),
    (deque, _list),
    (set, _set),
    (frozenset, _set),
    (Mapping, _mapping),
)
