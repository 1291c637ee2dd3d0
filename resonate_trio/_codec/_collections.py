"""How collections are read: arrays as lists, tuples and sets, objects as mappings."""

import json
from collections import OrderedDict, deque
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
    Set as AbstractSet,
)
from typing import Any, Final, cast, get_args, get_origin, get_type_hints

from cattrs import Converter

from ._reading import Hook, MismatchError, add_step, arguments, expect

_ARRAYS: Final[Mapping[object, Callable[[list[object]], object]]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    deque: deque,
    Iterable: list,
    Collection: list,
    Sequence: list,
    MutableSequence: list,
    AbstractSet: frozenset,
    MutableSet: set,
}
_OBJECTS: Final[Mapping[object, Callable[[dict[object, object]], object]]] = {
    dict: dict,
    Mapping: dict,
    MutableMapping: dict,
    OrderedDict: OrderedDict,
}


def is_array(kind: object) -> bool:
    """Tell whether `kind` is a collection of any number of items of one type."""
    return _bare(kind) in _ARRAYS and not is_fixed_tuple(kind)


def is_fixed_tuple(kind: object) -> bool:
    """Tell whether `kind` is a tuple with a type for each place, as `tuple[int, str]`."""
    args = get_args(kind)
    return get_origin(kind) is tuple and (not args or args[-1] is not Ellipsis)


def is_named_tuple(kind: object) -> bool:
    """Tell whether `kind` is a NamedTuple, or made by `collections.namedtuple`."""
    cls = _bare(kind)
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def is_object(kind: object) -> bool:
    """Tell whether `kind` is a mapping."""
    return _bare(kind) in _OBJECTS


def _bare(kind: object) -> object:
    return get_origin(kind) or kind


def array_hook(kind: object, converter: Converter) -> Hook:
    """Return the hook that reads a collection of items of one type."""
    make = _ARRAYS[_bare(kind)]
    item_type = (*arguments(kind), object)[0]
    read_item = converter.get_structure_hook(item_type)

    def read(data: object, _: object) -> object:
        items = []
        for index, item in enumerate(expect(list, data)):
            try:
                items.append(read_item(item, item_type))
            except Exception as error:
                add_step(error, index)
                raise
        return make(items)

    return read


def fixed_tuple_hook(kind: object, converter: Converter) -> Hook:
    """Return the hook that reads a tuple with a type for each place."""
    return _places_hook(arguments(kind), 0, tuple, converter)


def named_tuple_hook(kind: object, converter: Converter) -> Hook:
    """Return the hook that reads a NamedTuple. Places at the end that have a default may be missing."""
    cls = cast(Any, _bare(kind))
    hints = get_type_hints(cls)
    types = tuple(hints.get(name, object) for name in cls._fields)
    return _places_hook(types, len(cls._field_defaults), lambda items: cls(*items), converter)


def _places_hook(
    types: Sequence[Any], optional: int, make: Callable[[list[object]], object], converter: Converter
) -> Hook:
    places = [(converter.get_structure_hook(place_type), place_type) for place_type in types]

    def read(data: object, _: object) -> object:
        array = expect(list, data)
        if not len(places) - optional <= len(array) <= len(places):
            raise MismatchError(f"expected an array of length {len(places)}, got one of length {len(array)}")
        items = []
        for index, (item, (read_item, item_type)) in enumerate(zip(array, places, strict=False)):
            try:
                items.append(read_item(item, item_type))
            except Exception as error:
                add_step(error, index)
                raise
        return make(items)

    return read


def object_hook(kind: object, converter: Converter) -> Hook:
    """Return the hook that reads a mapping."""
    make = _OBJECTS[_bare(kind)]
    key_type, item_type = arguments(kind) or (object, object)
    read_key = _key_hook(key_type, converter)
    read_item = converter.get_structure_hook(item_type)

    def read(data: object, _: object) -> object:
        mapping: dict[object, object] = {}
        for name, item in expect(dict, data).items():
            try:
                mapping[read_key(name)] = read_item(item, item_type)
            except Exception as error:
                add_step(error, name)
                raise
        return make(mapping)

    return read


def _key_hook(key_type: type, converter: Converter) -> Callable[[str], object]:
    """Return what reads a key: as a string if the type takes one, else as the JSON text of a scalar."""
    hook = converter.get_structure_hook(key_type)

    def read(name: str) -> object:
        try:
            return hook(name, key_type)
        except MismatchError as error:
            try:
                scalar = json.loads(name)
            except ValueError:
                raise error from None
            return hook(scalar, key_type)

    return read
