"""Retry policies: after which failures a function is tried again, and how much later.

Pure values. A policy sleeps nowhere and draws no random numbers by itself: who retries hands it the source.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, final

from attrs import field, frozen

from ._errors import UsageError

if TYPE_CHECKING:
    from attrs import Attribute

# --- Checks of what a policy is made of -----------------------------------------------------------


def _at_least(low: float) -> "Callable[[object, Attribute[float], float], None]":
    def validate(policy: object, attribute: "Attribute[float]", value: float) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and low <= value < math.inf:
            return
        raise UsageError(
            f"{type(policy).__name__}({attribute.name}={value!r}): must be a finite number, at least {low}"
        )

    return validate


def _validate_max_attempts(policy: object, _: "Attribute[int]", value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(
            f"{type(policy).__name__}(max_attempts={value!r}): must be an integer, at least 1, "
            f"or None for no limit"
        )


def _validate_non_retryable(policy: object, _: "Attribute[tuple[type, ...]]", value: object) -> None:
    is_valid = isinstance(value, tuple) and all(
        isinstance(item, type) and issubclass(item, BaseException) for item in value
    )
    if not is_valid:
        raise UsageError(
            f"{type(policy).__name__}(non_retryable={value!r}): must be a tuple of exception classes, "
            f"as (ValueError, KeyError)"
        )


# --- Policies -------------------------------------------------------------------------------------


@frozen(kw_only=True)
class _Limits:
    """When a policy gives up.

    Attributes:
        max_attempts: how often the function is called at most, the first call counted; None: no limit.
        non_retryable: exceptions after which it is not tried again, nor after a group that holds one.
    """

    max_attempts: int | None = field(default=5, validator=_validate_max_attempts)
    non_retryable: tuple[type[BaseException], ...] = field(default=(), validator=_validate_non_retryable)

    def _gives_up(self, attempt: int, error: BaseException) -> bool:
        if attempt < 1:
            raise ValueError(f"attempts are counted from 1, got {attempt}")
        if self.max_attempts is not None and attempt >= self.max_attempts:
            return True
        # What is no Exception is a signal, not a failure. A UsageError would come again: the code is wrong.
        return not isinstance(error, Exception) or _holds(error, (UsageError, *self.non_retryable))


def _holds(error: BaseException, types: tuple[type[BaseException], ...]) -> bool:
    """Tell whether `error` is one of `types`, or a group with such a member."""
    if isinstance(error, types):
        return True
    return isinstance(error, BaseExceptionGroup) and any(_holds(member, types) for member in error.exceptions)


@final
@frozen(kw_only=True)
class Exponential(_Limits):
    """Wait up to `initial` seconds, and `factor` times as long after each further failure. The default.

    Attributes:
        initial: the limit of the first delay, in seconds.
        factor: by what the limit grows.
        cap: the limit never grows beyond, in seconds.
        jitter: draw each delay evenly from 0 up to its limit ("full jitter"), so that what failed together
            is not tried again together. Off: each delay is its limit.
    """

    initial: float = field(default=0.1, validator=_at_least(0))
    factor: float = field(default=2.0, validator=_at_least(1))
    cap: float = field(default=10.0, validator=_at_least(0))
    jitter: bool = True

    def delay_after(self, attempt: int, error: BaseException, random: Callable[[], float]) -> float | None:
        """Return how many seconds to wait before the next attempt, or None to give up.

        Args:
            attempt: which attempt failed, counted from 1.
            error: what it raised.
            random: gives numbers from 0 up to 1, as `random.random`.
        """
        if self._gives_up(attempt, error):
            return None
        # Full jitter is the strategy that "Exponential Backoff And Jitter" (AWS Architecture Blog) ends up
        # with: of those compared there, it lets contending clients finish with the least work in total.
        return self._limit(attempt) * random() if self.jitter else self._limit(attempt)

    def _limit(self, attempt: int) -> float:
        try:
            return min(self.cap, self.initial * self.factor ** (attempt - 1))
        except OverflowError:
            return self.cap if self.initial else 0.0


@final
@frozen(kw_only=True)
class Linear(_Limits):
    """Wait `step` seconds, and `step` seconds longer after each further failure.

    Attributes:
        step: the first delay, and by what it grows, in seconds.
        cap: no delay is longer, in seconds.
    """

    step: float = field(default=1.0, validator=_at_least(0))
    cap: float = field(default=10.0, validator=_at_least(0))

    def delay_after(self, attempt: int, error: BaseException, random: Callable[[], float]) -> float | None:
        """Return how many seconds to wait before the next attempt, or None to give up. See `Exponential`."""
        return None if self._gives_up(attempt, error) else min(self.cap, self.step * attempt)


@final
@frozen(kw_only=True)
class Constant(_Limits):
    """Wait `delay` seconds after each failure.

    Attributes:
        delay: in seconds.
    """

    delay: float = field(default=1.0, validator=_at_least(0))

    def delay_after(self, attempt: int, error: BaseException, random: Callable[[], float]) -> float | None:
        """Return how many seconds to wait before the next attempt, or None to give up. See `Exponential`."""
        return None if self._gives_up(attempt, error) else self.delay


@final
@frozen
class Never:
    """Do not retry: the first failure is the outcome."""

    def delay_after(self, attempt: int, error: BaseException, random: Callable[[], float]) -> float | None:
        """Return None: give up."""
        return None


RetryPolicy: TypeAlias = Exponential | Linear | Constant | Never
DEFAULT_RETRY: Final = Exponential()
