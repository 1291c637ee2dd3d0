"""How scalars are read: what JSON has itself, what travels as text or as a number, enums and literals."""

import binascii
import enum
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import PurePath
from typing import Any, Final, Literal, get_args, get_origin
from uuid import UUID

from ._reading import Hook, MismatchError, expect, named
from ._unstructure import unstructure


def read_enum(data: object, kind: type[enum.Enum]) -> enum.Enum:
    """Read the member of an enum whose value is written as `data`."""
    for member in kind:
        if _is_same(unstructure(member.value, ""), data):
            return member
    if issubclass(kind, enum.Flag):
        return _combined(expect(int, data), kind)
    values = ", ".join(repr(unstructure(member.value, "")) for member in kind)
    raise MismatchError(f"expected a value of {kind.__name__} ({values}), got {named(data)}")


def _combined(data: int, kind: type[enum.Flag]) -> enum.Flag:
    try:
        return kind(data)
    except ValueError:
        raise MismatchError(f"expected flags of {kind.__name__}, got {data}") from None


def is_literal(kind: object) -> bool:
    """Tell whether `kind` is a Literal."""
    origin: object = get_origin(kind)
    return origin is Literal


def read_literal(data: object, kind: object) -> object:
    """Read a Literal: the one of its values that is written as `data`."""
    for value in get_args(kind):
        if _is_same(unstructure(value, ""), data):
            return value
    values = ", ".join(repr(value) for value in get_args(kind))
    raise MismatchError(f"expected one of {values}, got {named(data)}")


def _is_same(left: object, right: object) -> bool:
    return type(left) is type(right) and left == right


def _string(data: object, kind: type[str]) -> str:
    text = expect(str, data)
    return text if kind is str else kind(text)


def _integer(data: object, kind: type[int]) -> int:
    number = expect(int, data)
    return number if kind is int else kind(number)


def _boolean(data: object, _: object) -> bool:
    return expect(bool, data)


def _none(data: object, _: object) -> None:
    expect(type(None), data)


def _number(data: object, kind: type[float]) -> float:
    """Read a float. An integer is accepted: 2.0 is the number 2 to most writers of JSON."""
    if type(data) is not float and type(data) is not int:
        raise MismatchError(f"expected a number, got {named(data)}")
    try:
        return kind(data)
    except OverflowError:
        raise MismatchError("the integer is too large for a float") from None


def _seconds(data: object, _: object) -> timedelta:
    if type(data) is not float and type(data) is not int:
        raise MismatchError(f"expected a number of seconds, got {named(data)}")
    try:
        return timedelta(seconds=data)
    except OverflowError:
        raise MismatchError(f"{named(data)} seconds are too long for a timedelta") from None


def _base64(data: object, kind: type[bytes | bytearray]) -> bytes | bytearray:
    text = expect(str, data)
    try:
        return kind(b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise MismatchError(f"expected base64, got {named(data)}") from None


def _datetime(data: object, kind: type[datetime]) -> datetime:
    """Read an instant in ISO 8601. A date alone is none, though Python would take it for its midnight."""
    text = expect(str, data)
    try:
        if len(text) > len("2026-01-31"):
            return kind.fromisoformat(text)
    except ValueError:
        pass
    raise MismatchError(f"expected a date with a time in ISO 8601, got {named(data)}")


def _parsed(what: str, parse: Callable[[Any, str], object]) -> Hook:
    def read(data: object, kind: type) -> object:
        text = expect(str, data)
        try:
            return parse(kind, text)
        except (ValueError, InvalidOperation):
            raise MismatchError(f"expected {what}, got {named(data)}") from None

    return read


def _or_enum(hook: Hook) -> Hook:
    """Let a hook serve enums that derive from its type (as `class Color(str, Enum)`) as what they are."""

    def read(data: object, kind: type) -> object:
        return read_enum(data, kind) if issubclass(kind, enum.Enum) else hook(data, kind)

    return read


SCALARS: Final[Mapping[type, Hook]] = {
    cls: _or_enum(hook)
    for cls, hook in (
        (str, _string),
        (int, _integer),
        (bool, _boolean),
        (float, _number),
        (type(None), _none),
        (bytes, _base64),
        (bytearray, _base64),
        (datetime, _datetime),
        (date, _parsed("a date in ISO 8601", lambda cls, text: cls.fromisoformat(text))),
        (time, _parsed("a time in ISO 8601", lambda cls, text: cls.fromisoformat(text))),
        (timedelta, _seconds),
        (Decimal, _parsed("a decimal number in a string", lambda cls, text: cls(text))),
        (UUID, _parsed("a UUID", lambda cls, text: cls(text))),
        (PurePath, _parsed("a path", lambda cls, text: cls(text))),
    )
}
"""By the class they read; each also serves its subclasses."""
