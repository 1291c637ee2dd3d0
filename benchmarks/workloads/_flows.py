"""Many durable functions side by side, each with its steps one after the other."""

from collections.abc import Sequence
from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import Calls, Mode, System

from ._base import ALL_MODES, Scale, measured


@final
@frozen
class Flows:
    """Concurrent flows of local steps.

    Attributes:
        sizes: how many at the same time, one case for each.
        steps: how many steps each has.
    """

    name: ClassVar[str] = "flows"
    sample: ClassVar[str] = "flow"
    counted: ClassVar[str] = "steps"
    modes: ClassVar[Sequence[Mode]] = ALL_MODES
    is_long: ClassVar[bool] = False
    is_alone: ClassVar[bool] = False

    sizes: Sequence[int] = (10, 30, 100, 300)
    steps: int = 20

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls((10, 30, 100))
            case Scale.TINY:
                return cls((2, 3), steps=2)

    async def measure(self, system: System, mode: Mode) -> list[Measurement]:
        """Start all flows of a case at once, wait for all."""
        measurements = []
        for flows in self.sizes:
            times = await system.time_calls(Calls("steps", [self.steps], self.steps, flows, flows))
            measurements.append(measured(f"{flows} × {self.steps}", times, flows * self.steps, size=flows))
        return measurements
