"""A worker that says what it runs. Arguments: its group, the URL of the server, options of its worker as JSON."""

import json
import signal
import sys

import click
import trio

from resonate_trio import Context, Resonate, WorkerOptions

group, url, options = sys.argv[1:]
resonate = Resonate(url, group=group, worker=WorkerOptions(**json.loads(options)))


@resonate.register
async def shop(ctx: Context, gate: str) -> list[str]:
    """Run two steps, call the group `holders`, and run one step more."""
    return [
        await ctx.lfc(step, "pick"),
        await ctx.lfc(step, "pack"),
        await ctx.options(group="holders").rfc("hold", gate),
        await ctx.lfc(step, "ship"),
    ]


def step(name: str) -> str:
    """Say that a step is run."""
    click.echo(f"runs {name}")
    return name


@resonate.register
async def hold(gate: str, number: int = 0) -> str:
    """Keep this worker busy until the gate is open; return what it says."""
    click.echo(f"holds {number}")
    return await (await resonate.get(gate, str))


async def main() -> None:
    """Work until SIGTERM, then drain."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with resonate:
            click.echo("ready")
            await anext(signals)
        click.echo("drained")


trio.run(main)
