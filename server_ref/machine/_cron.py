"""Cron expressions: 5 fields, 6 (leading seconds) or 7 (trailing years), in UTC."""

import datetime
import re
from collections.abc import Iterator
from typing import Final

from croniter import croniter
from croniter.croniter import CroniterBadDateError

from resonate_trio.protocol import quoted

MAX_LENGTH: Final = 1000
"""Of an expression. It is read anew for every instant, in time that grows with its length."""
_RANDOM: Final = re.compile(r"(^|[\s,])[hr](?![a-z])", re.IGNORECASE)


def check_cron(expression: str) -> None:
    """Raise ValueError, saying why, if `expression` is none."""
    if len(expression) > MAX_LENGTH:
        raise ValueError(f"{quoted(expression)} is longer than {MAX_LENGTH} characters")
    fields = expression.split()
    if not 5 <= len(fields) <= 7:
        raise ValueError(
            f"{quoted(expression)} has {len(fields)} fields: expected 5 (minute hour day month weekday), "
            "6 (second first) or 7 (year last)"
        )
    if _RANDOM.search(expression):
        raise ValueError(f"{quoted(expression)} asks for a random or hashed instant, which is not offered")
    croniter.expand(expression, second_at_beginning=True)


def instants_after(expression: str, instant: int) -> Iterator[int]:
    """Yield the instants (ms) later than `instant` that `expression` matches, as long as there are any."""
    try:
        start = datetime.datetime.fromtimestamp(instant // 1000, datetime.UTC)
        matches = croniter(expression, start, ret_type=datetime.datetime, second_at_beginning=True)
        while True:
            yield int(matches.get_next().timestamp()) * 1000
    except (CroniterBadDateError, OverflowError, OSError, ValueError):
        # No match is left, or none before the calendar ends in the year 9999.
        return
