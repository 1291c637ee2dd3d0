"""Local steps one after the other in one durable function: how many came before must not matter."""

from collections.abc import Sequence
from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import Mode, System

from ._base import ALL_MODES, Scale, measure_sequences


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
    modes: ClassVar[Sequence[Mode]] = ALL_MODES
    is_long: ClassVar[bool] = False
    is_alone: ClassVar[bool] = False

    sizes: Sequence[tuple[int, int]] = ((50, 10), (200, 5), (1_000, 2), (5_000, 1))

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls(((50, 3), (200, 1), (1_000, 1)))
            case Scale.TINY:
                return cls(((2, 1), (4, 1)))

    async def measure(self, system: System, mode: Mode) -> list[Measurement]:
        """Run flows of each size, one after the other."""
        return await measure_sequences(system, mode, "steps", self.sizes)
