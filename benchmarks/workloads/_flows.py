"""Many durable functions side by side, each with its steps one after the other."""

from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import System

from ._base import Scale, run_side_by_side, timed_call


@final
@frozen
class Flows:
    """Concurrent flows of local steps.

    Attributes:
        flows: how many at the same time.
        steps: how many steps each has.
    """

    name: ClassVar[str] = "flows"
    sample: ClassVar[str] = "flow"
    counted: ClassVar[str] = "steps"
    is_curve: ClassVar[bool] = False

    flows: int = 100
    steps: int = 20

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls(flows=30)
            case Scale.TINY:
                return cls(flows=3, steps=2)

    async def measure(self, system: System) -> list[Measurement]:
        """Start all flows at once, wait for all."""

        async def flow() -> int:
            return await timed_call(system, "steps", self.steps, expected=self.steps)

        times, elapsed_ns = await run_side_by_side(flow, jobs=self.flows, width=self.flows)
        return [Measurement(f"{self.flows} × {self.steps}", times, self.flows * self.steps, elapsed_ns)]
