"""Functions that do nothing: what it costs to start one and to learn that it has ended."""

from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import System

from ._base import Scale, run_side_by_side, timed_call


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
    is_curve: ClassVar[bool] = False

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

    async def measure(self, system: System) -> list[Measurement]:
        """Keep `width` of them running until all have ended."""

        async def start() -> int:
            return await timed_call(system, "empty", expected=None)

        times, elapsed_ns = await run_side_by_side(start, jobs=self.starts, width=self.width)
        return [Measurement(f"{self.width} at a time", times, self.starts, elapsed_ns)]
