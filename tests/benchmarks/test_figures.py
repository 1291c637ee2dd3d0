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


def test_ratio_is_that_of_the_medians() -> None:
    """A figure relative to another one has the quotient of their medians."""
    first = Figure("steps", "n = 1", "http", Summary(1, 2.0, 2.0, 500.0), [])
    second = Figure("steps", "n = 9", "http", Summary(1, 3.0, 3.0, 333.0), [])
    assert second.relative_to(first).ratio == pytest.approx(1.5)
