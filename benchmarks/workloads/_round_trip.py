"""One remote call while all workers are idle: what is left when nothing has to wait for anything else."""

from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import System

from ._base import Scale, timed_call


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
    is_curve: ClassVar[bool] = False

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

    async def measure(self, system: System) -> list[Measurement]:
        """Make the calls, one after the other."""
        times = [await timed_call(system, "echo", call, expected=call) for call in range(self.calls)]
        return [Measurement("idle workers", times, len(times), sum(times))]
