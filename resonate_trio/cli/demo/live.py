"""The demo as a picture in a terminal that changes as the flows go on."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

import trio
from rich.console import Console
from rich.live import Live

from resonate_trio import Instrument

from .picture import Picture, ProcessState
from .report import Report, Scene
from .screen import Screen
from .table import table

FRAME: Final = 0.05
"""Seconds between two frames."""


@final
class LiveScreen(Screen):
    """Draws the flow that is going on below those that have ended, which stay as they were."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._picture = Picture(self.graph)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Draw frames until the end of the block."""
        with self._live:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._draw_frames)
                try:
                    yield
                finally:
                    nursery.cancel_scope.cancel()
                    self._live.update("", refresh=True)

    async def _draw_frames(self) -> None:
        while True:
            self._live.update(self._picture.draw(trio.current_time(), with_processes=True), refresh=True)
            await trio.sleep(FRAME)

    def process_starting(self, name: str) -> None:
        """Draw it from the next frame on."""
        self._picture.processes[name] = ProcessState.STARTING

    def process_started(self, name: str, pid: int) -> None:
        """Draw it from the next frame on."""
        self._picture.processes[name] = ProcessState.RUNNING

    def process_killed(self, name: str) -> None:
        """Draw it from the next frame on."""
        self._picture.processes[name] = ProcessState.KILLED

    def observer(self, process: str) -> Instrument:
        """Return an instrument that does nothing: the picture is drawn from the graph."""
        return Instrument()

    def said(self, text: str) -> None:
        """Draw it from the next frame on."""
        self._picture.say(trio.current_time(), text)

    def began(self, scene: Scene) -> None:
        """Draw this flow from the next frame on."""
        self._picture.begin(trio.current_time(), scene)

    def ended(self, report: Report) -> None:
        """Leave the last frame of the flow above those to come."""
        now = trio.current_time()
        self._picture.report = report
        last_frame = self._picture.draw(now, with_processes=False)
        self._picture.clear()
        # Printing draws the current frame below what is printed: that must not be this flow again.
        self._live.update(self._picture.draw(now, with_processes=True), refresh=True)
        self._console.print(last_frame)

    def show_table(self, reports: Sequence[Report]) -> None:
        """Print the table."""
        self._console.print(table(reports))
