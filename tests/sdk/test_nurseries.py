"""Durable nurseries: who owns invocations, what leaving waits for, and what handles give."""

from typing import TYPE_CHECKING

import pytest
import trio

from resonate_trio import Context, Never, UsageError

from .kit import Recorder, World, fail, in_virtual_time, succeed

if TYPE_CHECKING:
    from resonate_trio import Handle

pytestmark = in_virtual_time


# --- Rule 1: scopes own invocations; rule 2: leaving waits ---------------------------------------------


@pytest.mark.parametrize("kind", ["lfi", "rfi"])
async def test_leaving_a_nursery_waits_for_all_that_it_owns(world: World, kind: str) -> None:
    """The block ends when the slowest invocation has, and all values are there."""
    app = world.resonate()
    app.register(succeed)

    @app.register
    async def caller(ctx: Context) -> list[str]:
        async with ctx.open_nursery() as nursery:
            start = getattr(nursery, kind)
            handles = [start(succeed, f"{n}", n) for n in (30, 10, 20)]
        return [handle.value for handle in handles]

    async with app:
        assert await app.rfc("a", caller) == ["30", "10", "20"]
        assert trio.current_time() == pytest.approx(30, abs=0.01)


@pytest.mark.parametrize("kind", ["lfi", "rfi"])
async def test_function_does_not_end_before_its_invocations(world: World, kind: str) -> None:
    """What is invoked through the context belongs to the function, awaited or not."""
    app = world.resonate()
    app.register(succeed)

    @app.register
    async def caller(ctx: Context) -> str:
        getattr(ctx, kind)(succeed, "x", 30)
        return "done"

    async with app:
        assert await app.rfc("a", caller) == "done"
        assert trio.current_time() == pytest.approx(30, abs=0.01)


async def test_waiting_for_remote_invocations_suspends_the_task(world: World, recorder: Recorder) -> None:
    """The end of a block is a durable wait: nothing runs here meanwhile."""
    app = world.resonate("foo", instrument=recorder)

    @app.register
    async def caller(ctx: Context) -> None:
        async with ctx.open_nursery() as nursery:
            nursery.rfi("bar")

    async with app:
        await app.rfi("a", caller)
        await trio.sleep(1)
        assert recorder.of("a") == ["started", "suspended"]
        assert (await world.task("a")).state == "suspended"


async def test_nested_nurseries_wait_from_the_inside_out(world: World) -> None:
    """The inner block ends before the outer one goes on."""
    app = world.resonate()
    times: list[float] = []

    @app.register
    async def caller(ctx: Context) -> None:
        async with ctx.open_nursery() as outer:
            outer.lfi(succeed, "outer", 20)
            async with ctx.open_nursery() as inner:
                inner.lfi(succeed, "inner", 10)
            times.append(trio.current_time())
        times.append(trio.current_time())

    async with app:
        await app.rfc("a", caller)
    assert times == pytest.approx([10, 20], abs=0.01)


async def test_nursery_inside_a_local_invocation(world: World) -> None:
    """A local invocation is a durable function of its own, with nurseries, ids and failures of its own."""
    app = world.resonate()
    app.register(succeed)

    async def inner(ctx: Context, name: str) -> str:
        async with ctx.open_nursery() as nursery:
            first = nursery.rfi(succeed, f"{name}1", 10)
            second = nursery.lfi(succeed, f"{name}2", 5)
        return f"{first.id}={first.value} {second.id}={second.value}"

    @app.register
    async def caller(ctx: Context) -> list[str]:
        async with ctx.open_nursery() as nursery:
            handles = [nursery.lfi(inner, name) for name in "xy"]
        return [handle.value for handle in handles]

    async with app:
        assert await app.rfc("a", caller) == ["a:1.1=x1 a:1.2=x2", "a:2.1=y1 a:2.2=y2"]
        assert trio.current_time() == pytest.approx(10, abs=0.01)


async def test_nursery_that_has_closed_takes_nothing_in(world: World) -> None:
    """Nobody would wait for it any more."""
    app = world.resonate()

    @app.register(retry=Never())
    async def caller(ctx: Context) -> None:
        async with ctx.open_nursery() as nursery:
            pass
        nursery.lfi(succeed, "late")

    async with app:
        with pytest.raises(Exception, match="comes too late") as raised:
            await app.rfc("a", caller)
        assert "async with ctx.open_nursery() as nursery" in str(raised.value)


async def test_context_that_outlived_its_function_takes_nothing_in(world: World) -> None:
    """The context of a step is of no use after the step."""
    app = world.resonate()
    kept: list[Context] = []

    async def keep(ctx: Context) -> None:
        kept.append(ctx)

    @app.register(retry=Never())
    async def caller(ctx: Context) -> None:
        await ctx.lfc(keep)
        await kept[0].sleep(1)

    async with app:
        with pytest.raises(Exception, match="comes too late"):
            await app.rfc("a", caller)


async def test_invocations_survive_a_nursery_that_a_plain_scope_cuts(world: World) -> None:
    """What is left without being waited for belongs to the function, which waits for it, failures and all."""
    app = world.resonate()
    refusals: list[str] = []

    @app.register
    async def caller(ctx: Context) -> str:
        try:
            with trio.move_on_after(5):
                async with ctx.open_nursery() as nursery:
                    nursery.options(retry=Never()).lfi(fail, "x", 30)
                    nursery.detached("nobody")
        except UsageError as error:
            refusals.append(str(error))
        return "done"

    async with app:
        with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="x")):
            await app.rfc("a", caller)
        assert trio.current_time() == pytest.approx(30, abs=0.01)
    assert ["use `with ctx.move_on_after(s):`" in refusal for refusal in refusals] == [True]


# --- Handles ------------------------------------------------------------------------------------------


async def test_handle_may_be_awaited_twice(world: World) -> None:
    """The second time costs nothing and gives the same."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> list[str]:
        good, bad = ctx.lfi(succeed, "x", 10), ctx.options(retry=Never()).lfi(fail, "y")
        told = [await good, await good]
        for _ in range(2):
            with pytest.raises(ValueError, match="y"):
                await bad
        return told

    async with app:
        assert await app.rfc("a", caller) == ["x", "x"]


async def test_value_is_there_once_the_handle_was_awaited_or_its_nursery_closed(world: World) -> None:
    """Before, asking is a UsageError that says what to do."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> list[str]:
        handle = ctx.lfi(succeed, "x")
        with pytest.raises(UsageError, match="await handle"):
            _ = handle.value
        await handle
        async with ctx.open_nursery() as nursery:
            other = nursery.lfi(succeed, "y")
            await trio.sleep(1)
            with pytest.raises(UsageError, match="not known yet"):
                _ = other.value
        return [handle.value, other.value]

    async with app:
        assert await app.rfc("a", caller) == ["x", "y"]


async def test_value_of_a_failed_invocation_raises_its_failure(world: World) -> None:
    """handle.value raises what awaiting it raises."""
    app = world.resonate()

    @app.register
    async def caller(ctx: Context) -> str:
        handles: list[Handle[str]] = []
        try:
            async with ctx.open_nursery() as nursery:
                handles.append(nursery.options(retry=Never()).lfi(fail, "x"))
        except* ValueError:
            pass
        try:
            return handles[0].value
        except ValueError as error:
            return f"raised {error}"

    async with app:
        assert await app.rfc("a", caller) == "raised x"
