"""Trying again: how long to wait, and saying so once."""

import logging
import random
from typing import final

INITIAL = 0.05
FACTOR = 2.0
# Low, because a worker that is back late after a restart of its server is late with everything.
CAP = 1.0


@final
class Backoff:
    """The delays of one series of tries: exponential with full jitter, from 50 ms, at most 1 s.

    Full jitter (a uniform choice from zero up) spreads clients that lost the same server at the same moment; see
    "Exponential Backoff And Jitter" on the AWS Architecture Blog.
    """

    def __init__(self) -> None:
        self._tries = 0
        self._logged = False

    def next_delay(self) -> float:
        """Return the seconds to wait before the next try."""
        ceiling = min(CAP, INITIAL * FACTOR ** min(self._tries, 32))
        self._tries += 1
        return random.uniform(0, ceiling)

    def failed(self, logger: logging.Logger, what: str) -> None:
        """Log a failure, the first of a series only."""
        if not self._logged:
            self._logged = True
            logger.warning("%s; trying again until it is back", what)

    def reset(self) -> None:
        """End the series: it worked."""
        self._tries = 0
        self._logged = False


def describe(error: Exception) -> str:
    """Return what an error says, or what its cause says, or its name: some of those of sockets say nothing."""
    saying: BaseException | None = error
    while saying is not None and not str(saying):
        saying = saying.__cause__
    return str(saying or type(error).__name__)
