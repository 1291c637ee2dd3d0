"""Retry policies."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from resonate_trio._errors import ArgumentsError, ExecutionDropped, UsageError
from resonate_trio._retry import DEFAULT_RETRY, Constant, Exponential, Linear, Never, RetryPolicy

_RETRYING = [Exponential, Linear, Constant]
_WRONG: Any = 3
_ERROR = OSError("the other side hung up")


def _largest() -> float:
    return 1.0


def _delays(policy: RetryPolicy, attempts: int, random: Callable[[], float] = _largest) -> list[float | None]:
    return [policy.delay_after(attempt, _ERROR, random) for attempt in range(1, attempts + 1)]


def test_exponential_doubles_up_to_its_cap() -> None:
    """The limits of the delays grow by the factor and stop at the cap."""
    policy = Exponential(initial=0.5, factor=2, cap=3, max_attempts=None)
    assert _delays(policy, 5) == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_exponential_draws_from_the_whole_interval() -> None:
    """Full jitter: the delay is the random number's share of the limit."""
    policy = Exponential(initial=1, factor=2, cap=100)
    assert _delays(policy, 3, lambda: 0.25) == [0.25, 0.5, 1.0]
    assert _delays(policy, 3, lambda: 0.0) == [0.0, 0.0, 0.0]


def test_exponential_without_jitter_does_not_draw() -> None:
    """Without jitter the delay is the limit, and no random number is asked for."""

    def random() -> float:
        raise AssertionError

    assert _delays(Exponential(initial=1, jitter=False), 3, random) == [1.0, 2.0, 4.0]


@settings(max_examples=50)
@given(attempt=st.integers(1, 10**9), initial=st.floats(0, 1e300), factor=st.floats(1, 1e300))
def test_exponential_never_leaves_its_bounds(attempt: int, initial: float, factor: float) -> None:
    """However large the numbers, the delay is between 0 and the cap."""
    policy = Exponential(initial=initial, factor=factor, cap=10, max_attempts=None)
    delay = policy.delay_after(attempt, _ERROR, _largest)
    assert delay is not None
    assert 0 <= delay <= 10


@pytest.mark.parametrize(("initial", "limit"), [(0.0, 0.0), (0.1, 10.0)])
def test_exponential_survives_an_overflow(initial: float, limit: float) -> None:
    """Where the power is beyond a float, the limit is the cap, or 0 if it began there."""
    assert Exponential(initial=initial, max_attempts=None).delay_after(5000, _ERROR, _largest) == limit


def test_linear_grows_by_its_step() -> None:
    """Each delay is a step longer, up to the cap."""
    assert _delays(Linear(step=2, cap=5), 4) == [2, 4, 5, 5]


def test_constant_stays() -> None:
    """All delays are the same."""
    assert _delays(Constant(delay=0.25), 4) == [0.25] * 4


def test_never_gives_up_at_once() -> None:
    """The first failure is the last."""
    assert Never().delay_after(1, _ERROR, _largest) is None


@pytest.mark.parametrize("cls", _RETRYING)
def test_attempts_are_limited(cls: type[Exponential]) -> None:
    """The first call counts: three attempts are two retries."""
    delays = _delays(cls(max_attempts=3), 4)
    assert [delay is None for delay in delays] == [False, False, True, True]


@pytest.mark.parametrize("cls", _RETRYING)
def test_five_attempts_are_the_default(cls: type[Exponential]) -> None:
    """A function is called five times in all."""
    assert [delay is None for delay in _delays(cls(), 5)] == [False, False, False, False, True]


@pytest.mark.parametrize("cls", _RETRYING)
def test_no_limit_on_request(cls: type[Exponential]) -> None:
    """With None it goes on."""
    assert cls(max_attempts=None).delay_after(10**6, _ERROR, _largest) is not None


@pytest.mark.parametrize("cls", _RETRYING)
def test_non_retryable_errors_end_it(cls: type[Exponential]) -> None:
    """So do their subclasses; others are retried."""
    policy = cls(non_retryable=(LookupError,))
    assert policy.delay_after(1, KeyError("x"), _largest) is None
    assert policy.delay_after(1, ValueError("x"), _largest) is not None


@pytest.mark.parametrize("cls", _RETRYING)
def test_a_usage_error_is_never_retried(cls: type[Exponential]) -> None:
    """A wrong program stays wrong."""
    assert cls().delay_after(1, ArgumentsError("x", function="foo"), _largest) is None


@pytest.mark.parametrize("cls", _RETRYING)
def test_signals_are_not_retried(cls: type[Exponential]) -> None:
    """What is no Exception is no failure of the function."""
    assert cls().delay_after(1, ExecutionDropped(), _largest) is None
    assert cls().delay_after(1, KeyboardInterrupt(), _largest) is None


def test_a_group_is_retried_only_if_all_in_it_may_be() -> None:
    """One member that is not to be retried decides, however deep it lies."""
    policy = Constant(non_retryable=(LookupError,))
    harmless = ExceptionGroup("a", [ValueError(), OSError()])
    deep = ExceptionGroup("b", [ValueError(), ExceptionGroup("c", [KeyError()])])
    assert policy.delay_after(1, harmless, _largest) is not None
    assert policy.delay_after(1, deep, _largest) is None


def test_attempts_are_counted_from_one() -> None:
    """A caller that counts from 0 is told so."""
    with pytest.raises(ValueError, match="counted from 1, got 0"):
        Exponential().delay_after(0, _ERROR, _largest)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Exponential(initial=-1), "Exponential(initial=-1): must be a finite number, at least 0"),
        (lambda: Exponential(factor=0.5), "Exponential(factor=0.5): must be a finite number, at least 1"),
        (lambda: Exponential(cap=float("inf")), "Exponential(cap=inf): must be a finite number, at least 0"),
        (lambda: Linear(step=float("nan")), "Linear(step=nan): must be a finite number, at least 0"),
        (lambda: Constant(delay=True), "Constant(delay=True): must be a finite number, at least 0"),
        (lambda: Constant(max_attempts=0), "Constant(max_attempts=0): must be an integer, at least 1, or None"),
        (lambda: Linear(max_attempts=True), "Linear(max_attempts=True): must be an integer"),
        (lambda: Linear(non_retryable=_WRONG), "non_retryable=3): must be a tuple of exception classes, as (Val"),
        (lambda: Linear(non_retryable=(_WRONG,)), "non_retryable=(3,)): must be a tuple of exception classes"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(make: Callable[[], RetryPolicy], message: str) -> None:
    """The message names the policy, the parameter and what it may be."""
    with pytest.raises(UsageError, match=re.escape(message)):
        make()


def test_the_default_is_exponential() -> None:
    """Five attempts, the first delay up to 0.1 s, doubling, at most 10 s."""
    assert Exponential(initial=0.1, factor=2.0, cap=10.0, jitter=True, max_attempts=5) == DEFAULT_RETRY
