"""Cron expressions, in UTC, the slow way: look at every second until one matches."""

from datetime import UTC, datetime, timedelta
from typing import Final

Field = set[int]

FIELDS: Final[tuple[tuple[int, int], ...]] = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6), (1970, 2099))
"""The bounds of second, minute, hour, day, month, day of the week (0 is Sunday), and year."""
SEARCHED_S: Final = 2 * 24 * 3600
"""How far (s) the search goes: the expressions that the model is used with match sooner, or never."""


def is_cron(text: str) -> bool:
    """Tell whether it is an expression that can be understood."""
    try:
        _read(text)
    except ValueError:
        return False
    return True


def next_run_after(text: str, now: int) -> int:
    """Return the first instant (ms) after `now` (ms) that an expression matches.

    Raises:
        ValueError: none does within the time searched.
    """
    fields = _read(text)
    instant = datetime.fromtimestamp(now // 1000, UTC)
    for _ in range(SEARCHED_S):
        instant += timedelta(seconds=1)
        if _matches(fields, instant):
            return int(instant.timestamp()) * 1000
    raise ValueError(f"{text!r} matches nothing within {SEARCHED_S} s")


def _matches(fields: list[Field], instant: datetime) -> bool:
    weekday = instant.isoweekday() % 7
    date = (instant.second, instant.minute, instant.hour, instant.day, instant.month, weekday, instant.year)
    return all(part in field for part, field in zip(date, fields, strict=True))


def _read(text: str) -> list[Field]:
    """Read five fields, six with leading seconds, or seven with a trailing year too."""
    words = text.split()
    if len(words) == 5:
        words = ["0", *words]
    if len(words) == 6:
        words = [*words, "*"]
    if len(words) != 7:
        raise ValueError(f"{text!r} has not 5, 6 or 7 fields")
    return [_read_field(word, *bounds) for word, bounds in zip(words, FIELDS, strict=True)]


def _read_field(word: str, low: int, high: int) -> Field:
    """Read `*`, `*/n`, `n` or `n,m`: enough for what the model is used with."""
    if word == "*":
        return set(range(low, high + 1))
    if word.startswith("*/"):
        return set(range(low, high + 1, int(word.removeprefix("*/"))))
    field = {int(part) for part in word.split(",")}
    if not all(low <= number <= high for number in field):
        raise ValueError(f"{word!r} is out of bounds")
    return field
