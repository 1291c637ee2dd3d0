"""Where the time comes from, and how long to wait before trying again."""

import math

import pytest

from resonate_trio._backoff import CAP, INITIAL, Backoff
from resonate_trio._clock import FOREVER_MS, SystemClock, deadline_ms


def test_delays_are_drawn_from_zero_up() -> None:
    """Full jitter: clients that lost a server together do not come back together."""
    backoff = Backoff()
    first = [Backoff().next_delay() for _ in range(200)]
    for _ in range(50):
        backoff.next_delay()
    late = [backoff.next_delay() for _ in range(200)]
    assert 0 <= min(first) < 0.2 * INITIAL < 0.8 * INITIAL < max(first) <= INITIAL
    assert 0 <= min(late) < 0.2 * CAP < 0.8 * CAP < max(late) <= CAP


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, FOREVER_MS), (math.inf, FOREVER_MS), (1e300, FOREVER_MS), (1.5, 2500), (0, 1000), (-1, 1000)],
)
def test_deadline_lies_so_many_seconds_ahead(seconds: float | None, expected: int) -> None:
    """None is for ever; no deadline lies in the past, or beyond what a double can hold."""
    assert deadline_ms(1000, seconds) == expected


def test_system_clock_tells_unix_time() -> None:
    """In milliseconds."""
    assert 1.7e12 < SystemClock().now_ms() < 1e13
