"""Pictures of figures, as SVG. Pure."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element

import pygal
from pygal.style import Style

from ._figures import Figure
from .systems import Mode

# For its maps, which we do not draw, pygal leaves a finder of an old kind among those of Python's imports.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]

COLOURS: Final[Mapping[Mode, str]] = {
    Mode.HTTP: "#0b6e99",
    Mode.EMBEDDED_MEMORY: "#7cc4e0",
    Mode.EMBEDDED_DISK: "#3f9ac0",
    Mode.RESTATE: "#d9730d",
    Mode.DBOS: "#6f9a37",
    Mode.RESONATE_SDK: "#9b4d8f",
}
"""The same for a system in all pictures."""

CURVES: Final[Mapping[str, tuple[str, str]]] = {
    "steps": ("Sequential local steps in one function", "ms for each step"),
    "rfcs": ("Sequential remote calls in one function", "ms for each call"),
    "fan-out": ("A fan-out: wall time by the number of children", "ms for each child"),
    "flows": ("Concurrent flows of 20 steps", "ms for each step of any flow"),
}
"""The workloads whose cases are the same work at growing sizes: the title and the measure of their pictures."""

AMOUNTS: Final[Sequence[tuple[str, str, str, str]]] = (
    ("parked", "memory-parked", "worker MiB", "A worker's memory by parked executions"),
    ("sleepers", "memory-stored", "server MiB", "The server's memory by suspended executions"),
)
"""Pictures of what else was measured: the workload, the name of the picture, the amount, the title."""

BARS: Final[Sequence[tuple[str, int | None]]] = (
    ("steps", 1_000),
    ("rfcs", 100),
    ("fan-out", 1_000),
    ("flows", 100),
    ("starts", None),
)
"""What is compared with the peers, and at which size at most."""


def draw(figures: Sequence[Figure]) -> dict[str, str]:
    """Return the pictures that the figures give, as SVG by name."""
    pictures = {name: _curve(figures, name, *CURVES[name]) for name in CURVES if _of(figures, name)}
    for workload, name, amount, title in AMOUNTS:
        if _of(figures, workload):
            pictures[name] = _line(_of(figures, workload), title, amount, _amount(amount))
    if _of(figures, "sleepers"):
        title = "A call of an idle worker by suspended executions on the server"
        pictures["dispatch"] = _line(_of(figures, "sleepers"), title, "ms", lambda each: each.median_ms)
    if any(_of(figures, name) for name, _ in BARS):
        pictures["peers"] = _bars(figures)
    return pictures


def _amount(name: str) -> Callable[[Figure], float]:
    return lambda figure: figure.total.amounts[name]


def _of(figures: Sequence[Figure], workload: str) -> list[Figure]:
    return [figure for figure in figures if figure.workload == workload and figure.size is not None]


def _curve(figures: Sequence[Figure], workload: str, title: str, measure: str) -> str:
    return _line(_of(figures, workload), title, measure, lambda each: 1000 / each.rate, is_logarithmic=True)


def _line(
    figures: Sequence[Figure],
    title: str,
    measure: str,
    value: Callable[[Figure], float],
    *,
    is_logarithmic: bool = False,
) -> str:
    """Return a picture with a line for each system, and a column for each size."""
    sizes = sorted({figure.size for figure in figures if figure.size is not None})
    modes = [mode for mode in COLOURS if any(figure.mode == mode for figure in figures)]
    chart = pygal.Line(
        **_options(title, f"{measure}, by n", [COLOURS[mode] for mode in modes]),
        logarithmic=is_logarithmic,
        show_x_guides=True,
    )
    values = [value(figure) for figure in figures]
    if is_logarithmic:
        chart.y_labels = _marks(min(values), max(values))
    else:
        chart.range = (0, 1.1 * max(values))
    chart.x_labels = [f"{size:,}" for size in sizes]
    for mode in modes:
        points = {figure.size: value(figure) for figure in figures if figure.mode == mode}
        chart.add(mode.value, [points.get(size) for size in sizes])
    return _render(chart)


def _bars(figures: Sequence[Figure]) -> str:
    """Return a picture with a group of bars for each workload: the rate of each system."""
    names = [name for name, _ in BARS]
    rates = {(name, mode): _rate(figures, name, mode, size) for name, size in BARS for mode in COLOURS}
    modes = [mode for mode in COLOURS if any(rates[name, mode] for name in names)]
    chart = pygal.Bar(
        **_options("Beside the peers", "a second", [COLOURS[mode] for mode in modes]), logarithmic=True
    )
    chart.x_labels = names
    known = [rate for rate in rates.values() if rate is not None]
    chart.y_labels = marks = _marks(min(known), max(known))
    chart.zero, chart.range = marks[0], (marks[0], marks[-1])
    for mode in modes:
        chart.add(mode.value, [rates[name, mode] for name in names])
    return _render(chart)


def _marks(least: float, most: float) -> list[float]:
    """Return the marks of a logarithmic scale around some values: 1, 2 and 5 times each power of ten."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    marks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    below = max(mark for mark in marks if mark <= least)
    above = min(mark for mark in marks if mark >= most)
    return [mark for mark in marks if below <= mark <= above]


def _rate(figures: Sequence[Figure], workload: str, mode: Mode, size: int | None) -> float | None:
    fitting = [
        figure
        for figure in figures
        if figure.workload == workload and figure.mode == mode and (size is None or (figure.size or 0) <= size)
    ]
    return max(fitting, key=lambda figure: figure.size or 0).rate if fitting else None


def _options(title: str, measure: str, colours: Sequence[str]) -> dict[str, Any]:
    style = Style(
        background="#ffffff",
        plot_background="#ffffff",
        foreground="#333333",
        foreground_strong="#111111",
        foreground_subtle="#777777",
        colors=tuple(colours),
        guide_stroke_color="#dddddd",
        major_guide_stroke_color="#bbbbbb",
        guide_stroke_dasharray="none",
        major_guide_stroke_dasharray="none",
        opacity="1",
        font_family="sans-serif",
        title_font_size=18,
        label_font_size=13,
        major_label_font_size=13,
        legend_font_size=13,
    )
    return {
        "style": style,
        "title": title,
        "y_title": measure,
        "width": 820,
        "height": 420,
        "legend_at_bottom": True,
        "legend_at_bottom_columns": 3,
        "dots_size": 4,
        "stroke_style": {"width": 2},
        "value_formatter": lambda value: f"{value:,.4g}",
        "truncate_legend": -1,
        "explicit_size": True,
        "js": [],
        "no_prefix": True,
        "disable_xml_declaration": True,
    }


def _render(chart: Any) -> str:
    """Return a chart as SVG without the scripts, which a page does not run in a picture."""
    chart.add_xml_filter(_without_scripts)
    text: str = chart.render(is_unicode=True)
    return text + "\n"


def _without_scripts(root: Element) -> Element:
    for parent in list(root.iter()):
        for child in [child for child in parent if str(child.tag).endswith("script")]:
            parent.remove(child)
    return root
