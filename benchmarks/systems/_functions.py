"""The durable functions of the workloads, and who executes them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import trio

from resonate_trio import Context, Resonate

CALLER = "benchmark-caller"
CALLEE = "benchmark-callee"


async def echo(value: int) -> int:
    """Return the value."""
    await trio.lowlevel.checkpoint()
    return value


async def steps(ctx: Context, count: int) -> int:
    """Run local steps one after the other; return how many."""
    total = 0
    for _ in range(count):
        total += await ctx.lfc(echo, 1)
    return total


async def calls(ctx: Context, count: int) -> int:
    """Call the other worker one time after the other; return how often."""
    total = 0
    for _ in range(count):
        total += await ctx.options(group=CALLEE).rfc("echo", 1)
    return total


async def fan_out(ctx: Context, count: int) -> int:
    """Invoke the other worker many times at once; return how often."""
    async with ctx.open_nursery() as nursery:
        invoke = nursery.options(group=CALLEE)
        handles = [invoke.rfi("echo", 1) for _ in range(count)]
    return sum(handle.value for handle in handles)


async def empty() -> None:
    """Do nothing."""
    await trio.lowlevel.checkpoint()


async def park(ctx: Context) -> int:
    """Wait for somebody outside to settle a promise; return what it is settled with."""
    promise = await ctx.promise(int)
    return await promise


FUNCTIONS: Mapping[str, Sequence[Callable[..., Any]]] = {
    CALLER: (steps, calls, fan_out, empty, park),
    CALLEE: (echo,),
}


def group_of(function: str) -> str:
    """Return the group that executes a function."""
    return next(group for group, functions in FUNCTIONS.items() if function in {fn.__name__ for fn in functions})


def register_functions(resonate: Resonate, group: str) -> None:
    """Register what a group executes."""
    for function in FUNCTIONS[group]:
        resonate.register(function)
