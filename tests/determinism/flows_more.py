"""Functions to be tried: deadlines of invocations, versions, what catches its cancellation, and depth."""

import trio

from resonate_trio import Context, InvocationTimedOut

from .play import Body, Make
from .stage import Stage


def timed_out() -> Make:
    """A remote invocation whose time may be over before a sleep is."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "the nursery"):
                async with ctx.open_nursery() as nursery:
                    nursery.options(timeout=5).rfi("any", "in time")
                    nursery.rfi("any", "beside")
                    with stage.seeing(ctx, "the sleep"):
                        await ctx.sleep(10)

        return flow

    return make


def local_timed_out() -> Make:
    """A local invocation whose time may be over while it waits; what it has called is over then, too."""

    def make(stage: Stage) -> Body:
        async def part(ctx: Context) -> object:
            return await ctx.rfc("any", "in the part")

        async def flow(ctx: Context) -> None:
            handle = ctx.options(timeout=5).lfi(part)
            await stage.result(ctx, ctx.rfi("any", "beside"))
            try:
                await stage.result(ctx, handle)
            except InvocationTimedOut:
                await ctx.sleep(10)

        return flow

    return make


def changed() -> Make:
    """A choice of a version, what is detached, and a call."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            await stage.result(ctx, ctx.rfi("any"))
            stage.saw(ctx, await ctx.version("change", 0, 1))
            stage.saw(ctx, ctx.detached("never"))
            with stage.seeing(ctx, "the sleep"):
                await ctx.sleep(10)

        return flow

    return make


def caught() -> Make:
    """A function that catches its cancellation, and ends as if nothing had happened."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> str:
            try:
                await stage.result(ctx, ctx.rfi("any", 1))
            except trio.Cancelled:
                stage.saw(ctx, "caught")
            async with ctx.open_nursery(fail_fast=False) as nursery:
                nursery.rfi("any", 2)
            return "over"

        return flow

    return make


def own_scope() -> Make:
    """A scope that the function cancels itself; what is in it ends one way or the other."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with ctx.move_on_after(100) as scope, stage.seeing(ctx, "the block"):
                other = ctx.rfi("any", 1)
                await stage.result(ctx, ctx.rfi("any", 2))
                scope.cancel()
                await stage.result(ctx, other)
                await stage.result(ctx, ctx.rfi("any", 3))
            stage.saw(ctx, (scope.cancel_called, scope.cancelled_caught))
            with stage.seeing(ctx, "again"):
                await other

        return flow

    return make


def local_handle_cancelled() -> Make:
    """A local invocation is cancelled by its handle, and cleans up."""

    def make(stage: Stage) -> Body:
        async def part(ctx: Context) -> str:
            try:
                with stage.seeing(ctx, "the call"):
                    await ctx.rfc("ok", "in the part")
            finally:
                with ctx.shield(budget=10), stage.seeing(ctx, "clean-up"):
                    await ctx.rfc("any", "clean up")
            return "part"

        async def flow(ctx: Context) -> None:
            handle = ctx.lfi(part)
            try:
                await stage.result(ctx, ctx.rfi("any", 1))
            finally:
                handle.cancel()
                await stage.result(ctx, handle)

        return flow

    return make


def two_races() -> Make:
    """A race, and after it another one in the same nursery."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "the nursery"):
                async with ctx.open_nursery() as nursery:
                    nursery.rfi("any", 1)
                    nursery.rfi("any", 2)
                    try:
                        stage.saw(ctx, await nursery.first())
                    except* ValueError as errors:
                        stage.saw(ctx, len(errors.exceptions))
                    nursery.rfi("any", 3)
                    stage.saw(ctx, await nursery.first())

        return flow

    return make


def deep() -> Make:
    """A local invocation in one in one, beside a failure at the top."""

    def make(stage: Stage) -> Body:
        async def level(ctx: Context, n: int) -> str:
            try:
                with stage.seeing(ctx, "below"):
                    async with ctx.open_nursery() as nursery:
                        if n:
                            nursery.lfi(level, n - 1)
                        else:
                            nursery.rfi("any", "lowest")
            finally:
                stage.saw(ctx, "finally")
            return f"level {n}"

        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "the nursery"):
                async with ctx.open_nursery() as nursery:
                    nursery.lfi(level, 2)
                    nursery.rfi("any", "beside")

        return flow

    return make


def nursery_in_a_shield() -> Make:
    """Compensation that fans out, with a budget, in a block that has a deadline."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with ctx.move_on_after(10) as outer:
                try:
                    await stage.result(ctx, ctx.rfi("any", "charge"))
                finally:
                    with ctx.shield(budget=20) as shield, stage.seeing(ctx, "undoing"):
                        async with ctx.open_nursery() as nursery:
                            nursery.rfi("any", "release")
                            nursery.rfi("any", "refund")
                    stage.saw(ctx, shield.cancelled_caught)
                    await stage.result(ctx, ctx.rfi("any", "report"))
            stage.saw(ctx, outer.cancelled_caught)

        return flow

    return make
