"""The checker itself: it accepts what has an order, and rejects what has none."""

from collections.abc import Sequence
from itertools import permutations, starmap

import pytest
from attrs import frozen
from hypothesis import given, strategies as st

from .checker import Call, NotLinearizableError, UndecidedError, check


@frozen
class Access:
    """A write to a register (`written`), or a read that returned `read`. With both, a swap."""

    written: int | None = None
    read: int | None = None


class Register:
    """A register that holds 0 at first."""

    initial = 0

    def after(self, state: int, operation: Access) -> int | None:
        """Write, if what was read is what was there."""
        if operation.read is not None and operation.read != state:
            return None
        return state if operation.written is None else operation.written


Span = tuple[Access, int, int | None]


def calls(*spans: Span) -> list[Call[Access]]:
    """Write down a history."""
    return list(starmap(Call, spans))


def is_linearizable(history: Sequence[Call[Access]]) -> bool:
    """Ask the checker."""
    try:
        check(history, Register())
    except NotLinearizableError:
        return False
    return True


ACCEPTED: dict[str, Sequence[Span]] = {
    "nothing happened": [],
    "one after the other": [(Access(written=1), 0, 1), (Access(read=1), 2, 3)],
    "a read beside a write sees the old value": [(Access(written=1), 0, 3), (Access(read=0), 1, 2)],
    "a read beside a write sees the new value": [(Access(written=1), 0, 3), (Access(read=1), 1, 2)],
    "later calls come first": [(Access(read=2), 0, 5), (Access(written=1), 1, 2), (Access(written=2), 3, 4)],
    "a write without reply was performed": [(Access(written=1), 0, None), (Access(read=1), 1, 2)],
    "a write without reply was not performed": [(Access(written=1), 0, None), (Access(read=0), 1, 2)],
    "a write without reply is performed late": [
        (Access(written=1), 0, None),
        (Access(read=0), 1, 2),
        (Access(read=1), 3, 4),
    ],
}
REJECTED: dict[str, Sequence[Span]] = {
    "a lost update": [(Access(written=1), 0, 1), (Access(read=0), 2, 3)],
    "a stale read": [
        (Access(written=1), 0, 1),
        (Access(written=2), 2, 3),
        (Access(read=1), 4, 5),
    ],
    "a value that nobody wrote": [(Access(read=7), 0, 1)],
    "a read that goes back": [
        (Access(written=1), 0, 5),
        (Access(read=1), 1, 2),
        (Access(read=0), 3, 4),
    ],
    "two who both found it free": [(Access(written=1, read=0), 0, 2), (Access(written=2, read=0), 1, 3)],
    "a write without reply that was undone": [
        (Access(written=1), 0, None),
        (Access(read=1), 1, 2),
        (Access(read=0), 3, 4),
    ],
    "a read before the write was called": [(Access(read=1), 0, 1), (Access(written=1), 2, 3)],
}


@pytest.mark.parametrize("spans", ACCEPTED.values(), ids=ACCEPTED)
def test_history_with_an_order_is_accepted(spans: Sequence[Span]) -> None:
    """The order that is returned has every operation that returned."""
    order = check(calls(*spans), Register())
    assert {operation for operation, _, returned_at in spans if returned_at is not None} <= set(order)


@pytest.mark.parametrize("spans", REJECTED.values(), ids=REJECTED)
def test_history_without_an_order_is_rejected(spans: Sequence[Span]) -> None:
    """Whatever went wrong, no order explains it."""
    assert not is_linearizable(calls(*spans))


def test_rejection_shows_how_far_it_goes() -> None:
    """What can be explained, and what cannot be the next."""
    with pytest.raises(NotLinearizableError) as caught:
        check(calls((Access(written=1), 0, 1), (Access(read=5), 2, 3)), Register())
    head, _, tail = str(caught.value).partition("and none of these can be the next:")
    assert "written=1" in head
    assert "read=5" in tail
    assert "written=1" not in tail


def test_search_that_takes_too_long_is_given_up() -> None:
    """It is undecided then, which is not the same as rejected."""
    history = calls(*((Access(written=value), value, 100) for value in range(20)), (Access(read=99), 101, 102))
    with pytest.raises(UndecidedError, match="1000 states"):
        check(history, Register(), max_states=1000)


# --- Against a slow and obvious checker -----------------------------------------------------------


def explains(order: Sequence[Call[Access]]) -> bool:
    """Tell whether an order keeps to the spans, and gives every result that was seen."""
    state: int | None = 0
    for index, call in enumerate(order):
        if any(later.returned_at is not None and later.returned_at < call.called_at for later in order[index:]):
            return False
        assert state is not None
        state = Register().after(state, call.operation)
        if state is None:
            return False
    return True


def has_order(history: Sequence[Call[Access]]) -> bool:
    """Try every order of every set of operations that has all that returned."""
    returned = {index for index, call in enumerate(history) if call.returned_at is not None}
    indexes = range(len(history))
    return any(
        explains([history[index] for index in order])
        for length in range(len(returned), len(history) + 1)
        for order in permutations(indexes, length)
        if returned <= set(order)
    )


values = st.none() | st.integers(0, 2)
accesses = st.builds(Access, written=values, read=values)


@st.composite
def histories(draw: st.DrawFn) -> list[Call[Access]]:
    """Draw a history of up to five operations, with any spans."""
    found = draw(st.lists(accesses, max_size=5))
    instants = iter(draw(st.permutations(range(2 * len(found)))))
    history = []
    for access in found:
        called_at, returned_at = sorted((next(instants), next(instants)))
        history.append(Call(access, called_at, returned_at if draw(st.integers(0, 3)) else None))
    return history


@given(histories())
def test_checker_agrees_with_a_slow_and_obvious_one(history: list[Call[Access]]) -> None:
    """It accepts a history if, and only if, trying every order finds one."""
    assert is_linearizable(history) == has_order(history)
