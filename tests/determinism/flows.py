"""Functions to be tried: fan-out and its failures. Each tells the stage whatever it comes to know.

What is invoked remotely is named by how it may end: "ok", "fail", "any", or "never".
"""

import trio

from resonate_trio import Context, Never

from .play import Body, Make
from .stage import Stage


def nursery(count: int, *, fail_fast: bool = True) -> Make:
    """Fan out, and read the results."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "the nursery"):
                async with ctx.open_nursery(fail_fast=fail_fast) as nursery:
                    handles = [nursery.rfi("any", i) for i in range(count)]
            stage.saw(ctx, [handle.value for handle in handles])

        return flow

    return make


def awaited_in_order(count: int, *, fail_fast: bool = True) -> Make:
    """Fan out, await each in the nursery, and once more after it."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            try:
                async with ctx.open_nursery(fail_fast=fail_fast) as nursery:
                    handles = [nursery.rfi("any", i) for i in range(count)]
                    for handle in handles:
                        await stage.result(ctx, handle)
            except* ValueError as errors:
                stage.saw(ctx, len(errors.exceptions))
            for handle in handles:
                with trio.CancelScope(), stage.seeing(ctx, "again"):
                    await handle

        return flow

    return make


def beside_a_sleep(count: int, *, fail_fast: bool = True) -> Make:
    """The body sleeps while its children end, then calls another."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "the nursery"):
                async with ctx.open_nursery(fail_fast=fail_fast) as nursery:
                    for i in range(count):
                        nursery.rfi("any", i)
                    with stage.seeing(ctx, "the sleep"):
                        await ctx.sleep(10)
                    with stage.seeing(ctx, "the call"):
                        await ctx.rfc("ok")

        return flow

    return make


def beside_a_call(count: int) -> Make:
    """The body calls another while its children end, and handles that call's failure."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> str:
            try:
                async with ctx.open_nursery() as nursery:
                    for i in range(count):
                        nursery.rfi("any", i)
                    try:
                        with stage.seeing(ctx, "the call"):
                            await ctx.rfc("any", "body")
                    except ValueError:
                        with stage.seeing(ctx, "another call"):
                            await ctx.rfc("any", "instead")
            except* ValueError as errors:
                stage.saw(ctx, [str(error) for error in errors.exceptions])
                await stage.result(ctx, ctx.rfi("any", "after"))
            return "over"

        return flow

    return make


def nested(*, fail_fast: bool = True) -> Make:
    """A nursery in a nursery."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "outer"):
                async with ctx.open_nursery() as outer:
                    outer.rfi("any", "outer")
                    with stage.seeing(ctx, "inner"):
                        async with ctx.open_nursery(fail_fast=fail_fast) as inner:
                            inner.rfi("any", "inner")
                            outer.rfi("any", "outer, later")
                    with stage.seeing(ctx, "between"):
                        await ctx.rfc("ok")

        return flow

    return make


def function_fails(count: int) -> Make:
    """Children of the function itself; the function fails, or not, after a while."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            for i in range(count):
                ctx.rfi("any", i)
            await stage.result(ctx, ctx.rfi("any", "awaited"))

        return flow

    return make


def locals_with_steps(count: int, *, fail_fast: bool = True) -> Make:
    """Local invocations that call others, beside a remote one."""

    def make(stage: Stage) -> Body:
        async def part(ctx: Context, n: int) -> str:
            try:
                with stage.seeing(ctx, "first"):
                    await ctx.rfc("any", n)
                with stage.seeing(ctx, "second"):
                    await ctx.rfc("ok", n)
            finally:
                stage.saw(ctx, "finally")
            return f"part {n}"

        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "the nursery"):
                async with ctx.open_nursery(fail_fast=fail_fast) as nursery:
                    parts = [nursery.lfi(part, n) for n in range(count)]
                    nursery.rfi("any", "beside")
            stage.saw(ctx, [part.value for part in parts])

        return flow

    return make


def local_nurseries() -> Make:
    """A local invocation with a nursery, in a nursery."""

    def make(stage: Stage) -> Body:
        async def inner(ctx: Context) -> str:
            with stage.seeing(ctx, "the inner nursery"):
                async with ctx.open_nursery() as nursery:
                    nursery.rfi("any", "one")
                    nursery.rfi("any", "two")
            return "inner"

        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "the outer nursery"):
                async with ctx.open_nursery() as nursery:
                    handle = nursery.lfi(inner)
                    nursery.rfi("any", "beside")
                    await stage.result(ctx, handle)

        return flow

    return make


def local_leaf(*, fail_fast: bool = True) -> Make:
    """A local leaf that waits for I/O, beside a remote invocation."""

    def make(stage: Stage) -> Body:
        async def leaf() -> str:
            return await stage.io("leaf")

        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "the nursery"):
                async with ctx.open_nursery(fail_fast=fail_fast) as nursery:
                    nursery.options(retry=Never()).lfi(leaf)
                    nursery.rfi("any", "beside")

        return flow

    return make


def leaf_that_cleans_up() -> Make:
    """A local function that is cut as a leaf, and calls others while it unwinds."""

    def make(stage: Stage) -> Body:
        async def leaf(ctx: Context) -> str:
            try:
                return await stage.io("ok")
            finally:
                with ctx.shield(budget=10), stage.seeing(ctx, "clean-up"):
                    await ctx.rfc("any", "clean up")
                with stage.seeing(ctx, "after it"):
                    await ctx.rfc("any", "not shielded")

        async def flow(ctx: Context) -> None:
            with stage.seeing(ctx, "the nursery"):
                async with ctx.open_nursery() as nursery:
                    nursery.options(retry=Never()).lfi(leaf)
                    nursery.rfi("any", "beside")

        return flow

    return make


def steps() -> Make:
    """Steps in a row, each of which waits for I/O."""

    def make(stage: Stage) -> Body:
        async def step(n: int) -> str:
            return await stage.io(f"step {n}")

        async def flow(ctx: Context) -> None:
            local = ctx.options(retry=Never())
            with stage.seeing(ctx, "the first"):
                stage.saw(ctx, await local.lfc(step, 1))
            try:
                with stage.seeing(ctx, "the second"):
                    stage.saw(ctx, await local.lfc(step, 2))
            finally:
                stage.saw(ctx, "finally")

        return flow

    return make
