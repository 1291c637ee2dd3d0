"""How records are read: attrs classes, dataclasses and TypedDicts, from objects."""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast, get_origin, get_type_hints, is_typeddict

import attrs
from cattrs import Converter

from ._reading import Hook, expect


def is_class(kind: object) -> bool:
    """Tell whether `kind` is an attrs class or a dataclass, generic or not."""
    cls = get_origin(kind) or kind
    return isinstance(cls, type) and (attrs.has(cls) or dataclasses.is_dataclass(cls))


def is_typed_dict(kind: object) -> bool:
    """Tell whether `kind` is a TypedDict, generic or not."""
    return is_typeddict(get_origin(kind) or kind)


def field_types(kind: object) -> Mapping[str, object]:
    """Return the fields of a record, by the names they have in JSON, with their types."""
    cls: Any = get_origin(kind) or kind
    hints = get_type_hints(cls)
    if is_typeddict(cls):
        return hints
    fields: tuple[Any, ...] = attrs.fields(cls) if attrs.has(cls) else dataclasses.fields(cls)
    return {field.name: hints.get(field.name, object) for field in fields if field.init}


def class_hook(kind: object, converter: Converter) -> Hook:
    """Return the hook that reads an attrs class or a dataclass. Fields that it does not know are ignored."""
    build = converter.gen_structure_attrs_fromdict(_parametrized(kind))
    return lambda data, _: build(expect(dict, data), kind)


def typed_dict_hook(kind: object, converter: Converter) -> Hook:
    """Return the hook that reads a TypedDict."""
    build = converter.gen_structure_typeddict(_parametrized(kind))
    return lambda data, _: build(expect(dict, data), kind)


def _parametrized(kind: object) -> type[Any]:
    """Return a generic class that was named without arguments with `object` for each."""
    cls = cast(Any, kind)
    parameters = getattr(cls, "__parameters__", ())
    return cast("type[Any]", cls[(object,) * len(parameters)] if parameters else cls)
