"""resonate-sdk with the server that it has in itself: in memory, all in this process."""

import asyncio
import itertools

from resonate.context import Context
from resonate.resonate import Resonate

from ._drive import serve_orders


async def echo(_: Context, value: int) -> int:
    """Return the value."""
    return value


async def steps(ctx: Context, count: int) -> int:
    """Run local steps one after the other; return how many."""
    total = 0
    for _ in range(count):
        total += await ctx.run(echo, 1)
    return total


async def calls(ctx: Context, count: int) -> int:
    """Make remote calls one after the other; return how many."""
    total = 0
    for _ in range(count):
        total += await ctx.rpc(echo, 1)
    return total


async def fan_out(ctx: Context, count: int) -> int:
    """Make remote calls at once; return how many."""
    futures = [ctx.rpc(echo, 1) for _ in range(count)]
    return sum([await future for future in futures])


async def empty(_: Context) -> None:
    """Do nothing."""


async def main() -> None:
    """Carry out orders."""
    resonate = Resonate()
    for function in (echo, steps, calls, fan_out, empty):
        resonate.register(function)
    numbers = itertools.count(1)

    async def call(function: str, arguments: list[object]) -> object:
        handle = resonate.rpc(f"{function}-{next(numbers)}", function, *arguments)
        return await handle.result()

    await serve_orders(call)
    await resonate.stop()


if __name__ == "__main__":
    asyncio.run(main())
