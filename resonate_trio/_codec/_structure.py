"""JSON data to Python values, by annotation.

cattrs builds the functions that read classes; what is registered here makes them strict. A value is never
coerced, with one exception: an integer is accepted for a float. A hook that does not like its data raises
MismatchError; notes collected on the way up, cattrs' own and ours, are the path to the place.
"""

import enum
import inspect
from types import NoneType
from typing import Any, Final, TypeVar, cast

from cattrs import Converter

from resonate_trio._errors import DecodingError

from ._collections import (
    array_hook,
    fixed_tuple_hook,
    is_array,
    is_fixed_tuple,
    is_named_tuple,
    is_object,
    named_tuple_hook,
    object_hook,
)
from ._reading import explain
from ._records import class_hook, is_class, is_typed_dict, typed_dict_hook
from ._scalars import SCALARS, is_literal, read_enum, read_literal
from ._unions import is_union, union_hook

_ANYTHING: Final[tuple[object, ...]] = (object, Any, inspect.Parameter.empty)


def make_converter() -> Converter:
    """Return a converter that reads everything `unstructure` writes."""
    converter = Converter()
    for cls, hook in SCALARS.items():
        converter.register_structure_hook(cls, hook)
    converter.register_structure_hook(enum.Enum, read_enum)
    converter.register_structure_hook_func(_is_anything, lambda data, _: data)
    converter.register_structure_hook_func(is_literal, read_literal)
    for predicate, factory in (
        (is_class, class_hook),
        (is_typed_dict, typed_dict_hook),
        (is_array, array_hook),
        (is_fixed_tuple, fixed_tuple_hook),
        (is_named_tuple, named_tuple_hook),
        (is_object, object_hook),
        (is_union, union_hook),
    ):
        converter.register_structure_hook_factory(predicate, factory)
    return converter


def _is_anything(kind: object) -> bool:
    return isinstance(kind, TypeVar) or any(kind is anything for anything in _ANYTHING)


def structure(converter: Converter, data: object, kind: object, where: str) -> object:
    """Return JSON data as a value of the annotation `kind`.

    Raises:
        DecodingError: it does not fit; `where` names the whole in the message.
    """
    if _is_anything(kind):
        return data
    try:
        return converter.structure(data, cast("type[object]", NoneType if kind is None else kind))
    except Exception as error:  # a class that is built may raise anything
        path, reason = explain(error)
        raise DecodingError(where + path, reason) from error
