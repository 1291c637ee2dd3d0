"""The demo in plain lines, for files, pipes and terminals that cannot draw."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import final

import click
import trio
from rich.console import Console

from resonate_trio import DivergenceError, Instrument
from resonate_trio._instrument import InvocationKind

from .report import Report, Scene
from .screen import Screen
from .table import table


@final
class PlainScreen(Screen):
    """Prints a line for everything that happens."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.invoked: set[str] = set()
        self._console = console
        self._began_at = 0.0

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Measure the time from here on."""
        self._began_at = trio.current_time()
        yield

    def process_starting(self, name: str) -> None:
        """Print nothing: the line comes when it has started."""

    def process_started(self, name: str, pid: int) -> None:
        """Print it, with its id."""
        self.happened(name, f"started, as process {pid}")

    def process_killed(self, name: str) -> None:
        """Print it."""
        self.happened(name, "killed by SIGKILL")

    def observer(self, process: str) -> Instrument:
        """Return an instrument that prints."""
        return _Printer(self, process)

    def said(self, text: str) -> None:
        """Print it."""
        self.happened("", text)

    def began(self, scene: Scene) -> None:
        """Print a heading."""
        self._began_at = trio.current_time()
        click.echo(f"\n{scene.name}: {scene.story}")

    def ended(self, report: Report) -> None:
        """Print the result."""
        self.happened("", f"result: {report.result_text}")

    def show_table(self, reports: Sequence[Report]) -> None:
        """Print the table."""
        self._console.print(table(reports))

    def happened(self, process: str, what: str) -> None:
        """Print a line, with the time since the flow began."""
        click.echo(f"{trio.current_time() - self._began_at:6.2f} s  {process:<6}  {what}")


@final
class _Printer(Instrument):
    """Prints the events of one process."""

    def __init__(self, screen: PlainScreen, process: str) -> None:
        self._screen = screen
        self._process = process

    def task_started(self, id: str, function: str) -> None:
        """Print it."""
        self._print(f"{function} begins")

    def task_suspended(self, id: str) -> None:
        """Print it."""
        self._print(f"{self._name(id)} is suspended")

    def task_resumed(self, id: str) -> None:
        """Print it."""
        self._print(f"{self._name(id)} goes on where it was")

    def task_finished(self, id: str, state: str) -> None:
        """Print it."""
        self._print(f"{self._name(id)} is {state}")

    def task_dropped(self, id: str, reason: str) -> None:
        """Print it."""
        self._print(f"{self._name(id)} is dropped: {reason}")

    def task_halted(self, id: str, error: DivergenceError) -> None:
        """Print it."""
        self._print(f"{self._name(id)} is halted: {error}")

    def invoked(self, id: str, kind: InvocationKind, name: str, parent: str) -> None:
        """Print it, but not again for each replay."""
        if id not in self._screen.invoked:
            self._screen.invoked.add(id)
            self._print(f"{self._name(parent)} invokes {name} ({kind})")

    def step_executed(self, id: str, function: str) -> None:
        """Print it."""
        self._print(f"{function} is executed")

    def step_replayed(self, id: str, function: str) -> None:
        """Print it."""
        self._print(f"{function} is replayed: its outcome was stored")

    def _name(self, id: str) -> str:
        return self._screen.graph.invocation(id).name

    def _print(self, what: str) -> None:
        self._screen.happened(self._process, what)
