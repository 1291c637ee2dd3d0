"""A worker whose flows are long enough to be cut by a crash of the server. Argument: the URL of the server."""

import signal
import sys

import click
import trio

from resonate_trio import Context, Resonate, WorkerOptions

resonate = Resonate(sys.argv[1], group="flows", worker=WorkerOptions(lease=2.0))


@resonate.register
async def total(ctx: Context, number: int) -> int:
    """Call two functions at once, take a step, and call one more: 2 × number + 5."""
    async with ctx.open_nursery() as nursery:
        one = nursery.rfi(successor, number)
        other = nursery.rfi(successor, number)
    both = await ctx.lfc(add, one.value, other.value)
    await ctx.sleep(0.05)
    return await ctx.rfc(successor, await ctx.rfc(successor, await ctx.lfc(add, both, 1)))


@resonate.register
async def successor(number: int) -> int:
    """Add one."""
    await trio.sleep(0.01)
    return number + 1


def add(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other


async def main() -> None:
    """Work until SIGTERM."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with resonate:
            click.echo("ready")
            await anext(signals)


trio.run(main)
