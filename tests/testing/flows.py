"""Flows that the tests of the kit run."""

import itertools

import trio

from resonate_trio import Context

YEAR_S = 365 * 24 * 3600


async def remind(ctx: Context, text: str) -> str:
    """Wait for a year, then say it."""
    await ctx.sleep(YEAR_S)
    return f"do not forget {text}"


async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


async def count(ctx: Context, n: int) -> int:
    """Count to n, step by step."""
    total = 0
    for _ in range(n):
        total = await ctx.lfc(add, total, 1)
    return total


async def fan_out(ctx: Context, n: int) -> int:
    """Have several counted at a time."""
    async with ctx.open_nursery() as nursery:
        handles = [nursery.rfi(count, i) for i in range(n)]
    return sum(handle.value for handle in handles)


async def pause(seconds: float) -> str:
    """Be a step that takes a while."""
    await trio.sleep(seconds)
    return "done"


async def long_step(ctx: Context, seconds: float) -> str:
    """Do one step that takes a while."""
    return await ctx.lfc(pause, seconds)


numbers = itertools.count(1)


async def random_id(ctx: Context) -> str:
    """Give another result each time: a number that no replay repeats."""
    number = next(numbers)
    return f"{number}-{await ctx.lfc(add, 1, 1)}"
