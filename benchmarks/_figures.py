"""From times to figures: median, 95th percentile and rate. Pure."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Self, final

from attrs import evolve, frozen

NS_PER_SECOND = 1_000_000_000
NS_PER_MS = 1_000_000


@final
@frozen
class Measurement:
    """What one case of a workload took in one round.

    Attributes:
        case: what tells it from the other cases of its workload, such as its size.
        samples_ns: times of what the workload samples.
        operations: how much was done in all, in what the workload counts.
        elapsed_ns: how long all of it took, by the clock on the wall.
    """

    case: str
    samples_ns: Sequence[int]
    operations: int
    elapsed_ns: int


@final
@frozen
class Summary:
    """What a set of times comes to.

    Attributes:
        samples: how many times there are.
        median_ms: half of them are not above this.
        p95_ms: 95 of 100 of them are not above this.
        rate: operations per second.
    """

    samples: int
    median_ms: float
    p95_ms: float
    rate: float

    @classmethod
    def of(cls, measurements: Iterable[Measurement]) -> Self:
        """Summarise measurements of one case. There must be a sample in them."""
        measurements = list(measurements)
        times = sorted(ns for measurement in measurements for ns in measurement.samples_ns)
        elapsed_ns = sum(measurement.elapsed_ns for measurement in measurements)
        return cls(
            len(times),
            statistics.median(times) / NS_PER_MS,
            percentile(times, 95) / NS_PER_MS,
            sum(measurement.operations for measurement in measurements) * NS_PER_SECOND / elapsed_ns,
        )


@final
@frozen
class Figure:
    """One line of the table: a case of a workload on a system, over all rounds.

    Attributes:
        workload: its name.
        case: what tells it from the other cases of its workload.
        mode: the system it ran on.
        total: all rounds together.
        rounds: each round for itself, so that a reader sees how far they agree.
        ratio: the median as a multiple of that of the workload's first case; None where that says nothing.
    """

    workload: str
    case: str
    mode: str
    total: Summary
    rounds: Sequence[Summary]
    ratio: float | None = None

    def relative_to(self, first: "Figure") -> "Figure":
        """Return this figure with its ratio to another one."""
        return evolve(self, ratio=self.total.median_ms / first.total.median_ms)


def percentile(times: Sequence[int], percent: int) -> int:
    """Return the smallest of some ordered times that `percent` of 100 of them do not exceed."""
    return times[max(0, math.ceil(len(times) * percent / 100) - 1)]
