"""Many remote invocations at once by one durable function, executed by one other worker."""

from collections.abc import Sequence
from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import Mode, System

from ._base import ALL_MODES, Scale, measure_sequences


@final
@frozen
class FanOut:
    """A fan-out and its fan-in.

    Attributes:
        sizes: how many children a flow has, and how many such flows are run.
    """

    name: ClassVar[str] = "fan-out"
    sample: ClassVar[str] = "child"
    counted: ClassVar[str] = "children"
    modes: ClassVar[Sequence[Mode]] = ALL_MODES
    is_long: ClassVar[bool] = False
    is_alone: ClassVar[bool] = False

    sizes: Sequence[tuple[int, int]] = ((10, 10), (100, 3), (300, 2), (1_000, 1))

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls(((10, 3), (100, 1), (300, 1)))
            case Scale.TINY:
                return cls(((3, 1), (5, 1)))

    async def measure(self, system: System, mode: Mode) -> list[Measurement]:
        """Run flows of each size, one after the other."""
        return await measure_sequences(system, mode, "fan_out", self.sizes)
