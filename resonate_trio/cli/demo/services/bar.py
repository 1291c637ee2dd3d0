"""The service bar: foo calls it, and it calls baz."""

import trio

from resonate_trio import Context, Resonate

from .program import SOME_TIME, WORKER, run

resonate = Resonate(group="bar", worker=WORKER)


@resonate.register
async def one() -> int:
    """Return 1, after some time."""
    await trio.sleep(SOME_TIME)
    return 1


@resonate.register
async def chain(ctx: Context) -> int:
    """Add 1 to what the next service returns."""
    on_the_way: int = await ctx.options(group="baz").rfc("one")
    return on_the_way + 1


@resonate.register
async def pack(ctx: Context) -> None:
    """Hand the parcel on, and forget about it."""
    await trio.sleep(SOME_TIME)
    ctx.options(group="baz").detached("deliver")


@resonate.register
async def think(answer: str) -> int:
    """Work until the answer is there.

    This is no durable wait: it keeps its worker busy, as a long computation would, and dies with it.
    """
    return await (await resonate.get(answer, int))


@resonate.register
async def ship(ctx: Context) -> int:
    """Wait, durably, for someone outside to say what shipping costs."""
    return await (await ctx.promise(int))


if __name__ == "__main__":
    run(resonate)
