"""A worker whose code changes from one deployment to the next. Arguments: the URL of the server, and the sign."""

import logging
import sys

import trio

from resonate_trio import Context, Resonate

url, sign = sys.argv[1:]
resonate = Resonate(url, group="changing")


async def add(first: int, second: int) -> int:
    """Add."""
    return first + second


async def subtract(first: int, second: int) -> int:
    """Subtract."""
    return first - second


@resonate.register
async def flow(ctx: Context, gate: str) -> str:
    """Compute, wait for somebody, and compute again."""
    compute = add if sign == "+" else subtract
    first = await ctx.lfc(compute, 1, 2)
    opened = await ctx.options(group="nobody").rfc(gate)
    return f"{first} {opened} {await ctx.lfc(compute, first, 4)}"


logging.basicConfig(level=logging.INFO)
trio.run(resonate.serve)
