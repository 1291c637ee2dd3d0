"""How figures are shown: a table to read, and a document to keep. Pure."""

from collections.abc import Mapping, Sequence

import attrs
from rich import box
from rich.table import Table

from ._figures import Figure
from ._runner import Plan
from .workloads import WORKLOADS


def to_table(figures: Sequence[Figure]) -> Table:
    """Return the figures as a table."""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, caption="×: the median as a multiple of that of the first case"
    )
    for heading in ("workload", "case", "mode"):
        table.add_column(heading, no_wrap=True)
    for heading in ("samples", "median ms", "p95 ms"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("per", no_wrap=True)
    for heading in ("rate", "×"):
        table.add_column(heading, no_wrap=True, justify="right")
    for figure, following in zip(figures, [*figures[1:], None], strict=True):
        table.add_row(*_cells(figure), end_section=following is None or following.workload != figure.workload)
    return table


def _cells(figure: Figure) -> tuple[str, ...]:
    workload = WORKLOADS[figure.workload]
    total = figure.total
    return (
        figure.workload,
        figure.case,
        figure.mode,
        f"{total.samples:,}",
        f"{total.median_ms:.3f}",
        f"{total.p95_ms:.3f}",
        workload.sample,
        f"{total.rate:,.0f} {workload.counted}/s",
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
    )


def to_document(plan: Plan, figures: Sequence[Figure], facts: Mapping[str, object]) -> dict[str, object]:
    """Return everything about a run, ready for JSON."""
    return {
        "facts": facts,
        "parameters": {
            "rounds": plan.rounds,
            "scale": plan.scale,
            "modes": plan.modes,
            "workloads": {name: _describe(name, plan) for name in plan.workloads},
        },
        "figures": [attrs.asdict(figure) for figure in figures],
    }


def _describe(name: str, plan: Plan) -> dict[str, object]:
    workload = WORKLOADS[name]
    return {"sample": workload.sample, "counted": workload.counted, "size": repr(workload.at(plan.scale))}
