"""What a callable tells about itself: whether it can be durable, its signature, and what its annotations mean."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import FunctionType, SimpleNamespace
from typing import Any, Final, TypeAlias, get_type_hints

from resonate_trio._errors import UsageError

AnyFunction: TypeAlias = Callable[..., object]

_ANY_ARGUMENTS: Final = inspect.Signature([
    inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
    inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
])


def underlying(fn: Any) -> Any:
    """Return the function below partials, decorators that use `functools.wraps`, methods and callable objects."""
    while True:
        if isinstance(fn, partial):
            fn = fn.func
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        elif inspect.ismethod(fn):
            fn = fn.__func__
        elif inspect.isroutine(fn):
            return fn
        else:
            fn = type(fn).__call__


def describe(fn: object) -> str:
    """Return what messages, and steps without a registered name, call a callable."""
    name = getattr(fn, "__qualname__", None)
    if name is None and callable(fn):
        name = getattr(underlying(fn), "__qualname__", None)
    return name if isinstance(name, str) else repr(fn)


def check_callable(fn: object) -> None:
    """Raise UsageError if a callable cannot be invoked durably."""
    if not callable(fn):
        raise UsageError(f"{fn!r} cannot be called: give a function")
    if isinstance(fn, type):
        raise UsageError(f"{describe(fn)} is a class: give a function that returns what is wanted")
    function = underlying(fn)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(
            f"{describe(fn)} is a generator, which has no single result to store: "
            f"give a function that returns a list"
        )


def is_async(fn: AnyFunction) -> bool:
    """Tell whether calling `fn` gives something to await."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(underlying(fn))


def signature_of(fn: AnyFunction) -> inspect.Signature:
    """Return the signature of `fn`; one that takes anything if it has none, as some builtins."""
    try:
        return inspect.signature(fn)
    except ValueError:
        return _ANY_ARGUMENTS


def takes_context(fn: AnyFunction, signature: inspect.Signature) -> bool:
    """Tell whether the first argument of `fn` is the context.

    It is when it is annotated with the class `Context`, or has no annotation and is named `ctx`. The class stands
    in a layer above this one and is known by a mark; where only its name is left (it was imported for type
    checkers only), the name must do.
    """
    first = next(iter(signature.parameters.values()), None)
    if first is None or first.kind not in {first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD}:
        return False
    if first.annotation is first.empty:
        return first.name == "ctx"
    try:
        annotation = resolve(fn, first.name, first.annotation)
    except UsageError:
        return str(first.annotation).rpartition(".")[2] == "Context"
    return getattr(annotation, "__resonate_context__", False) is True


def resolve(fn: AnyFunction, name: str, annotation: object) -> object:
    """Return what an annotation of `fn` stands for; `object` if there is none.

    Args:
        fn: the function.
        name: the parameter, or "return".
        annotation: what the signature says: a type, a string, or `inspect.Parameter.empty`.

    Raises:
        UsageError: the annotation is a string that names what `fn` cannot see.
    """
    if annotation is inspect.Parameter.empty:
        return object
    if isinstance(annotation, type):
        return annotation
    function = underlying(fn)
    holder = SimpleNamespace(__annotations__={name: annotation})
    try:
        return get_type_hints(holder, function.__globals__, _closure(function))[name]
    except Exception as error:
        what = "the result" if name == "return" else f"the parameter {name!r}"
        raise UsageError(
            f"the annotation {annotation!r} of {what} of {describe(fn)} cannot be resolved ({error}): "
            f"define or import what it names at the top of the module, and not for type checkers only"
        ) from error


def _closure(function: FunctionType) -> Mapping[str, object]:
    """Return the variables of enclosing functions that `function` uses."""
    try:
        return inspect.getclosurevars(function).nonlocals
    except ValueError:  # one of them has no value yet
        return {}
