"""Scopes and nurseries of trio in durable functions: refused where they may cut a durable wait, fine elsewhere."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest
import trio

from resonate_trio import Context, InvocationCancelled, Never, Resonate, UsageError

from .kit import World, in_virtual_time

pytestmark = in_virtual_time

ADVICE = (
    r"a durable wait in 'a' stands in a plain trio scope .* use `with ctx.move_on_after\(s\):`, "
    r"`with ctx.fail_after\(s\):`, `ctx.open_nursery\(timeout=s\)` or `ctx.options\(timeout=s\)`"
)


async def brief() -> int:
    """Take a second."""
    await trio.sleep(1)
    return 1


# --- Waits in plain scopes ----------------------------------------------------------------------------


async def sleep(ctx: Context) -> None:
    """Sleep."""
    await ctx.sleep(1)


async def call(ctx: Context) -> None:
    """Call a function elsewhere."""
    await ctx.options(group="nobody").rfc("never")


async def step(ctx: Context) -> None:
    """Run a step."""
    await ctx.lfc(brief)


async def handle(ctx: Context) -> None:
    """Wait for what runs here."""
    await ctx.lfi(brief)


async def promise(ctx: Context) -> None:
    """Wait for somebody."""
    await (await ctx.promise())


async def nursery(ctx: Context) -> None:
    """Wait for all of a nursery."""
    async with ctx.open_nursery() as nursery:
        nursery.lfi(brief)


async def race(ctx: Context) -> None:
    """Wait for the first in a nursery."""
    async with ctx.open_nursery() as nursery:
        nursery.lfi(brief)
        await nursery.first()


async def version(ctx: Context) -> None:
    """Wait for a choice to be stored."""
    await ctx.version("change", 0, 1)


WAITS = [sleep, call, step, handle, promise, nursery, race, version]


def cancelled_scope() -> trio.CancelScope:
    """Return a scope that was cancelled beforehand."""
    scope = trio.CancelScope()
    scope.cancel()
    return scope


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize(
    "scope",
    [partial(trio.move_on_after, 50), partial(trio.fail_after, 50), partial(trio.move_on_at, 50), cancelled_scope],
    ids=["move_on_after", "fail_after", "move_on_at", "cancelled"],
)
async def test_wait_in_a_scope_that_may_cut_it_is_refused_at_once(
    world: World, scope: Callable[[], AbstractContextManager[object]], wait: Callable[[Context], Awaitable[None]]
) -> None:
    """Not only when the scope does cut it: the code is wrong in any case, and the first try is to show it."""
    app = world.resonate()
    refused_at: list[float] = []

    @app.register
    async def flow(ctx: Context) -> None:
        with scope():
            try:
                await wait(ctx)
            finally:
                refused_at.append(trio.current_time())

    async with app:
        with pytest.RaisesGroup(
            pytest.RaisesExc(UsageError, match=ADVICE), allow_unwrapped=True, flatten_subgroups=True
        ):
            await app.rfc("a", flow)
    assert refused_at == pytest.approx([0], abs=0.1)


async def test_wait_that_a_failure_in_a_plain_nursery_cuts_is_refused(world: World) -> None:
    """The task beside it is not durable, so a replay could not repeat when it failed."""
    app = world.resonate()

    async def fail() -> None:
        await trio.sleep(2)
        raise ValueError("beside it")

    @app.register(retry=Never())
    async def flow(ctx: Context) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            await ctx.lfc(trio.sleep, 100)

    async with app:
        with pytest.RaisesGroup(
            pytest.RaisesExc(ValueError, match="beside it"), pytest.RaisesExc(UsageError, match=ADVICE)
        ):
            await app.rfc("a", flow)


async def test_wait_in_a_nursery_that_nothing_cancels_is_fine(world: World) -> None:
    """As are tasks beside it that make no durable calls."""
    app = world.resonate()
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await trio.sleep(1)
            ticks.append(trio.current_time())

    @app.register
    async def flow(ctx: Context) -> int:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            for _ in range(3):
                await ctx.lfc(brief)
            nursery.cancel_scope.cancel()
        return await ctx.lfc(brief)

    async with app:
        assert await app.rfc("a", flow) == 1
    assert len(ticks) >= 2


async def test_scope_without_a_wait_in_it_is_fine(world: World) -> None:
    """Between durable calls a function may use trio as it likes."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> list[bool]:
        await ctx.lfc(brief)
        with trio.move_on_after(2) as scope:
            await trio.sleep(100)
        await ctx.lfc(brief)
        with trio.CancelScope() as other:
            other.cancel()
            await trio.lowlevel.checkpoint()
        await ctx.sleep(1)
        return [scope.cancelled_caught, other.cancelled_caught]

    async with app:
        assert await app.rfc("a", flow) == [True, True]


async def test_refusal_may_be_handled_outside_of_the_scope(world: World) -> None:
    """Nothing is broken by it."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(UsageError, match="plain trio scope"), trio.move_on_after(5):
            await ctx.sleep(1)
        await ctx.sleep(1)
        return "went on"

    async with app:
        assert await app.rfc("a", flow) == "went on"


# --- Plain shields ------------------------------------------------------------------------------------


@pytest.mark.needs_extension("cancel")
async def test_plain_shield_around_a_wait_in_a_cancelled_function_is_refused(world: World) -> None:
    """The message shows the shield that is durable."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> None:
        with trio.CancelScope(shield=True):
            await ctx.sleep(1000)

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(5)
        assert not await handle.cancel()
        with pytest.raises(UsageError, match=r"inside a plain trio shield.*use `with ctx.shield\(budget=s\):`"):
            await handle


async def test_plain_shield_in_a_block_whose_time_is_over_is_refused(world: World) -> None:
    """The same, from inside the function."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> None:
        with ctx.move_on_after(5), trio.CancelScope(shield=True):
            await ctx.sleep(1000)

    async with app:
        with pytest.raises(UsageError, match=r"use `with ctx.shield\(budget=s\):`"):
            await app.rfc("a", flow)
        assert trio.current_time() == pytest.approx(5, abs=0.2)


async def test_plain_shield_that_nothing_cuts_is_fine(world: World) -> None:
    """As long as no cancellation comes to it."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> str:
        with trio.CancelScope(shield=True):
            await ctx.sleep(10)
        return "done"

    async with app:
        assert await app.rfc("a", flow) == "done"


# --- Leaf functions -----------------------------------------------------------------------------------


def register_leaves(app: Resonate) -> None:
    """Register functions that make no durable calls, and use trio for all they do."""

    async def produce(channel: trio.MemorySendChannel[int], count: int) -> None:
        async with channel:
            for number in range(count):
                await channel.send(number)

    @app.register
    async def pipeline(count: int) -> int:
        """Use a nursery, a channel and a deadline."""
        sending, receiving = trio.open_memory_channel[int](0)
        total = 0
        with trio.fail_after(100):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(produce, sending, count)
                async for number in receiving:
                    total += number
        return total

    @app.register
    async def give_up(_: Context) -> list[bool]:
        """Use scopes that cut what is in them; a context that is not used makes no difference."""
        with trio.move_on_after(5) as late:
            await trio.sleep_forever()
        with trio.CancelScope() as scope:
            scope.cancel()
            await trio.sleep_forever()
        with trio.move_on_after(1) as outer, trio.CancelScope(shield=True):
            await trio.sleep(2)
        return [late.cancelled_caught, scope.cancelled_caught, outer.cancelled_caught]

    @app.register(retry=Never())
    async def fail() -> None:
        """Fail in a nursery."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise KeyError("k")


@pytest.mark.parametrize("kind", ["rfc", "lfc"])
async def test_leaf_functions_may_use_all_of_trio(world: World, kind: str) -> None:
    """Called from elsewhere, or right here."""
    app = world.resonate()
    register_leaves(app)

    @app.register
    async def flow(ctx: Context) -> list[object]:
        call = getattr(ctx, kind)
        got: list[object] = []
        for name, *arguments in (("pipeline", 5), ("give_up",)):
            function = name if kind == "rfc" else app.registry.named(name, 0).call
            got.append(await call(function, *arguments))
        try:
            await call("fail" if kind == "rfc" else app.registry.named("fail", 0).call)
        except* KeyError:
            got.append("failed")
        return got

    async with app:
        assert await app.rfc("a", flow) == [10, [True, True, False], "failed"]


async def test_leaf_that_is_cancelled_is_cut_as_trio_does_it(world: World) -> None:
    """All tasks of it, at once; its cleanup is waited for."""
    app = world.resonate()
    ended: list[float] = []

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
            ended.append(trio.current_time())

    async def leaf() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(work)

    @app.register
    async def flow(ctx: Context) -> bool:
        with ctx.move_on_after(5) as scope:
            await ctx.lfc(leaf)
        with pytest.raises(InvocationCancelled):
            await (await app.get("a:2"))
        return scope.cancelled_caught

    async with app:
        assert await app.rfc("a", flow) is True
        assert trio.current_time() == pytest.approx(7, abs=0.2)
    assert ended == pytest.approx([7] * 3, abs=0.2)
