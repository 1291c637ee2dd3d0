"""A program that keeps its flow in a file. Arguments: the file, and "hang" to stop in the middle of the flow."""

import sys

import click
import trio

from resonate_trio import Context, Resonate

path, *rest = sys.argv[1:]
resonate = Resonate(path=path)


@resonate.register
async def flow(ctx: Context) -> list[str]:
    """Run three steps."""
    return [await ctx.lfc(step, name) for name in ("one", "two", "three")]


async def step(name: str) -> str:
    """Say that a step is run; of the last one, see no end if so told."""
    click.echo(f"runs {name}")
    if name == "three" and rest == ["hang"]:
        await trio.sleep_forever()
    return name


async def main() -> None:
    """Begin the flow, or go on with it."""
    async with resonate:
        click.echo(f"result {await resonate.rfc('flow', flow)}")


trio.run(main)
