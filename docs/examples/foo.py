"""The service foo: it calls the others."""

import trio

from resonate_trio import Context, Resonate

resonate = Resonate(group="foo")


@resonate.register
async def fan_out(ctx: Context) -> int:
    """Invoke two services at once, and add up what they return."""
    async with ctx.open_nursery() as nursery:
        bar = nursery.options(group="bar").rfi("one")
        baz = nursery.options(group="baz").rfi("one")
    total: int = bar.value + baz.value
    return total


@resonate.register
async def chain(ctx: Context) -> int:
    """Call a service that calls a service; each adds 1 on the way back."""
    result: int = await ctx.options(group="bar").rfc("chain")
    return result + 1


@resonate.register
async def factorial(ctx: Context, n: int) -> int:
    """Multiply by the factorial of n - 1, for which any worker of this group is asked."""
    return n * await ctx.rfc(factorial, n - 1) if n > 1 else 1


@resonate.register
async def accept(ctx: Context, parcel: str) -> str:
    """Hand a parcel over, and return without waiting for what becomes of it."""
    ctx.options(group="bar").detached("pack", parcel)
    return f"{parcel} is accepted"


if __name__ == "__main__":
    trio.run(resonate.serve)
