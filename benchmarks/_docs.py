"""The generated part of docs/explanation/performance.md: tables to include, and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast

import orjson

from ._figures import Figure
from ._goals import Verdict, judge
from ._pictures import draw
from ._report import figures_of
from .workloads import WORKLOADS, Scale

FOLDER: Final = Path(__file__).parents[1] / "docs" / "explanation" / "performance"
"""Where it goes. The tables end in `.inc`, so that nobody takes them for pages of their own."""
PICTURES: Final = (
    "peers", "steps", "rfcs", "fan-out", "flows", "memory-parked", "memory-stored", "dispatch"
)  # fmt: skip
"""The pictures in the order of the page."""


def write_docs(document: Mapping[str, object], folder: Path = FOLDER) -> None:
    """Write tables and pictures of a run, and the run itself, in place of those of the last one.

    Args:
        document: the run, as `to_document` describes it.
        folder: where they go.
    """
    figures = figures_of(document)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    pictures = draw(figures)
    for name, svg in pictures.items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    texts = {
        "machine": facts_text(document),
        "goals": goals_text(judge(figures)),
        "figures": figures_text(figures),
        "pictures": "\n\n".join(f"![{name}](performance/{name}.svg)" for name in PICTURES if name in pictures),
    }
    for name, text in texts.items():
        (folder / f"{name}.inc").write_text(text + "\n", encoding="utf-8")
    (folder / "results.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def facts_text(document: Mapping[str, object]) -> str:
    """Return in a few words what ran where."""
    facts = cast("Mapping[str, object]", document["facts"])
    parameters = cast("Mapping[str, object]", document["parameters"])
    peers = cast("Mapping[str, str]", facts.get("peers", {}))
    about = {
        "processors": f"{facts['cpus']} × {facts['machine']}, load when it began {_load(facts)}",
        "system": f"{facts['system']}, {facts['python']}, SQLite {facts['sqlite']}",
        "ours": f"commit {facts['commit']}" + (" with changes" if facts["uncommitted_changes"] else ""),
        **peers,
        "rounds": str(parameters["rounds"]),
    }
    if left_out := cast("Sequence[str]", facts.get("left_out", ())):
        about["left out"] = "; ".join(left_out).replace("|", "/")
    lines = ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in about.items())]
    if parameters["scale"] != Scale.FULL:
        lines[:0] = [f"**A look in passing (scale “{parameters['scale']}”): no figures to quote.**", ""]
    return "\n".join(lines)


def _load(facts: Mapping[str, object]) -> str:
    return f"{cast('Sequence[float]', facts['load_average'])[0]:.1f}"


def goals_text(verdicts: Sequence[Verdict]) -> str:
    """Return the goals as a table."""
    rows = [
        f"| {each.what} | {each.wanted} | {each.found} | {'met' if each.is_met else '**not met**'} |"
        for each in verdicts
    ]
    return "\n".join(["| what | at least | found | |", "|---|---|---|---|", *rows])


def figures_text(figures: Sequence[Figure]) -> str:
    """Return a table with a line for each case of a workload and a column for each system."""
    modes = list(dict.fromkeys(figure.mode for figure in figures))
    cases = list(dict.fromkeys((figure.workload, figure.case) for figure in figures))
    cells = {(figure.workload, figure.case, figure.mode): _cell(figure) for figure in figures}
    heading = f"| workload | case | {' | '.join(modes)} |"
    rows = [
        f"| {workload} | {case} | {' | '.join(cells.get((workload, case, mode), '') for mode in modes)} |"
        for workload, case in cases
    ]
    return "\n".join([heading, "|---" * (2 + len(modes)) + "|", *rows])


def _cell(figure: Figure) -> str:
    parts = [f"{figure.rate:,.0f} {WORKLOADS[figure.workload].counted}/s", f"{figure.median_ms:,.2f} ms"]
    parts += [f"{amount:,.1f} {name}" for name, amount in figure.total.amounts.items()]
    return "<br>".join(parts)
