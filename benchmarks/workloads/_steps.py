"""Local steps one after the other in one durable function: how many came before must not matter."""

from collections.abc import Sequence
from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import System

from ._base import Scale, measure_sequence


@final
@frozen
class Steps:
    """Sequential local steps.

    Attributes:
        sizes: how many steps a flow has, and how many such flows are run.
    """

    name: ClassVar[str] = "steps"
    sample: ClassVar[str] = "step"
    counted: ClassVar[str] = "steps"
    is_curve: ClassVar[bool] = True

    sizes: Sequence[tuple[int, int]] = ((100, 5), (1_000, 2), (5_000, 1))

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls(((100, 3), (1_000, 1)))
            case Scale.TINY:
                return cls(((2, 1), (4, 1)))

    async def measure(self, system: System) -> list[Measurement]:
        """Run flows of each size, one after the other."""
        return [await measure_sequence(system, "steps", size, repeats=flows) for size, flows in self.sizes]
