"""The command `python -m benchmarks`."""

import datetime
from pathlib import Path

import click
import orjson
import trio
from rich.console import Console

from ._facts import collect_facts
from ._report import to_document, to_table
from ._runner import Plan, run
from .systems import Mode
from .workloads import WORKLOADS, Scale

RESULTS = Path(__file__).parent / "results"
PLAIN_WIDTH = 140
"""Columns of output that goes to a file."""


@click.command()
@click.option(
    "--workload",
    "workloads",
    multiple=True,
    type=click.Choice(list(WORKLOADS)),
    help="What to run; may be repeated. Default: all.",
)
@click.option(
    "--mode",
    "modes",
    multiple=True,
    type=click.Choice([mode.value for mode in Mode]),
    help="What to run it on; may be repeated. Default: all.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="How often.")
@click.option("--quick", is_flag=True, help="Less of everything: a look in passing, no figures to quote.")
@click.option(
    "--json",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the results. Default: benchmarks/results/TIME.json.",
)
def main(
    *, workloads: tuple[str, ...], modes: tuple[str, ...], rounds: int, quick: bool, path: Path | None
) -> None:
    """Time workloads, print a table of the figures and write them as JSON."""
    console = Console()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    facts = collect_facts()
    plan = Plan(
        workloads or tuple(WORKLOADS),
        tuple(Mode(mode) for mode in modes) or tuple(Mode),
        rounds,
        Scale.QUICK if quick else Scale.FULL,
    )
    with console.status("starting") as status:
        figures = trio.run(run, plan, status.update)
    console.print(to_table(figures))
    path = path or RESULTS / f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(to_document(plan, figures, facts), option=orjson.OPT_INDENT_2))
    console.print(f"written to {path}")


if __name__ == "__main__":
    main()
