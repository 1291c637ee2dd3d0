"""One remote call while all workers are idle: what is left when nothing has to wait for anything else."""

from collections.abc import Sequence
from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import Calls, Mode, System

from ._base import ALL_MODES, Scale, measured


@final
@frozen
class RoundTrip:
    """Single calls from outside to an idle worker and back.

    Attributes:
        calls: how many, one after the other.
    """

    name: ClassVar[str] = "round-trip"
    sample: ClassVar[str] = "call"
    counted: ClassVar[str] = "calls"
    modes: ClassVar[Sequence[Mode]] = ALL_MODES
    is_long: ClassVar[bool] = False
    is_alone: ClassVar[bool] = False

    calls: int = 100

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls(calls=30)
            case Scale.TINY:
                return cls(calls=3)

    async def measure(self, system: System, mode: Mode) -> list[Measurement]:
        """Make the calls, one after the other."""
        times = await system.time_calls(Calls("echo", [1], 1, self.calls))
        return [measured("idle workers", times, self.calls)]
