"""The flows: fan-out, chain, recursion, detached; with every kind of call."""

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import trio
from attrs import frozen

from resonate_trio import Context, DecodingError, Never, RemoteError, Resonate

from .kit import World, in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = in_virtual_time


@frozen
class Order:
    """What is ordered."""

    items: tuple[str, ...]
    patience: timedelta = timedelta(hours=1)


@frozen
class Receipt:
    """What comes back."""

    stock: int
    total: int


# --- From outside -------------------------------------------------------------------------------------


async def test_root_is_called_remotely_by_object(world: World) -> None:
    """A registered function, named by its object, runs in the group that it is registered in."""
    app = world.resonate()

    @app.register
    async def double(n: int) -> int:
        return 2 * n

    async with app:
        assert await app.rfc("a", double, 21) == 42


async def test_root_is_called_remotely_by_name_in_another_group(world: World) -> None:
    """A name that is not registered here stands for a service of that name."""
    app, bar = world.resonate("foo"), world.resonate("bar")

    @bar.register(name="bar")
    async def work(n: int) -> int:
        return n + 1

    async with bar, app:
        assert await app.rfc("a", "bar", 1) == 2


async def test_root_is_called_in_the_group_of_the_options(world: World) -> None:
    """options(group=...) says who executes."""
    app, bars = world.resonate("foo"), world.resonate("bars")

    @bars.register
    async def bar(n: int) -> int:
        return n + 1

    async with bars, app:
        assert await app.options(group="bars").rfc("a", "bar", 1) == 2


async def test_root_handle_gives_its_result_as_often_as_one_likes(world: World) -> None:
    """A handle from outside may be awaited twice, and knows when it is done."""
    app = world.resonate()

    @app.register
    async def one(ctx: Context) -> int:
        await ctx.sleep(10)
        return 1

    async with app:
        handle = await app.rfi("a", one)
        assert not await handle.done()
        assert [await handle, await handle] == [1, 1]
        assert await handle.done()


async def test_second_call_under_one_id_finds_the_first(world: World) -> None:
    """The id makes a call idempotent: the function runs once."""
    app = world.resonate()
    runs = 0

    @app.register
    async def once() -> int:
        nonlocal runs
        runs += 1
        return runs

    async with app:
        assert await app.rfc("a", once) == 1
        assert await app.rfc("a", once) == 1
        assert await app.lfc("a", once) == 1


async def test_get_finds_an_invocation_and_reads_its_result_as_a_type(world: World) -> None:
    """A handle to what exists can be had by its id."""
    app = world.resonate()

    @app.register
    async def receipt() -> Receipt:
        return Receipt(1, 2)

    async with app:
        await app.rfc("a", receipt)
        assert await (await app.get("a", Receipt)) == Receipt(1, 2)


async def test_root_runs_here_by_lfc(world: World) -> None:
    """lfc and lfi run a root in the process that calls, although it sits in a group of several."""
    app, other = world.resonate("g"), world.resonate("g")
    ran_in = []

    def register(where: Resonate, label: str) -> None:
        @where.register
        async def f() -> str:
            ran_in.append(label)
            return label

    register(app, "app")
    register(other, "other")
    async with other, app:
        assert [await app.lfc(f"a{n}", "f") for n in range(4)] == ["app"] * 4
        assert await (await app.lfi("b", "f")) == "app"
    assert ran_in == ["app"] * 5


async def test_root_by_lfi_waits_for_who_executes_it_already(world: World) -> None:
    """lfi under an id that is being executed elsewhere gives a handle to that."""
    app, other = world.resonate("g"), world.resonate("g")
    ran_in = []

    def register(where: Resonate, label: str) -> None:
        @where.register
        async def f() -> str:
            ran_in.append(label)
            await trio.sleep(5)
            return label

    register(app, "app")
    register(other, "other")
    async with other, app:
        theirs = await other.lfi("a", "f")
        mine = await app.lfi("a", "f")
        assert [await theirs, await mine] == ["other", "other"]
    assert ran_in == ["other"]


# --- The three flows ----------------------------------------------------------------------------------


async def test_fan_out_over_services(world: World) -> None:
    """Foo invokes bar and baz, each returns 1, foo returns 2."""
    foo, bar, baz = world.resonate("foo"), world.resonate("bar"), world.resonate("baz")

    @foo.register(name="foo")
    async def fan_out(ctx: Context) -> int:
        async with ctx.open_nursery() as nursery:
            handles = [nursery.rfi("bar"), nursery.rfi("baz")]
        return sum(handle.value for handle in handles)

    @bar.register(name="bar")
    async def one() -> int:
        return 1

    @baz.register(name="baz")
    def another() -> int:
        return 1

    async with foo, bar, baz:
        assert await foo.rfc("a", fan_out) == 2


async def test_chain_over_services(world: World) -> None:
    """Foo calls bar, which calls baz; each adds 1 on the way back."""
    foo, bar, baz = world.resonate("foo"), world.resonate("bar"), world.resonate("baz")

    @foo.register(name="foo")
    async def first(ctx: Context) -> int:
        return 1 + int(await ctx.rfc("bar"))

    @bar.register(name="bar")
    async def second(ctx: Context) -> int:
        return 1 + int(await ctx.rfc("baz"))

    @baz.register(name="baz")
    async def third() -> int:
        return 1

    async with foo, bar, baz:
        assert await foo.rfc("a", first) == 3


async def test_detached_outlives_its_caller(world: World) -> None:
    """Foo hands over to bar and returns before bar has run."""
    foo, bar = world.resonate("foo"), world.resonate("bar")
    order = []

    @foo.register(name="foo")
    async def hand_over(ctx: Context) -> str:
        return ctx.detached("bar", 3)

    @bar.register(name="bar")
    async def later(ctx: Context, n: int) -> int:
        await ctx.sleep(60)
        order.append("bar")
        return n

    async with foo, bar:
        id = await foo.rfc("a", hand_over)
        order.append("foo")
        assert await (await foo.get(id)) == 3
    assert order == ["foo", "bar"]


async def test_failure_of_a_detached_invocation_is_not_its_callers(world: World) -> None:
    """Nobody waits for it, so nobody hears of its failure."""
    app = world.resonate()

    @app.register
    async def fails() -> None:
        raise ValueError("on its own")

    @app.register
    async def caller(ctx: Context) -> str:
        id = ctx.detached(fails)
        await ctx.sleep(100)
        async with ctx.open_nursery() as nursery:
            nursery.detached(fails)
        return id

    async with app:
        id = await app.rfc("a", caller)
        with pytest.raises(ValueError, match="on its own"):
            await (await app.get(id))


async def test_detached_is_stored_before_its_caller_ends(world: World) -> None:
    """Once the caller has its outcome, the detached promise exists, although no worker can run it."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> list[str]:
        return [ctx.detached("nobody", n) for n in range(20)]

    async with app:
        for id in await app.rfc("a", caller):
            assert (await world.promise(id)).is_pending


async def test_recursion_over_the_group(world: World) -> None:
    """A function may invoke itself remotely."""
    app = world.resonate(capacity=1)

    @app.register
    async def factorial(ctx: Context, n: int) -> int:
        return 1 if n == 0 else n * await ctx.rfc(factorial, n - 1)

    async with app:
        assert await app.rfc("a", factorial, 10) == 3_628_800


# --- Every kind of call, every kind of function -----------------------------------------------------------


async def test_every_call_gives_the_same_result(world: World) -> None:
    """rfi, rfc, lfi and lfc, by object and by name, on a context and on a nursery, mean the same function."""
    app = world.resonate()

    @app.register
    async def double(n: int) -> int:
        return 2 * n

    @app.register
    async def caller(ctx: Context) -> list[int]:
        results = [await ctx.rfc(double, 1), await ctx.rfc("double", 2), await ctx.lfc(double, 3)]
        results += [await ctx.lfc("double", 4), await ctx.rfi(double, 5), await ctx.rfi("double", 6)]
        results += [await ctx.lfi(double, 7), await ctx.lfi("double", 8)]
        async with ctx.open_nursery() as nursery:
            handles = [nursery.rfi(double, 9), nursery.rfi("double", 10)]
            handles += [nursery.lfi(double, 11), nursery.lfi("double", 12)]
            results += [await nursery.rfc(double, 13), await nursery.lfc("double", 14)]
        return results + [handle.value for handle in handles]

    async with app:
        results = await app.rfc("a", caller)
    assert sorted(results) == [2 * n for n in range(1, 15)]


@pytest.mark.parametrize("call", ["rfc", "lfc"])
async def test_function_is_async_or_plain_with_or_without_context(world: World, call: str) -> None:
    """Whatever its form, a function gets its arguments, and the context if it takes one."""
    app = world.resonate()

    @app.register
    async def with_context(ctx: Context, n: int, *, m: int) -> str:
        return f"{ctx.id} {n} {m}"

    @app.register
    async def without_context(n: int, *, m: int) -> str:
        return f"{n} {m}"

    @app.register
    def plain(n: int, *, m: int) -> str:
        return f"{n} {m}"

    @app.register
    def plain_with_context(ctx: Context, n: int, *, m: int) -> str:
        return f"{ctx.id} {n} {m}"

    @app.register
    async def caller(ctx: Context) -> list[str]:
        functions: list[Callable[..., object]] = [with_context, without_context, plain, plain_with_context]
        return [await getattr(ctx, call)(function, 1, m=2) for function in functions]

    async with app:
        assert await app.rfc("a", caller) == ["a:1 1 2", "1 2", "1 2", "a:4 1 2"]


async def test_plain_function_runs_in_a_thread(world: World) -> None:
    """A plain function may block: it has a thread of its own."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> list[bool]:
        main = threading.get_ident()
        return [await ctx.lfc(threading.get_ident) != main, await ctx.lfi(threading.get_ident) != main]

    async with app:
        assert await app.rfc("a", caller) == [True, True]


async def test_function_that_is_not_registered_runs_locally(world: World) -> None:
    """lfc and lfi take any function."""
    app = world.resonate()

    def helper(text: str) -> str:
        return text.upper()

    @app.register
    async def caller(ctx: Context) -> list[str]:
        return [await ctx.lfc(helper, "a"), await ctx.lfi(helper, "b")]

    async with app:
        assert await app.rfc("a", caller) == ["A", "B"]


async def test_arguments_and_results_have_the_types_of_the_annotations(world: World) -> None:
    """What crosses processes arrives as the classes that both sides name."""
    app = world.resonate()

    @app.register
    async def reserve(order: Order) -> Receipt:
        assert type(order) is Order
        assert order.patience == timedelta(minutes=5)
        return Receipt(len(order.items), 7)

    @app.register
    async def caller(ctx: Context, order: Order) -> tuple[Receipt, Receipt]:
        return await ctx.rfc(reserve, order), await ctx.lfc(reserve, order)

    async with app:
        order = Order(("x", "y"), timedelta(minutes=5))
        assert await app.rfc("a", caller, order) == (Receipt(2, 7), Receipt(2, 7))


async def test_arguments_of_a_local_call_may_be_anything(world: World) -> None:
    """They stay in the process, so they need not be data."""
    app = world.resonate()

    def call(fn: object) -> bool:
        return callable(fn)

    @app.register
    async def caller(ctx: Context) -> bool:
        return await ctx.lfc(call, lambda: 1)

    async with app:
        assert await app.rfc("a", caller)


async def test_error_crosses_processes_as_data(world: World) -> None:
    """A builtin exception is raised as itself; another one as a RemoteError that names it."""
    app, bar = world.resonate("foo"), world.resonate("bar")

    class OwnError(Exception):
        pass

    @bar.register(name="bar", retry=Never())
    async def fail(what: str) -> None:
        raise KeyError("k") if what == "builtin" else OwnError("mine")

    @app.register
    async def caller(ctx: Context) -> list[str]:
        with pytest.raises(KeyError) as builtin:
            await ctx.rfc("bar", "builtin")
        with pytest.raises(RemoteError) as own:
            await ctx.rfc("bar", "own")
        return [repr(builtin.value), f"{own.value.type_name}: {own.value.message} ({own.value.id})"]

    async with app, bar:
        assert await app.rfc("a", caller) == ["KeyError('k')", "OwnError: mine (a:2)"]


async def test_result_that_does_not_fit_its_annotation_is_a_decoding_error(world: World) -> None:
    """Whoever reads it is told where it does not fit."""
    app = world.resonate()

    @app.register
    async def liar() -> int:
        return "text"  # type: ignore[return-value]  # that is what it is about

    async with app:
        with pytest.raises(DecodingError, match="the result of 'a'"):
            await app.rfc("a", liar)
