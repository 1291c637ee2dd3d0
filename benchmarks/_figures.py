"""From times to figures: median, 95th percentile and rate. Pure."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Self, final

from attrs import Factory, frozen

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
        size: the size of the case, where the cases are the same work at growing sizes.
        amounts: what else was measured, by a name that has the unit.
    """

    case: str
    samples_ns: Sequence[int]
    operations: int
    elapsed_ns: int
    size: int | None = None
    amounts: Mapping[str, float] = Factory(dict)


@final
@frozen
class Summary:
    """What a set of times comes to.

    Attributes:
        samples: how many times there are.
        median_ms: half of them are not above this.
        p95_ms: 95 of 100 of them are not above this.
        rate: operations per second.
        amounts: what else was measured: the median of each.
    """

    samples: int
    median_ms: float
    p95_ms: float
    rate: float
    amounts: Mapping[str, float] = Factory(dict)

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
            {
                name: statistics.median(measurement.amounts[name] for measurement in measurements)
                for name in measurements[0].amounts
            },
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
        size: the size of the case, where the cases are the same work at growing sizes.
    """

    workload: str
    case: str
    mode: str
    total: Summary
    rounds: Sequence[Summary]
    size: int | None = None

    @property
    def rate(self) -> float:
        """Operations per second: the median of the rounds, which one bad round does not move."""
        return statistics.median(summary.rate for summary in self.rounds)

    @property
    def median_ms(self) -> float:
        """The time of a sample in milliseconds: the median of the rounds' medians."""
        return statistics.median(summary.median_ms for summary in self.rounds)


def percentile(times: Sequence[int], percent: int) -> int:
    """Return the smallest of some ordered times that `percent` of 100 of them do not exceed."""
    return times[max(0, math.ceil(len(times) * percent / 100) - 1)]
