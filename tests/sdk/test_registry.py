"""The registry: functions by name and version, and their arguments."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import date
from typing import Any

import pytest
from attrs import define, frozen

from resonate_trio._codec import Codec
from resonate_trio._errors import ArgumentsError, UnknownFunctionError, UnregisteredFunctionError, UsageError
from resonate_trio._registry import Function, Registry
from resonate_trio._retry import Constant, Never

_CODEC = Codec()
_ANYTHING: Any = object()


class Context:
    """Stand in for the class of that name, which the registry knows by its mark."""

    __resonate_context__ = True


class Unmarked:
    """Be no context."""


@frozen
class Order:
    """An argument."""

    id: int
    placed: date


async def charge(ctx: Context, order: Order, /, *tips: float, currency: str = "EUR", **notes: Order) -> bytes:
    """Be a durable function with every kind of parameter."""
    raise NotImplementedError


def plain(a: int, b: int = 2) -> int:
    """Be a leaf function."""
    return a + b


def late(ctx: "Context", order: "Order") -> "list[Order]":
    """Have annotations that are strings."""
    raise NotImplementedError


@pytest.fixture
def registry() -> Registry:
    """Return an empty registry."""
    return Registry()


# --- Registering and finding ----------------------------------------------------------------------


def test_a_function_is_registered_by_its_own_name(registry: Registry) -> None:
    """Version 1, no policy and no timeout of its own."""
    function = registry.register(plain)
    assert (function.name, function.version, function.call) == ("plain", 1, plain)
    assert (function.retry, function.timeout) == (None, None)
    assert registry.named("plain") is registry.named("plain", 1) is registry.of(plain) is function
    assert "plain" in registry
    assert "other" not in registry


def test_options_are_kept(registry: Registry) -> None:
    """Name, version, policy and timeout are those that were given."""
    function = registry.register(plain, name="add", version=3, retry=Never(), timeout=30)
    assert (function.name, function.version, function.retry, function.timeout) == ("add", 3, Never(), 30)


def test_version_0_is_the_newest(registry: Registry) -> None:
    """In whatever order they were registered."""
    registry.register(plain, name="f", version=2)
    registry.register(late, name="f", version=10)
    registry.register(charge, name="f", version=1)
    assert registry.named("f").call is late
    assert registry.named("f", 1).call is charge


def test_an_unknown_function_is_an_error_that_lists_the_known(registry: Registry) -> None:
    """Versions are told where they are not just 1."""
    registry.register(plain, name="f", version=2)
    registry.register(late, name="f")
    registry.register(plain, name="g")
    for name, version in (("h", 0), ("f", 3)):
        with pytest.raises(UnknownFunctionError) as caught:
            registry.named(name, version)
        assert caught.value.registered == ("f (versions 1, 2)", "g")


def test_an_object_that_was_not_registered_is_an_error(registry: Registry) -> None:
    """It has no name that another process would know."""
    with pytest.raises(UnregisteredFunctionError, match="charge is not registered"):
        registry.of(charge)


def test_registering_again_changes_nothing(registry: Registry) -> None:
    """A module may be imported twice."""
    first = registry.register(plain, retry=Constant(delay=1))
    assert registry.register(plain, retry=Constant(delay=1)) is first


def test_registering_again_with_other_options_is_refused(registry: Registry) -> None:
    """Which of them counts would be a guess."""
    registry.register(plain)
    with pytest.raises(UsageError, match="'plain' version 1 is registered already with other options"):
        registry.register(plain, timeout=3)


def test_a_name_and_version_belong_to_one_function(registry: Registry) -> None:
    """The message names both functions and the way out."""
    registry.register(plain, name="f")
    with pytest.raises(UsageError, match="'f' version 1 is registered already, as plain: give late another"):
        registry.register(late, name="f")


def test_an_object_with_two_names_is_known_by_the_last(registry: Registry) -> None:
    """Both names find it."""
    registry.register(plain, name="old")
    registry.register(plain, name="new")
    assert registry.of(plain).name == "new"
    assert registry.named("old").call is plain


def test_bound_methods_are_known_by_their_object(registry: Registry) -> None:
    """Each look-up of a method makes a new object; it is the same function all the same."""

    @define
    class Shop:
        city: str

        def sell(self, ctx: Context, n: int) -> str:
            return f"{n} in {self.city}"

    here, there = Shop("Rome"), Shop("Rome")
    function = registry.register(here.sell)
    assert registry.of(here.sell) is function
    assert str(function.signature) == "(n: int) -> str"
    assert function.takes_context
    with pytest.raises(UnregisteredFunctionError):
        registry.of(there.sell)


# --- What can be registered -----------------------------------------------------------------------


async def _async_generator(items: AsyncIterator[int]) -> AsyncIterator[int]:
    async for item in items:
        yield item


def _generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (3, "3 cannot be called: give a function"),
        (Order, "Order is a class: give a function that returns what is wanted"),
        (_async_generator, "_async_generator is a generator, which has no single result"),
        (functools.partial(_generator), "_generator is a generator"),
    ],
)
def test_what_cannot_be_durable_is_refused(registry: Registry, fn: Any, message: str) -> None:
    """For registering and for a local call alike."""
    with pytest.raises(UsageError, match=message):
        registry.register(fn, name="f")
    with pytest.raises(UsageError, match=message):
        registry.adhoc(fn)


@pytest.mark.parametrize("fn", [lambda: 1, functools.partial(plain, 1)])
def test_what_has_no_name_must_be_given_one(registry: Registry, fn: Callable[[], int]) -> None:
    """A name travels, so it is not made up."""
    with pytest.raises(UsageError, match='has no name of its own: give it one with name="…"'):
        registry.register(fn)
    assert registry.register(fn, name="f").name == "f"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "name='': the name of a function is a string that is not empty"),
        ({"name": 3}, "name=3: the name of a function"),
        ({"version": 0}, "plain: version=0: a version is an integer, 1 or greater"),
        ({"version": True}, "plain: version=True: a version"),
        ({"retry": 3}, r"plain: retry=3: a policy is Exponential\(\), "),
        ({"timeout": 0}, "plain: timeout=0: a timeout is a number of seconds above 0"),
        ({"timeout": float("inf")}, "plain: timeout=inf: a timeout"),
        ({"timeout": "1"}, "plain: timeout='1': a timeout"),
    ],
)
def test_options_that_make_no_sense_are_refused(registry: Registry, options: dict[str, Any], message: str) -> None:
    """The message names the function, the option and what it may be; nothing is registered."""
    with pytest.raises(UsageError, match=message):
        registry.register(plain, **options)
    assert "plain" not in registry


# --- Local calls of any callable ------------------------------------------------------------------


def test_a_registered_function_is_itself_in_a_local_call(registry: Registry) -> None:
    """With its name and options."""
    function = registry.register(plain, name="f")
    assert registry.adhoc(plain) is function


def test_any_callable_can_be_called_locally(registry: Registry) -> None:
    """It is called what it calls itself, and is not registered by that."""

    class Adder:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, a: int) -> int:
            return a + 1

    name = "test_any_callable_can_be_called_locally.<locals>"
    for fn, expected in (
        (plain, "plain"),
        (functools.partial(plain, 1), "plain"),
        (lambda a: a, f"{name}.<lambda>"),
        (Adder(), f"{name}.Adder.__call__"),
        (max, "max"),
    ):
        function = registry.adhoc(fn)
        assert (function.name, function.version) == (expected, 1)
        function.check_arguments((1,), {})
        assert expected not in registry


# --- What kind of function it is ------------------------------------------------------------------


async def _with_context_in_the_second_place(a: int, ctx: Context) -> None:
    raise NotImplementedError


async def _named_ctx(ctx, a):  # type: ignore[no-untyped-def]  # ruff: ignore[missing-type-function-argument, missing-return-type-private-function]
    raise NotImplementedError


async def _named_ctx_but_annotated(ctx: int) -> None:
    raise NotImplementedError


async def _another_class(ctx: Unmarked) -> None:
    raise NotImplementedError


async def _for_type_checkers_only(ctx: "lib.Context") -> None:  # type: ignore[name-defined]  # ruff: ignore[undefined-name]
    raise NotImplementedError


async def _keyword_only(*, ctx: Context) -> None:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("fn", "is_taken"),
    [
        (charge, True),
        (late, True),
        (functools.partial(charge), True),
        (_named_ctx, True),
        (_for_type_checkers_only, True),
        (plain, False),
        (_with_context_in_the_second_place, False),
        (_named_ctx_but_annotated, False),
        (_another_class, False),
        (_keyword_only, False),
        (lambda: 1, False),
    ],
)
def test_the_context_is_recognized(registry: Registry, fn: Callable[..., object], is_taken: bool) -> None:
    """As the first parameter, by its annotation, or without one by its name."""
    assert registry.adhoc(fn).takes_context is is_taken


def test_async_functions_are_recognized(registry: Registry) -> None:
    """Also below partials, decorators and objects."""

    class Adder:
        async def __call__(self) -> None:
            raise NotImplementedError

    @functools.wraps(charge)
    def decorated(*args: Any, **kwargs: Any) -> Awaitable[bytes]:
        return charge(*args, **kwargs)

    asynchronous: list[Callable[..., object]] = [charge, functools.partial(charge), decorated, Adder()]
    synchronous: list[Callable[..., object]] = [plain, functools.partial(plain, 1), lambda: 1, print]
    assert all(registry.adhoc(fn).is_async for fn in asynchronous)
    assert not any(registry.adhoc(fn).is_async for fn in synchronous)


def test_the_result_type_is_the_annotation(registry: Registry) -> None:
    """Strings are resolved; without an annotation the result is plain data."""
    assert registry.adhoc(charge).result_type is bytes
    assert registry.adhoc(late).result_type == list[Order]
    assert registry.adhoc(_keyword_only).result_type is type(None)
    assert registry.adhoc(_named_ctx).result_type is object


def test_functions_and_classes_may_be_local(registry: Registry) -> None:
    """Annotations that are classes need no look-up, and strings find what the function uses."""

    @frozen
    class Local:
        a: int

    def fn(x: Local, y: "Local") -> list[Local]:
        return [x, y, Local(0)]

    function = registry.register(fn)
    args, kwargs = function.structure_arguments([{"a": 1}, {"a": 2}], {}, _CODEC)
    assert function.call(*args, **kwargs) == [Local(1), Local(2), Local(0)]
    assert function.result_type == list[Local]


def test_an_annotation_that_cannot_be_resolved_is_named(registry: Registry) -> None:
    """When it is needed, not before: the others work, and the message says what to do."""

    def fn(ctx: "Context", a: "Missing") -> "Unknown":  # type: ignore[name-defined]  # ruff: ignore[undefined-name]
        raise NotImplementedError

    function = registry.register(fn)
    assert function.takes_context
    function.check_arguments((1,), {})
    with pytest.raises(UsageError, match=r"the annotation 'Missing' of the parameter 'a' of .*fn cannot be res"):
        function.structure_arguments([1], {}, _CODEC)
    with pytest.raises(UsageError, match=r"the annotation 'Unknown' of the result of .*define or import"):
        _ = function.result_type


def test_a_closure_without_a_value_yet_does_not_matter(registry: Registry) -> None:
    """A string annotation is resolved without it."""

    def fn(a: "int") -> object:
        return later + a

    function = registry.register(fn)
    assert function.structure_arguments([1], {}, _CODEC) == ((1,), {})
    later = 1
    assert fn(later) == 2


# --- Arguments ------------------------------------------------------------------------------------


@pytest.fixture
def charging(registry: Registry) -> Function:
    """Return the function with every kind of parameter."""
    return registry.register(charge)


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((), {}, "missing a required argument: 'order'"),
        ((1,), {"order": 2}, None),
        ((), {"order": 2}, "'order' parameter is positional only"),
        ((1, 2, 3), {"currency": "USD", "note": 4}, None),
    ],
)
def test_arguments_are_bound_without_the_context(
    charging: Function, args: Sequence[object], kwargs: dict[str, object], reason: str | None
) -> None:
    """The message has Python's reason and the signature that callers see."""
    if reason is None:
        charging.check_arguments(args, kwargs)
        return
    with pytest.raises(ArgumentsError) as caught:
        charging.check_arguments(args, kwargs)
    assert reason in str(caught.value)
    assert "It is to be called as charge(order: " in str(caught.value)
    assert (caught.value.function, caught.value.path) == ("charge", None)


def test_too_many_arguments_are_refused(registry: Registry) -> None:
    """Before anything is sent."""
    with pytest.raises(ArgumentsError, match=r"^plain: too many positional arguments\. .* plain\(a: int, b: "):
        registry.adhoc(plain).check_arguments((1, 2, 3), {})


def test_json_becomes_what_the_annotations_say(charging: Function) -> None:
    """Positional, variable, keyword and variable keyword arguments."""
    order = {"id": 1, "placed": "2026-01-31"}
    args, kwargs = charging.structure_arguments([order, 1, 2.5], {"currency": "USD", "note": order}, _CODEC)
    expected = Order(1, date(2026, 1, 31))
    assert args == (expected, 1.0, 2.5)
    assert kwargs == {"currency": "USD", "note": expected}


def test_defaults_are_left_to_python(registry: Registry) -> None:
    """What is not given is not passed, so a default may be anything."""
    assert registry.adhoc(plain).structure_arguments([], {"a": 1}, _CODEC) == ((1,), {})


def test_without_annotations_arguments_stay_json(registry: Registry) -> None:
    """A builtin, or a function without annotations, gets what travelled."""
    assert registry.adhoc(max).structure_arguments([[1, 2]], {"key": None}, _CODEC) == (([1, 2],), {"key": None})
    assert registry.adhoc(_named_ctx).structure_arguments([{"x": 1}], {}, _CODEC) == (({"x": 1},), {})


@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        ([{"id": "x", "placed": "2026-01-31"}], {}, "order.id"),
        ([{"id": 1, "placed": "2026-01-31"}, 1, "a"], {}, "tips[1]"),
        ([{"id": 1, "placed": "2026-01-31"}], {"currency": 3}, "currency"),
        ([{"id": 1, "placed": "2026-01-31"}], {"note": {"id": 1}}, "note.placed"),
    ],
)
def test_an_argument_that_does_not_fit_is_named_with_its_path(
    charging: Function, args: Sequence[object], kwargs: dict[str, object], path: str
) -> None:
    """The argument, the place in it, and the signature."""
    with pytest.raises(ArgumentsError) as caught:
        charging.structure_arguments(args, kwargs, _CODEC)
    assert caught.value.path == path
    assert str(caught.value).startswith(f"charge: the argument {path}: ")


def test_arguments_that_do_not_bind_are_refused_on_the_other_side_too(charging: Function) -> None:
    """The caller may know another version of the function."""
    with pytest.raises(ArgumentsError, match="missing a required argument"):
        charging.structure_arguments([], {}, _CODEC)


def test_a_callable_that_was_not_registered_is_inspected_once() -> None:
    """A step that is called in a loop costs its inspection once."""
    registry = Registry()
    assert registry.adhoc(_charge_once) is registry.adhoc(_charge_once)


def test_callables_without_end_are_not_remembered_without_end() -> None:
    """A new lambda for each call does not fill the memory, and none is taken for another."""
    registry = Registry()
    for number in range(1000):
        assert registry.adhoc(lambda number=number: number).call() == number
    assert len(registry._adhoc) <= 256


def _charge_once() -> None:
    """Do nothing."""
