"""What an exception holds, as JSON data, and an exception of a given class from it.

Attrs classes and dataclasses are read through their constructors, with their fields by their annotations. Of all
other classes the arguments and attributes are set, and no code of the class runs, as for an object that is copied.
"""

import builtins
import json
from collections.abc import Iterable, Mapping, Sequence
from inspect import getattr_static
from types import MemberDescriptorType
from typing import Any, ClassVar, Final, TypeAlias, cast, get_origin, get_type_hints

from cattrs import Converter

from resonate_trio._errors import DecodingError, EncodingError

from ._records import field_types, is_class
from ._structure import structure
from ._unstructure import unstructure

Json: TypeAlias = dict[str, object]

STATE_KEYS: Final = ("args", "arg_names", "attributes")
MAX_STATE: Final = 65_536
_SPECIAL: Final = "__"


# --- Writing --------------------------------------------------------------------------------------


def whole_state(error: BaseException) -> Json:
    """Return all that the exception holds.

    Raises:
        EncodingError: something in it cannot be encoded, or is larger than an error should be.
    """
    name, values = type(error).__name__, _values(error)
    attributes = {key: _written(value, f"{name}.{key}") for key, value in values.items()}
    state: Json = {"attributes": attributes} if attributes else {}
    if not isinstance(error, BaseExceptionGroup):
        # Arguments that are attributes as well, as most are, get the type of the attribute when they are read.
        names = [next((key for key in values if values[key] is arg), None) for arg in error.args]
        state["args"] = [_written(arg, f"{name}.args[{index}]") for index, arg in enumerate(arguments(error))]
        if any(names):
            state["arg_names"] = names
    _written(state, name)
    return state


def readable_attributes(error: BaseException) -> Json:
    """Return those public attributes that can be encoded, for whoever looks at an error of an unknown class."""
    attributes: Json = {}
    size = 0
    for key, value in _values(error).items():
        if key.startswith("_"):
            continue
        try:
            data = _written(value, key)
        except EncodingError:
            continue
        size += len(json.dumps(data))
        if size > MAX_STATE:
            break
        attributes[key] = data
    return attributes


def arguments(error: BaseException) -> Sequence[object]:
    """Return the arguments that build an exception of Python's own."""
    if isinstance(error, OSError) and error.filename is not None:
        # The names of files are arguments too, but OSError takes them out of its args.
        return [*error.args, error.filename, None, error.filename2]
    return error.args


def _values(error: BaseException) -> Json:
    cls = type(error)
    if is_class(cls):
        try:
            names: Iterable[str] = field_types(cls)
        except NameError:  # an annotation that only type checkers see
            names = ()
        return {name: getattr(error, name) for name in names if hasattr(error, name)}
    values = {name: getattr(error, name) for name in _slots(cls) if hasattr(error, name)}
    values |= vars(error)
    return {name: value for name, value in values.items() if not name.startswith(_SPECIAL)}


def _slots(cls: type) -> Iterable[str]:
    for holder in cls.__mro__:
        for name, value in vars(holder).items():
            if isinstance(value, MemberDescriptorType) and holder.__module__ != builtins.__name__:
                yield name


def _written(value: object, path: str) -> object:
    try:
        data = unstructure(value, path)
        size = len(json.dumps(data, allow_nan=False))
    except EncodingError:
        raise
    except Exception as error:
        raise EncodingError(path, type(value), f"cannot be encoded: {type(error).__name__}") from None
    if size > MAX_STATE:
        raise EncodingError(path, type(value), f"takes {size} characters as JSON, more than {MAX_STATE}")
    return data


# --- Reading --------------------------------------------------------------------------------------


def build(
    cls: type[Exception],
    state: Mapping[str, object],
    members: tuple[str, Sequence[Exception]],
    converter: Converter,
) -> Exception:
    """Return an exception of the class that holds what is written. Raises any exception if it does not fit.

    Args:
        cls: a registered class.
        state: what `whole_state` returned there.
        members: message and members, if it is a class of groups.
        converter: reads what has a type.
    """
    attributes = state.get("attributes", {})
    if not isinstance(attributes, dict):
        raise DecodingError(cls.__name__, "its attributes are no object")
    if is_class(cls):
        error = cast(Exception, structure(converter, attributes, cls, cls.__name__))
        values: Mapping[str, object] = {name: getattr(error, name) for name in field_types(cls)}
        args = _arguments_from(state, values)
        if args is not None:
            set_fact(error, "args", tuple(args))
        return error
    values = _typed(cls, attributes, converter)
    args = _arguments_from(state, values) or []
    if issubclass(cls, ExceptionGroup):
        args = list(members)
    # Python's own classes hold what is no attribute, and only the right one of them can make instances.
    maker: Any = cls
    while not _is_of_python(maker):
        maker = maker.__base__
    made: Exception = maker.__new__(cls, *args)
    initializer: Any = next(filter(_is_of_python, cls.__mro__))
    initializer.__init__(made, *args)
    set_attributes(made, values)
    return made


def set_attributes(error: Exception, attributes: Mapping[str, object]) -> None:
    """Set attributes that were read. Whoever wrote them: they are facts, and replace no methods."""
    for name, value in attributes.items():
        present = getattr_static(type(error), name, None)
        is_fact = isinstance(present, MemberDescriptorType) or not hasattr(present, "__get__")
        if is_fact and not name.startswith(_SPECIAL):
            set_fact(error, name, value)


def set_fact(error: Exception, name: str, value: object) -> None:
    """Set an attribute, also of an exception that is frozen."""
    BaseException.__setattr__(error, name, value)


def _is_of_python(cls: type) -> bool:
    return getattr(builtins, cls.__name__, None) is cls


def _arguments_from(state: Mapping[str, object], values: Mapping[str, object]) -> list[object] | None:
    args, names = state.get("args"), state.get("arg_names")
    if not isinstance(args, list):
        return None
    if not isinstance(names, list) or len(names) != len(args):
        return args
    return [
        values[name] if isinstance(name, str) and name in values else arg
        for name, arg in zip(names, args, strict=True)
    ]


def _typed(cls: type[Exception], attributes: Mapping[str, object], converter: Converter) -> Mapping[str, object]:
    """Return the attributes as what the class declares, else as the constructor's parameter of that name.

    An underscore in front is passed over. The parameter is a guess, and what does not fit stays JSON data.
    """
    declared, guessed = _hints(cls), _hints(getattr_static(cls, "__init__", None))
    values: dict[str, object] = {}
    for name, data in attributes.items():
        value = data
        if name in declared:
            value = structure(converter, data, declared[name], f"{cls.__name__}.{name}")
        elif (parameter := name.lstrip("_")) in guessed:
            try:
                value = structure(converter, data, guessed[parameter], name)
            except DecodingError:
                value = data
        values[name] = value
    return values


def _hints(holder: Any) -> Mapping[str, object]:
    try:
        hints = get_type_hints(holder)
    except Exception:  # a name that only type checkers see, for one
        return {}
    return {name: hint for name, hint in hints.items() if hint is not Final and not _is_of_class(hint)}


def _is_of_class(hint: object) -> bool:
    return hint is ClassVar or get_origin(hint) is ClassVar
