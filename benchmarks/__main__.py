"""The command `python -m benchmarks`."""

import datetime
import subprocess
from pathlib import Path

import click
import orjson
import trio
from rich.console import Console

from ._docs import write_docs
from ._facts import collect_facts
from ._goals import judge
from ._profile import WORK, profile as take_profile, to_lines
from ._report import to_document, to_goals, to_table
from ._runner import Plan, run as run_plan
from .peers.find import HOME, Peers, find_peers
from .peers.install import NoInterpreterError, install_peers as install
from .systems import OURS, PEERS, Mode
from .workloads import WORKLOADS, Scale

RESULTS = Path(__file__).parent / "results"
PLAIN_WIDTH = 170
"""Columns of output that goes to a file."""

peers_option = click.option(
    "--peers",
    "home",
    type=click.Path(file_okay=False, path_type=Path),
    default=HOME,
    help="The folder that the peers are installed in. Default: benchmarks/.cache/peers.",
)


@click.group()
def main() -> None:
    """Measure durable work, ours and that of other systems of the kind."""


@main.command()
@click.option(
    "--workload",
    "workloads",
    multiple=True,
    type=click.Choice(list(WORKLOADS)),
    help="What to run; may be repeated. Default: all but the long ones.",
)
@click.option(
    "--mode",
    "modes",
    multiple=True,
    type=click.Choice([mode.value for mode in Mode]),
    help="What to run it on; may be repeated. Default: ours, and every peer that is here.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="How often.")
@click.option("--quick", is_flag=True, help="Less of everything: a look in passing, no figures to quote.")
@click.option("--long", "with_long", is_flag=True, help="The long workloads too.")
@click.option("--docs", "is_for_docs", is_flag=True, help="Put tables and pictures into the documentation.")
@click.option(
    "--json",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the results. Default: benchmarks/results/TIME.json.",
)
@peers_option
def run(
    *,
    workloads: tuple[str, ...],
    modes: tuple[str, ...],
    rounds: int,
    quick: bool,
    with_long: bool,
    is_for_docs: bool,
    path: Path | None,
    home: Path,
) -> None:
    """Time workloads, print tables of the figures and write them as JSON."""
    console = _console()
    peers = find_peers(home)
    _say_which(console, peers)
    names = workloads or tuple(name for name in WORKLOADS if with_long or not WORKLOADS[name].is_long)
    present = (*OURS, *(mode for mode in PEERS if peers.missing(mode) is None))
    chosen = tuple(Mode(mode) for mode in modes) or present
    if absent := [mode for mode in chosen if mode not in present]:
        raise click.ClickException(f"{absent[0]}: {peers.missing(absent[0])}")
    plan = Plan(names, chosen, rounds, Scale.QUICK if quick else Scale.FULL)
    facts = collect_facts() | {"peers": {mode.value: peers.describe(mode) for mode in chosen if mode in PEERS}}
    with console.status("starting") as status:
        left_out: list[str] = []
        figures = trio.run(run_plan, plan, status.update, peers, left_out)
    document = to_document(plan, figures, facts | {"left_out": left_out})
    console.print(to_table(figures))
    console.print(to_goals(judge(figures)))
    for line in left_out:
        console.print(f"left out: {line}")
    path = path or RESULTS / f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    console.print(f"written to {path}")
    if is_for_docs:
        write_docs(orjson.loads(path.read_bytes()))


@main.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def docs(path: Path) -> None:
    """Put tables and pictures of the results in PATH into the documentation."""
    write_docs(orjson.loads(path.read_bytes()))


@main.command()
@peers_option
def peers(home: Path) -> None:
    """Say which peers are here, and how to get the others."""
    _say_which(_console(), find_peers(home))


@main.command()
@click.option("--python", help="A Python of version 3.12 or newer. Default: one that is on PATH.")
@peers_option
def install_peers(python: str | None, home: Path) -> None:
    """Install the peers with pip and npm, in a folder of their own."""
    try:
        install(home, python, click.echo)
    except (NoInterpreterError, subprocess.CalledProcessError) as error:
        raise click.ClickException(str(error)) from error
    _say_which(_console(), find_peers(home))


@main.command()
@click.option(
    "--workload", type=click.Choice(list(WORK)), default="steps", show_default=True, help="What to look at."
)
@click.option("--seconds", type=click.IntRange(min=1), default=10, show_default=True, help="How long.")
@click.option(
    "--markdown",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file for the table. Default: print it.",
)
def profile(workload: str, seconds: int, markdown: Path | None) -> None:
    """Say where the time of a workload goes over HTTP, layer by layer, in the server and in a worker."""
    text = "\n".join(to_lines(trio.run(take_profile, workload, seconds))) + "\n"
    if markdown is None:
        click.echo(text)
    else:
        markdown.write_text(text, encoding="utf-8")


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def _say_which(console: Console, found: Peers) -> None:
    for mode in PEERS:
        missing = found.missing(mode)
        console.print(f"{mode}: {'found: ' + found.describe(mode) if missing is None else missing}")


if __name__ == "__main__":
    main()
