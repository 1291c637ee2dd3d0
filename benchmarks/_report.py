"""How figures are shown: a table to read, and a document to keep. Pure."""

from collections.abc import Mapping, Sequence

import attrs
from cattrs.preconf.orjson import make_converter
from rich import box
from rich.table import Table

from ._figures import Figure
from ._goals import Verdict
from ._runner import Plan
from .systems import Mode
from .workloads import WORKLOADS


def to_table(figures: Sequence[Figure]) -> Table:
    """Return the figures as a table."""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, caption="http ×: how many times the rate of this the mode http has"
    )
    for heading in ("workload", "case", "mode"):
        table.add_column(heading, no_wrap=True)
    for heading in ("samples", "median ms", "p95 ms"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("per", no_wrap=True)
    for heading in ("rate", "http ×"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("also")
    ours = {(figure.workload, figure.case): figure for figure in figures if figure.mode == Mode.HTTP}
    for figure, following in zip(figures, [*figures[1:], None], strict=True):
        is_last = following is None or following.workload != figure.workload
        table.add_row(*_cells(figure, ours.get((figure.workload, figure.case))), end_section=is_last)
    return table


def _cells(figure: Figure, beside: Figure | None) -> tuple[str, ...]:
    workload = WORKLOADS[figure.workload]
    return (
        figure.workload,
        figure.case,
        figure.mode,
        f"{figure.total.samples:,}",
        f"{figure.median_ms:.3f}",
        f"{figure.total.p95_ms:.3f}",
        workload.sample,
        f"{figure.rate:,.0f} {workload.counted}/s",
        "" if beside is None or beside is figure else f"{beside.rate / figure.rate:.2f}",
        ", ".join(f"{name}: {amount:,.1f}" for name, amount in figure.total.amounts.items()),
    )


def to_goals(verdicts: Sequence[Verdict]) -> Table:
    """Return the verdicts as a table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("goal", "at least", "found", ""):
        table.add_column(heading)
    for verdict in verdicts:
        table.add_row(verdict.what, verdict.wanted, verdict.found, "met" if verdict.is_met else "NOT met")
    return table


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


def figures_of(document: Mapping[str, object]) -> list[Figure]:
    """Return the figures in a document."""
    return make_converter().structure(document["figures"], list[Figure])


def _describe(name: str, plan: Plan) -> dict[str, object]:
    workload = WORKLOADS[name]
    return {"sample": workload.sample, "counted": workload.counted, "size": repr(workload.at(plan.scale))}
