"""Where the SDK reads the time, so that a test can put another one in its place."""

import math
import time
from typing import Protocol, final


class Clock(Protocol):
    """Unix time, in milliseconds."""

    def now_ms(self) -> int:
        """Return the present instant."""


@final
class SystemClock:
    """The wall clock of this machine."""

    def now_ms(self) -> int:
        """Return the present instant."""
        return time.time_ns() // 1_000_000


FOREVER_MS = 2**53 - 1
"""The deadline of what has none. Not 2^63 − 1: clients whose numbers are doubles must be able to send it back."""


NEVER_S = 100 * 365 * 86_400.0
"""A deadline that is further away (s) is not waited for."""


def seconds_until(instant_ms: int, now_ms: int) -> float:
    """Return how long it is until an instant; less than 0 if it is past, infinity if it is never waited for."""
    seconds = (instant_ms - now_ms) / 1000
    return seconds if seconds < NEVER_S else math.inf


def deadline_ms(now_ms: int, seconds: float | None) -> int:
    """Return the instant that lies `seconds` (None: for ever) after `now_ms`."""
    if seconds is None or seconds >= (FOREVER_MS - now_ms) / 1000:
        return FOREVER_MS
    return now_ms + max(0, round(seconds * 1000))
