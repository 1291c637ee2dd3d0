"""Remote calls one after the other in one durable function: after each it goes on where it was."""

from collections.abc import Sequence
from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import Mode, System

from ._base import ALL_MODES, Scale, measure_sequences


@final
@frozen
class Rfcs:
    """Sequential calls of a function that another worker executes.

    Attributes:
        sizes: how many calls a flow makes, and how many such flows are run.
    """

    name: ClassVar[str] = "rfcs"
    sample: ClassVar[str] = "call"
    counted: ClassVar[str] = "calls"
    modes: ClassVar[Sequence[Mode]] = ALL_MODES
    is_long: ClassVar[bool] = False
    is_alone: ClassVar[bool] = False

    sizes: Sequence[tuple[int, int]] = ((10, 10), (30, 5), (100, 3), (300, 1), (1_000, 1))

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls(((10, 3), (30, 1), (100, 1)))
            case Scale.TINY:
                return cls(((2, 1), (4, 1)))

    async def measure(self, system: System, mode: Mode) -> list[Measurement]:
        """Run flows of each size, one after the other."""
        return await measure_sequences(system, mode, "calls", self.sizes)
