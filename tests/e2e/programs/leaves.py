"""A worker whose functions take long. Arguments: its group, the URL of the server, options as JSON."""

import json
import logging
import sys
from pathlib import Path
from threading import Event

import click
import trio

from resonate_trio import Context, Resonate, WorkerOptions

group, url, options = sys.argv[1:]
resonate = Resonate(url, group=group, worker=WorkerOptions(**json.loads(options)))


@resonate.register
async def wait() -> None:
    """Await I/O, without end."""
    click.echo("waits")
    try:
        await trio.sleep_forever()
    finally:
        click.echo("stopped")


@resonate.register
async def relay(ctx: Context, groups: list[str]) -> None:
    """Wait in the last of these groups, called through the others."""
    try:
        first, *rest = groups
        there = ctx.options(group=first)
        await (there.rfc("relay", rest) if rest else there.rfc("wait"))
    finally:
        click.echo("unwound")


@resonate.register
async def block(gate: str) -> None:
    """Block the event loop until there is a file, then come to a checkpoint."""
    click.echo("blocks")
    _wait_for(gate)
    click.echo("unblocked")
    try:
        await trio.sleep_forever()
    finally:
        click.echo("stopped")


@resonate.register
def occupy(gate: str) -> str:
    """Block a thread until there is a file."""
    click.echo("occupies")
    _wait_for(gate)
    click.echo("returns")
    return "the result"


def _wait_for(gate: str) -> None:
    while not Path(gate).exists():
        Event().wait(0.01)


logging.basicConfig(level=logging.INFO)
trio.run(resonate.serve)
