"""Functions to be tried: cancellation, deadlines and races. Each tells the stage whatever it comes to know."""

import trio

from resonate_trio import Context, InvocationCancelled, Never

from .play import Body, Make
from .stage import Stage


def first(count: int) -> Make:
    """The first success of several remote ones."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            async with ctx.open_nursery() as nursery:
                for i in range(count):
                    nursery.rfi("any", i)
                with stage.seeing(ctx, "the race"):
                    stage.saw(ctx, await nursery.first())
            await stage.result(ctx, ctx.rfi("ok"))

        return flow

    return make


def first_of_locals(count: int) -> Make:
    """The first success of several local ones, with another child of an outer nursery beside."""

    def make(stage: Stage) -> Body:
        async def runner(ctx: Context, n: int) -> object:
            with stage.seeing(ctx, "running"):
                return await ctx.rfc("any", n)

        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "all"):
                async with ctx.open_nursery() as outer:
                    outer.rfi("any", "beside")
                    async with ctx.open_nursery() as nursery:
                        for n in range(count):
                            nursery.lfi(runner, n)
                        with stage.seeing(ctx, "the race"):
                            stage.saw(ctx, await nursery.first())

        return flow

    return make


def first_in_time(count: int) -> Make:
    """A race with a deadline."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with ctx.move_on_after(10) as scope:
                async with ctx.open_nursery() as nursery:
                    for i in range(count):
                        nursery.rfi("any", i)
                    with stage.seeing(ctx, "the race"):
                        stage.saw(ctx, await nursery.first())
            stage.saw(ctx, scope.cancelled_caught)

        return flow

    return make


def move_on(*, count: int = 1) -> Make:
    """Calls in a row within a time, and one after it."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with ctx.move_on_after(10) as scope, stage.seeing(ctx, "the block"):
                for i in range(count):
                    await stage.result(ctx, ctx.rfi("any", i))
            stage.saw(ctx, scope.cancelled_caught)
            await stage.result(ctx, ctx.rfi("any", "after"))

        return flow

    return make


def same_deadlines() -> Make:
    """A sleep that ends with the time of its block, in a block that ends later."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with ctx.move_on_after(20) as outer:
                with ctx.move_on_after(10) as inner, stage.seeing(ctx, "the sleep"):
                    await ctx.sleep(10)
                stage.saw(ctx, inner.cancelled_caught)
                with stage.seeing(ctx, "the call"):
                    await ctx.rfc("any")
            stage.saw(ctx, outer.cancelled_caught)

        return flow

    return make


def nursery_in_time(count: int, *, fail_fast: bool = True) -> Make:
    """A nursery with a deadline."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            try:
                with stage.seeing(ctx, "the nursery"):
                    async with ctx.open_nursery(timeout=10, fail_fast=fail_fast) as nursery:
                        for i in range(count):
                            nursery.rfi("any", i)
            except (trio.TooSlowError, ExceptionGroup):
                await stage.result(ctx, ctx.rfi("any", "after"))

        return flow

    return make


def local_in_time() -> Make:
    """A local function with calls of its own, within a time."""

    def make(stage: Stage) -> Body:
        async def part(ctx: Context) -> str:
            try:
                with stage.seeing(ctx, "the first call"):
                    await ctx.rfc("ok", 1)
                with stage.seeing(ctx, "the second call"):
                    await ctx.rfc("ok", 2)
            finally:
                with ctx.shield(budget=5), stage.seeing(ctx, "clean-up"):
                    await ctx.rfc("ok", "clean up")
            return "part"

        async def flow(ctx: Context) -> None:
            with ctx.move_on_after(10) as scope, stage.seeing(ctx, "the part"):
                stage.saw(ctx, await ctx.lfc(part))
            stage.saw(ctx, scope.cancelled_caught)

        return flow

    return make


def handle_cancelled() -> Make:
    """One invocation is cancelled by its handle once another has ended."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "the nursery"):
                async with ctx.open_nursery() as nursery:
                    one, two = nursery.rfi("any", 1), nursery.rfi("any", 2)
                    await stage.result(ctx, one)
                    two.cancel()
                    try:
                        await stage.result(ctx, two)
                    except InvocationCancelled:
                        await stage.result(ctx, nursery.rfi("any", 3))

        return flow

    return make


def nursery_cancelled() -> Make:
    """A nursery is cancelled once one of its children has ended."""

    def make(stage: Stage) -> Body:
        async def part(ctx: Context) -> None:
            with stage.seeing(ctx, "waiting"):
                await ctx.rfc("any", "in the part")

        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "the nursery"):
                async with ctx.open_nursery() as nursery:
                    one = nursery.rfi("any", 1)
                    nursery.lfi(part)
                    nursery.rfi("any", 2)
                    await stage.result(ctx, one)
                    nursery.cancel()
                    with stage.seeing(ctx, "waiting"):
                        await ctx.rfc("any", 3)
            await stage.result(ctx, ctx.rfi("any", "after"))

        return flow

    return make


def stubborn() -> Make:
    """A block that catches its cancellation, and goes on waiting."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with ctx.move_on_after(10) as scope:
                try:
                    await stage.result(ctx, ctx.rfi("any", 1))
                finally:
                    await stage.result(ctx, ctx.rfi("any", 2))
            stage.saw(ctx, scope.cancelled_caught)

        return flow

    return make


def saga(*, budget: float = 10) -> Make:
    """What was done is undone when the rest fails, or is cancelled."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> str:
            await stage.result(ctx, ctx.rfi("ok", "reserve"))
            try:
                await stage.result(ctx, ctx.rfi("any", "charge"))
            except BaseException:
                with ctx.shield(budget=budget) as shield, stage.seeing(ctx, "undoing"):
                    await stage.result(ctx, ctx.rfi("any", "release"))
                stage.saw(ctx, shield.cancelled_caught)
                raise
            return "done"

        return flow

    return make


def fan_out_with_clean_up() -> Make:
    """A nursery of a local and a remote invocation; both the function and the local one clean up."""

    def make(stage: Stage) -> Body:
        async def part(ctx: Context) -> None:
            try:
                with stage.seeing(ctx, "waiting"):
                    await ctx.rfc("ok", "part")
            finally:
                with ctx.shield(budget=10), stage.seeing(ctx, "clean-up"):
                    await ctx.rfc("ok", "clean up")

        async def flow(ctx: Context) -> None:
            try:
                with stage.seeing(ctx, "the nursery"):
                    async with ctx.open_nursery() as nursery:
                        nursery.lfi(part)
                        nursery.rfi("any", "beside")
            finally:
                with ctx.shield(budget=10), stage.seeing(ctx, "clean-up"):
                    await ctx.rfc("ok", "clean up")

        return flow

    return make


def io_first() -> Make:
    """A function that is a leaf at first: it is cut at once, and calls others while it unwinds."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            try:
                await stage.io("ok")
                await stage.result(ctx, ctx.rfi("any", "then"))
            finally:
                with ctx.shield(budget=10), stage.seeing(ctx, "clean-up"):
                    await ctx.rfc("ok", "clean up")

        return flow

    return make


def leaf_call_in_time() -> Make:
    """A step that waits for I/O, within a time."""

    def make(stage: Stage) -> Body:
        async def step() -> str:
            return await stage.io("step")

        async def flow(ctx: Context) -> None:
            with ctx.move_on_after(10) as scope, stage.seeing(ctx, "the step"):
                stage.saw(ctx, await ctx.options(retry=Never()).lfc(step))
            stage.saw(ctx, scope.cancelled_caught)
            await stage.result(ctx, ctx.rfi("any", "after"))

        return flow

    return make


def promise_cancelled() -> Make:
    """A promise that someone outside settles, beside a child that may fail."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "the nursery"):
                async with ctx.open_nursery() as nursery:
                    nursery.rfi("any", "beside")
                    with stage.seeing(ctx, "making"):
                        answer = await ctx.promise()
                    await stage.result(ctx, answer)

        return flow

    return make


def failing_race() -> Make:
    """A race whose only runner, a local one, fails, as does a child of the nursery around it."""

    def make(stage: Stage) -> Body:
        async def runner(ctx: Context) -> object:
            return await ctx.rfc("fail")

        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "all"):
                async with ctx.open_nursery() as outer:
                    outer.rfi("fail", "beside")
                    async with ctx.open_nursery() as nursery:
                        nursery.lfi(runner)
                        with stage.seeing(ctx, "the race"):
                            await nursery.first()

        return flow

    return make


def local_call_in_time() -> Make:
    """A local function that calls another within a time, and then cleans up."""

    def make(stage: Stage) -> Body:
        async def part(ctx: Context) -> str:
            try:
                with stage.seeing(ctx, "the call"):
                    await ctx.rfc("ok", 1)
            finally:
                with stage.seeing(ctx, "clean-up"):
                    await ctx.rfc("ok", "clean up")
            return "part"

        async def flow(ctx: Context) -> None:
            with ctx.move_on_after(10), stage.seeing(ctx, "the part"):
                await ctx.lfc(part)

        return flow

    return make


def undone() -> Make:
    """What has failed, or is cancelled, is undone, and that may fail too."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            try:
                await stage.result(ctx, ctx.rfi("ok"))
            finally:
                with ctx.shield(budget=10):
                    await stage.result(ctx, ctx.rfi("fail"))

        return flow

    return make
