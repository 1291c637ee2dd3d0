"""What the audience sees, whatever it is drawn on."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from resonate_trio import Instrument

from .graph import CallGraph
from .report import Report, Scene


class Screen(ABC):
    """Shows the demo as it goes on.

    Attributes:
        graph: the call graph; it is up to date whenever something is told here.
    """

    def __init__(self) -> None:
        self.graph = CallGraph()

    @abstractmethod
    def open(self) -> AbstractAsyncContextManager[None]:
        """Begin to show, for the block."""

    @abstractmethod
    def process_starting(self, name: str) -> None:
        """Show that a process is being started."""

    @abstractmethod
    def process_started(self, name: str, pid: int) -> None:
        """Show that a process is ready."""

    @abstractmethod
    def process_killed(self, name: str) -> None:
        """Show that a process was killed."""

    @abstractmethod
    def observer(self, process: str) -> Instrument:
        """Return the instrument to which the events of a process are told, after the graph has them."""

    @abstractmethod
    def said(self, text: str) -> None:
        """Show what the demo does to the flow."""

    @abstractmethod
    def began(self, scene: Scene) -> None:
        """Show that a flow begins."""

    @abstractmethod
    def ended(self, report: Report) -> None:
        """Show that the flow has ended."""

    @abstractmethod
    def show_table(self, reports: Sequence[Report]) -> None:
        """Show how all flows ended."""
