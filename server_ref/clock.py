"""Clocks. Everything in the server that needs an instant is given one; nothing reads the time by itself."""

import time
from typing import Protocol, final

import anyio


class Clock(Protocol):
    """Tells the instant: Unix time in milliseconds.

    A clock may be set back while it is read; the engine sees to it that its own time never goes backwards.
    """

    def now_ms(self) -> int:
        """Return the instant."""


@final
class SystemClock:
    """The clock on the wall."""

    def now_ms(self) -> int:
        """Return the instant."""
        return time.time_ns() // 1_000_000


@final
class LoopClock:
    """The event loop's clock, counted from `epoch_ms`: virtual time where the loop's time is virtual."""

    def __init__(self, epoch_ms: int) -> None:
        self._epoch_ms = epoch_ms
        self._start = anyio.current_time()

    def now_ms(self) -> int:
        """Return the instant."""
        # Rounded, not cut: after a sleep of exactly n milliseconds, n milliseconds have passed.
        return self._epoch_ms + round((anyio.current_time() - self._start) * 1000)
