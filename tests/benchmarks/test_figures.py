"""From times to figures."""

import pytest

from benchmarks._figures import Figure, Measurement, Summary, percentile


def test_summary_pools_the_samples_of_all_measurements() -> None:
    """Median and percentile go over all samples; the rate is all operations over all of the time."""
    summary = Summary.of([
        Measurement("n = 3", [1_000_000, 5_000_000, 2_000_000], 6, 8_000_000),
        Measurement("n = 3", [3_000_000, 4_000_000], 4, 12_000_000),
    ])
    assert summary == Summary(samples=5, median_ms=3.0, p95_ms=5.0, rate=500.0)


@pytest.mark.parametrize(("count", "expected"), [(1, 0), (20, 18), (21, 19), (100, 94), (1000, 949)])
def test_percentile_is_a_sample_that_95_of_100_do_not_exceed(count: int, expected: int) -> None:
    """It is one of the samples, the smallest that at least 95 % of them do not exceed."""
    assert percentile(range(count), 95) == expected


def test_one_bad_round_does_not_move_a_figure() -> None:
    """A figure is the median of its rounds; what else was measured is the median of the measurements."""
    measurements = [
        Measurement("n = 1", [ns], 1, ns, amounts={"KiB": kib})
        for ns, kib in ((2_000_000, 5.0), (900_000_000, 90.0), (4_000_000, 6.0))
    ]
    rounds = [Summary.of([measurement]) for measurement in measurements]
    figure = Figure("steps", "n = 1", "http", Summary.of(measurements), rounds)
    assert (figure.median_ms, figure.rate) == (4.0, 250.0)
    assert figure.total.amounts == {"KiB": 6.0}
