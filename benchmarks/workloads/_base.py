"""What every workload is."""

import enum
from collections.abc import Sequence
from typing import ClassVar, Protocol, Self

from benchmarks._figures import Measurement
from benchmarks.systems import OURS, PEERS, Calls, Mode, System, Times

ALL_MODES = (*OURS, *PEERS)

LARGEST: dict[tuple[Mode, str], int] = {
    (Mode.RESONATE_SDK, "steps"): 1_000,
    (Mode.RESONATE_SDK, "calls"): 300,
    (Mode.DBOS, "steps"): 1_000,
}
"""The largest n that a function is asked for on a system where more would take minutes and tell nothing new."""


class Scale(enum.StrEnum):
    """How much of a workload is done."""

    FULL = "full"
    """As much as good figures need."""
    QUICK = "quick"
    """A look in passing: the same kinds of work, in less time."""
    TINY = "tiny"
    """Everything once: to warm up, and to see that it works."""


class Workload(Protocol):
    """Work of one kind. Its attributes, all with defaults for the full scale, say how much of it.

    Attributes:
        name: what the command line calls it.
        sample: what one sample is the time of.
        counted: what the rate counts.
        modes: the systems that can do it.
        is_long: it takes minutes, and is done only when it is asked for.
        is_alone: it leaves a system that is not fit for others: it gets one of its own.
    """

    name: ClassVar[str]
    sample: ClassVar[str]
    counted: ClassVar[str]
    modes: ClassVar[Sequence[Mode]]
    is_long: ClassVar[bool]
    is_alone: ClassVar[bool]

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""

    async def measure(self, system: System, mode: Mode) -> list[Measurement]:
        """Do the work once; return a measurement of each case."""


async def measure_sequences(
    system: System, mode: Mode, function: str, sizes: Sequence[tuple[int, int]]
) -> list[Measurement]:
    """Time a function that does something n times, for each n. A sample is the time of one of these.

    Args:
        system: does it.
        mode: which that is.
        function: its name.
        sizes: each n, and how many times the function is called with it.
    """
    measurements = []
    for count, jobs in sizes:
        if count > LARGEST.get((mode, function), count):
            break
        times = await system.time_calls(Calls(function, [count], count, jobs))
        measurements.append(measured(f"n = {count:,}", times, count * jobs, size=count, each=count))
    return measurements


def measured(case: str, times: Times, operations: int, *, size: int | None = None, each: int = 1) -> Measurement:
    """Return a measurement of some jobs.

    Args:
        case: its name.
        times: what the jobs took.
        operations: how much they did in all.
        size: of the case, if it is one of a row of sizes.
        each: how many samples one job stands for.
    """
    return Measurement(case, [ns // each for ns in times.samples_ns], operations, times.elapsed_ns, size)
