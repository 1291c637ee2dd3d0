"""The table at the end."""

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .report import Report

LEGEND: Final = (
    "A step is a function that a flow runs, remotely or locally.\n"
    "executed: it ran to its end. replayed: its stored outcome was taken instead.\n"
    "cut off: its process was killed while it ran, so it ran again in another one."
)


def table(reports: Sequence[Report]) -> RenderableType:
    """Return the table of all flows, with what differs from what should have been."""
    problems = [problem for report in reports for problem in report.problems]
    verdict = "Everything is as expected." if not problems else "Not as expected:"
    return Group(
        "",
        _rows(reports),
        "",
        Text(LEGEND, style="dim"),
        "",
        Text(verdict, style="bold red" if problems else "bold green"),
        *(Text(f"  {problem}", style="red") for problem in problems),
    )


def _rows(reports: Sequence[Report]) -> Table:
    rows = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for heading in ("flow", "result", "expected"):
        rows.add_column(heading, overflow="fold")
    for heading in ("time", "steps\nexecuted", "steps\nreplayed", "steps\ncut off"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        rows.add_row(
            report.scene.name,
            report.result_text,
            str(report.scene.result),
            f"{report.seconds:.2f} s",
            str(report.tally.executed),
            str(report.tally.replayed),
            str(report.tally.cut_off),
            style="red" if report.problems else "",
        )
    return rows
