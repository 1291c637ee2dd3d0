"""What every workload is, and how the time of a call is taken."""

import enum
import time
from collections.abc import Awaitable, Callable
from typing import ClassVar, Protocol, Self, final

import trio

from benchmarks._figures import Measurement
from benchmarks.systems import System


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
        is_curve: its cases are the same work at growing sizes, so their ratios say how it scales.
    """

    name: ClassVar[str]
    sample: ClassVar[str]
    counted: ClassVar[str]
    is_curve: ClassVar[bool]

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""

    async def measure(self, system: System) -> list[Measurement]:
        """Do the work once; return a measurement of each case."""


@final
class WrongResultError(Exception):
    """The system returned something else than the work amounts to: its time means nothing."""


async def timed_call(system: System, function: str, *args: object, expected: object) -> int:
    """Call a durable function; return the nanoseconds that it took.

    Raises:
        WrongResultError: it did not return what was expected.
    """
    started_ns = time.perf_counter_ns()
    result = await system.call(function, *args)
    elapsed_ns = time.perf_counter_ns() - started_ns
    if result != expected:
        raise WrongResultError(f"{function}{args!r} returned {result!r}, not {expected!r}")
    return elapsed_ns


async def measure_sequence(system: System, function: str, count: int, *, repeats: int) -> Measurement:
    """Time a function that does something `count` times. A sample is the time of one of these."""
    times = [await timed_call(system, function, count, expected=count) for _ in range(repeats)]
    return Measurement(f"n = {count:,}", [ns // count for ns in times], count * repeats, sum(times))


async def run_side_by_side(job: Callable[[], Awaitable[int]], *, jobs: int, width: int) -> tuple[list[int], int]:
    """Run a job many times, `width` of them at any moment.

    Returns:
        What the jobs returned, and the nanoseconds that all of them took together.
    """
    results: list[int] = []
    numbers = iter(range(jobs))

    async def work() -> None:
        for _ in numbers:  # shared by all: whoever is free takes the next
            result = await job()
            results.append(result)

    started_ns = time.perf_counter_ns()
    async with trio.open_nursery() as nursery:
        for _ in range(width):
            nursery.start_soon(work)
    return results, time.perf_counter_ns() - started_ns
