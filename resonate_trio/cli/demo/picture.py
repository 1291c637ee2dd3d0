"""One frame of the live picture: the call graph of a flow as a tree, what was done to it, and the processes."""

from enum import Enum
from typing import TYPE_CHECKING, Final, final

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from .graph import CallGraph, Invocation, State
from .report import Scene

if TYPE_CHECKING:
    from .report import Report

_LOOKS: Final[dict[State, tuple[str, str]]] = {
    State.WAITING: ("○", "yellow"),
    State.RUNNING: ("●", "bold cyan"),
    State.SUSPENDED: ("◌", "blue"),
    State.KILLED: ("✗", "bold red"),
    State.OPEN: ("○", "magenta"),
    State.DONE: ("✓", "green"),
    State.FAILED: ("✗", "bold red"),
}


class ProcessState(Enum):
    """Whether a process lives, with the mark and the style that show it."""

    STARTING = ("○", "yellow")
    RUNNING = ("●", "green")
    KILLED = ("✗", "red")


@final
class Picture:
    """What is to be drawn.

    Attributes:
        graph: what the flow is drawn from.
        processes: every process, in the order in which they were started.
        report: how the flow ended, once it has.
    """

    def __init__(self, graph: CallGraph) -> None:
        self.processes: dict[str, ProcessState] = {}
        self.report: Report | None = None
        self.graph = graph
        self._scene: Scene | None = None
        self._began_at = 0.0
        self._said: list[tuple[float, str]] = []

    def begin(self, now: float, scene: Scene) -> None:
        """Take up a flow."""
        self._scene, self._began_at = scene, now

    def say(self, now: float, text: str) -> None:
        """Add a line about what is done to the flow."""
        self._said.append((now - self._began_at, text))

    def clear(self) -> None:
        """Put the flow away."""
        self._scene = self.report = None
        self._said = []

    def draw(self, now: float, *, with_processes: bool) -> RenderableType:
        """Return the frame of the moment `now`."""
        parts: list[RenderableType] = []
        if self._scene is not None:
            parts += [self._heading(self._scene, now), _tree(self.graph, self._scene.id)]
            parts += [_line().append(f"  {seconds:5.2f} s  {text}", "italic") for seconds, text in self._said]
            parts.append("")
        if with_processes:
            parts.append(_processes(self.processes))
        return Group(*parts)

    def _heading(self, scene: Scene, now: float) -> Text:
        heading = _line().append(f"{scene.name}: ", "bold").append(f"{scene.story}  ")
        if self.report is None:
            return heading.append(f"{now - self._began_at:.1f} s", "dim")
        style = "bold red" if self.report.problems else "bold green"
        return heading.append(f"→ {self.report.result_text}", style)


def _tree(graph: CallGraph, root: str) -> Tree:
    tree = Tree(_node(graph.invocation(root)), guide_style="dim")
    _grow(tree, graph, root)
    return tree


def _grow(tree: Tree, graph: CallGraph, parent: str) -> None:
    for child in graph.children(parent):
        _grow(tree.add(_node(child)), graph, child.id)


def _node(invocation: Invocation) -> Text:
    mark, style = _LOOKS[invocation.state]
    node = _line().append(f"{mark} ", style).append(invocation.name, "bold")
    if invocation.processes:
        node.append("  " + " → ".join(invocation.processes))
    node.append(f"  {invocation.state}", style)
    if invocation.cut_off:
        node.append("  was cut off", "red")
    if invocation.replayed:
        node.append("  replayed", "dim")
    return node


def _processes(processes: dict[str, ProcessState]) -> Text:
    line = _line().append("processes", "dim")
    for name, state in processes.items():
        mark, style = state.value
        line.append("  ").append(f"{mark} {name}", style)
    return line


def _line() -> Text:
    """Return a text that stays one line at any width."""
    return Text(no_wrap=True, overflow="ellipsis")
