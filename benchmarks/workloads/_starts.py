"""Functions that do nothing: what it costs to start one and to learn that it has ended."""

from collections.abc import Sequence
from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import Calls, Mode, System

from ._base import ALL_MODES, Scale, measured


@final
@frozen
class Starts:
    """Starts of an empty function, waited for.

    Attributes:
        starts: how many in all.
        width: how many at the same time.
    """

    name: ClassVar[str] = "starts"
    sample: ClassVar[str] = "start"
    counted: ClassVar[str] = "starts"
    modes: ClassVar[Sequence[Mode]] = ALL_MODES
    is_long: ClassVar[bool] = False
    is_alone: ClassVar[bool] = False

    starts: int = 640
    width: int = 64

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls(starts=192)
            case Scale.TINY:
                return cls(starts=4, width=2)

    async def measure(self, system: System, mode: Mode) -> list[Measurement]:
        """Keep `width` of them running until all have ended."""
        times = await system.time_calls(Calls("empty", [], None, self.starts, self.width))
        return [measured(f"{self.width} at a time", times, self.starts)]
