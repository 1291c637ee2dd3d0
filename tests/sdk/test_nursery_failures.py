"""Failures in durable nurseries, and in functions: what ends by them, and how they are told."""

import pytest
import trio

from resonate_trio import Context, Never

from .kit import World, fail, in_virtual_time, succeed

pytestmark = in_virtual_time


# --- Nurseries -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lfi", "rfi"])
async def test_failures_come_as_a_group_in_order_of_creation(world: World, kind: str) -> None:
    """Not in the order in which they happened: a replay would see another one."""
    app = world.resonate()
    app.register(retry=Never())(fail)
    app.register(succeed)

    @app.register
    async def caller(ctx: Context) -> list[str]:
        try:
            async with ctx.open_nursery(fail_fast=False) as nursery:
                start = getattr(nursery.options(retry=Never()) if kind == "lfi" else nursery, kind)
                start(fail, "slow", 20)
                start(succeed, "good", 5)
                start(fail, "fast", 0)
        except ExceptionGroup as group:
            return [repr(error) for error in group.exceptions]
        return []

    async with app:
        assert await app.rfc("a", caller) == ["ValueError('slow')", "ValueError('fast')"]
        assert trio.current_time() == pytest.approx(20, abs=0.01)


@pytest.mark.parametrize("kind", ["lfi", "rfi"])
async def test_first_failure_ends_a_nursery_and_what_it_cancelled_is_none(world: World, kind: str) -> None:
    """The others are cancelled, as in trio, and have ended when the block has."""
    app = world.resonate()
    app.register(retry=Never())(fail)
    app.register(succeed)

    @app.register
    async def caller(ctx: Context) -> list[str]:
        try:
            async with ctx.open_nursery() as nursery:
                start = getattr(nursery.options(retry=Never()) if kind == "lfi" else nursery, kind)
                start(fail, "slow", 20)
                start(succeed, "good", 30)
                start(fail, "fast", 10)
        except ExceptionGroup as group:
            return [repr(error) for error in group.exceptions]
        return []

    async with app:
        assert await app.rfc("a", caller) == ["ValueError('fast')"]
        assert trio.current_time() == pytest.approx(10, abs=0.01)
    assert [(await world.promise(f"a:{n}")).state for n in (1, 2)] == ["rejected_canceled"] * 2


async def test_failure_while_cancelled_is_listed_in_order_of_creation(world: World) -> None:
    """An invocation that answers its cancellation by another failure has failed."""
    app = world.resonate()

    async def cleans_up_badly() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("cleanup")

    @app.register
    async def caller(ctx: Context) -> list[str]:
        try:
            async with ctx.open_nursery() as nursery:
                calls = nursery.options(retry=Never())
                calls.lfi(cleans_up_badly)
                calls.lfi(fail, "child", 10)
        except ExceptionGroup as group:
            return [repr(error) for error in group.exceptions]
        return []

    async with app:
        assert await app.rfc("a", caller) == ["KeyError('cleanup')", "ValueError('child')"]


async def test_single_failure_is_a_group_too(world: World) -> None:
    """As in trio: always a group, so that code which handles one handles all."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> str:
        try:
            async with ctx.open_nursery() as nursery:
                nursery.options(retry=Never()).lfi(fail, "x")
        except ExceptionGroup as group:
            return f"{group.message}: {group.exceptions!r}"
        return ""

    async with app:
        assert await app.rfc("a", caller) == "1 failed in a nursery of 'a': (ValueError('x'),)"


async def test_exception_of_the_block_comes_first(world: World) -> None:
    """Without fail-fast a block that raises waits for its invocations, and its exception leads the group."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> list[str]:
        try:
            async with ctx.open_nursery(fail_fast=False) as nursery:
                nursery.options(retry=Never()).lfi(fail, "child", 10)
                raise KeyError("block")
        except ExceptionGroup as group:
            return [repr(error) for error in group.exceptions]
        return []

    async with app:
        assert await app.rfc("a", caller) == ["KeyError('block')", "ValueError('child')"]


async def test_exception_of_the_block_comes_before_failures_that_were_stored(world: World) -> None:
    """It cancels what is pending; what has failed by then is told."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> list[str]:
        try:
            async with ctx.open_nursery() as nursery:
                calls = nursery.options(retry=Never())
                calls.lfi(fail, "child")
                calls.lfi(fail, "late", 30)
                await trio.sleep(10)
                raise KeyError("block")
        except ExceptionGroup as group:
            return [repr(error) for error in group.exceptions]
        return []

    async with app:
        assert await app.rfc("a", caller) == ["KeyError('block')", "ValueError('child')"]
        assert trio.current_time() == pytest.approx(10, abs=0.01)


async def test_failure_that_was_raised_in_the_block_is_listed_once(world: World) -> None:
    """A handle awaited in the block raises there; the group names the failure once, in its place."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> list[str]:
        try:
            async with ctx.open_nursery(fail_fast=False) as nursery:
                calls = nursery.options(retry=Never())
                calls.lfi(fail, "first", 10)
                await calls.lfi(fail, "second")
        except ExceptionGroup as group:
            return [repr(error) for error in group.exceptions]
        return []

    async with app:
        assert await app.rfc("a", caller) == ["ValueError('first')", "ValueError('second')"]


async def test_failure_that_the_block_handled_is_told_nevertheless(world: World) -> None:
    """An invocation of a nursery that failed makes the nursery fail, as a task does in trio."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> list[str]:
        try:
            async with ctx.open_nursery() as nursery:
                handle = nursery.options(retry=Never()).lfi(fail, "x")
                with pytest.raises(ValueError, match="x"):
                    await handle
        except ExceptionGroup as group:
            return [repr(error) for error in group.exceptions]
        return []

    async with app:
        assert await app.rfc("a", caller) == ["ValueError('x')"]


@pytest.mark.parametrize("kind", ["lfc", "rfc"])
async def test_failure_of_a_call_is_the_callers_to_handle(world: World, kind: str) -> None:
    """A call is no child: what it raised and the block handled is done with."""
    app = world.resonate()
    app.register(retry=Never())(fail)

    @app.register
    async def caller(ctx: Context) -> str:
        async with ctx.open_nursery() as nursery:
            with pytest.raises(ValueError, match="x"):
                await getattr(nursery, kind)(fail, "x")
        return "done"

    async with app:
        assert await app.rfc("a", caller) == "done"


async def test_failure_of_a_nested_nursery_is_a_group_in_a_group(world: World) -> None:
    """Groups keep their shape on the way out, and across processes."""
    app = world.resonate()

    @app.register(retry=Never())
    async def caller(ctx: Context) -> None:
        async with ctx.open_nursery() as outer:
            outer.options(retry=Never()).lfi(fail, "outer")
            async with ctx.open_nursery() as inner:
                inner.options(retry=Never()).lfi(fail, "inner")

    async with app:
        with pytest.RaisesGroup(pytest.RaisesGroup(ValueError), ValueError) as raised:
            await app.rfc("a", caller)
    nested, own = raised.value.exceptions
    assert isinstance(nested, ExceptionGroup)
    assert repr(nested.exceptions) == "(ValueError('inner'),)"
    assert repr(own) == "ValueError('outer')"


# --- The function's own nursery -----------------------------------------------------------------------


async def test_awaited_failure_is_raised_where_it_is_awaited(world: World) -> None:
    """In the function's own nursery, what was awaited and handled is done with."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> str:
        handle = ctx.options(retry=Never()).lfi(fail, "x")
        try:
            await handle
        except ValueError as error:
            return f"handled {error}"
        return ""

    async with app:
        assert await app.rfc("a", caller) == "handled x"


async def test_failure_that_nobody_awaited_is_raised_at_the_end(world: World) -> None:
    """No failure is lost."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> str:
        ctx.options(retry=Never()).lfi(fail, "x", 10)
        return "done"

    async with app:
        with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="x")):
            await app.rfc("a", caller)


async def test_failure_of_the_function_leads_those_that_nobody_awaited(world: World) -> None:
    """The function's own exception comes first, in one group with the others."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> str:
        ctx.options(retry=Never()).lfi(fail, "child")
        await ctx.sleep(10)
        raise KeyError("own")

    async with app:
        with pytest.RaisesGroup(KeyError, ValueError) as raised:
            await app.rfc("a", caller)
    assert repr(raised.value.exceptions) == "(KeyError('own'), ValueError('child'))"


@pytest.mark.parametrize("kind", ["lfi", "rfi"])
async def test_failure_of_the_function_cancels_what_is_pending(world: World, kind: str) -> None:
    """Its outcome would be of no use. That is no failure, and the function's own is raised as it is."""
    app = world.resonate()
    app.register(succeed)

    @app.register
    async def caller(ctx: Context) -> str:
        getattr(ctx, kind)(succeed, "child", 30)
        raise KeyError("own")

    async with app:
        with pytest.raises(KeyError, match="own"):
            await app.rfc("a", caller)
        assert trio.current_time() == pytest.approx(0, abs=0.01)
    assert (await world.promise("a:1")).state == "rejected_canceled"


async def test_failure_of_the_function_alone_is_no_group(world: World) -> None:
    """It is raised as it is."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> str:
        ctx.lfi(succeed, "child")
        raise KeyError("own")

    async with app:
        with pytest.raises(KeyError, match="own"):
            await app.rfc("a", caller)
