"""What is stored decides the path through a function, in whatever order it came about and was heard of.

A history says when each invocation ends, and how, when time passes, when the function is cancelled from outside,
and at which request its worker crashes. Those come first that deviate least from one in which all ends well.
`--determinism-histories` says how many are played; 0 means all that there are.
"""

import faulthandler
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import pytest

from . import flows as fan, flows_cancelling as cut, flows_more as more
from .check import Check
from .play import Flow
from .server import EAGER, MANNERS, SILENT, USUAL, Manner
from .story import Bounds

DEFAULT: Final = 4
QUIET: Final = Bounds()
"""Things happen only while the task is suspended: all orders, with nothing to disturb them."""
ONE_CRASH: Final = Bounds(crashes=1)
"""So it is, and the worker crashes at any request."""
ANY_MOMENT: Final = Bounds(crashes=1, interruptions=5)
"""They happen before any request, too."""

FLOWS: Final[Mapping[str, Flow]] = {
    "one child": Flow(fan.nursery(1), may_be_cancelled=True),
    "two children": Flow(fan.nursery(2), may_be_cancelled=True),
    "four children": Flow(fan.nursery(4)),
    "four children, all waited for": Flow(fan.nursery(4, fail_fast=False)),
    "two awaited": Flow(fan.awaited_in_order(2), may_be_cancelled=True),
    "four awaited": Flow(fan.awaited_in_order(4)),
    "three awaited, all waited for": Flow(fan.awaited_in_order(3, fail_fast=False)),
    "beside a sleep": Flow(fan.beside_a_sleep(2), may_be_cancelled=True),
    "beside a sleep, all waited for": Flow(fan.beside_a_sleep(2, fail_fast=False)),
    "beside a call": Flow(fan.beside_a_call(2), may_be_cancelled=True),
    "nested nurseries": Flow(fan.nested(), may_be_cancelled=True),
    "nested nurseries, all of the inner waited for": Flow(fan.nested(fail_fast=False)),
    "a function that fails": Flow(fan.function_fails(2), may_be_cancelled=True),
    "a local one with steps": Flow(fan.locals_with_steps(1), may_be_cancelled=True),
    "two local ones with steps": Flow(fan.locals_with_steps(2)),
    "two local ones with steps, all waited for": Flow(fan.locals_with_steps(2, fail_fast=False)),
    "nurseries in local ones": Flow(fan.local_nurseries(), may_be_cancelled=True),
    "a local leaf": Flow(fan.local_leaf(), may_be_cancelled=True),
    "a local leaf, waited for": Flow(fan.local_leaf(fail_fast=False)),
    "a leaf that cleans up": Flow(fan.leaf_that_cleans_up(), may_be_cancelled=True),
    "steps": Flow(fan.steps(), may_be_cancelled=True),
    "the first of two": Flow(cut.first(2), may_be_cancelled=True),
    "the first of four": Flow(cut.first(4)),
    "the first of two local ones": Flow(cut.first_of_locals(2), may_be_cancelled=True),
    "the first in time": Flow(cut.first_in_time(2), may_be_cancelled=True),
    "move on": Flow(cut.move_on(), may_be_cancelled=True),
    "move on from two": Flow(cut.move_on(count=2)),
    "deadlines at the same time": Flow(cut.same_deadlines(), may_be_cancelled=True),
    "a nursery in time": Flow(cut.nursery_in_time(2), may_be_cancelled=True),
    "a nursery in time, all waited for": Flow(cut.nursery_in_time(2, fail_fast=False)),
    "a local one in time": Flow(cut.local_in_time(), may_be_cancelled=True),
    "a step in time": Flow(cut.leaf_call_in_time(), may_be_cancelled=True),
    "a handle cancelled": Flow(cut.handle_cancelled(), may_be_cancelled=True),
    "a nursery cancelled": Flow(cut.nursery_cancelled(), may_be_cancelled=True),
    "a block that goes on": Flow(cut.stubborn(), may_be_cancelled=True),
    "a saga": Flow(cut.saga(), may_be_cancelled=True),
    "clean-up on two levels": Flow(cut.fan_out_with_clean_up(), may_be_cancelled=True),
    "I/O first": Flow(cut.io_first(), may_be_cancelled=True),
    "a promise": Flow(cut.promise_cancelled(), may_be_cancelled=True),
    "an invocation with a deadline": Flow(more.timed_out(), may_be_cancelled=True),
    "a local one with a deadline": Flow(more.local_timed_out(), may_be_cancelled=True),
    "a version, and what is detached": Flow(more.changed(), may_be_cancelled=True),
    "a cancellation caught": Flow(more.caught(), may_be_cancelled=True),
    "a scope cancelled": Flow(more.own_scope(), may_be_cancelled=True),
    "the handle of a local one cancelled": Flow(more.local_handle_cancelled(), may_be_cancelled=True),
    "two races": Flow(more.two_races(), may_be_cancelled=True),
    "local ones in local ones": Flow(more.deep(), may_be_cancelled=True),
    "a nursery in a shield": Flow(more.nursery_in_a_shield(), may_be_cancelled=True),
}

WHOLE: Final[Mapping[str, tuple[Flow, Bounds, Sequence[Manner]]]] = {
    "one child, cancelled at any time": (Flow(fan.nursery(1), may_be_cancelled=True), ONE_CRASH, MANNERS),
    "two children": (Flow(fan.nursery(2)), ONE_CRASH, MANNERS),
    "three children, no crashes": (Flow(fan.nursery(3)), QUIET, MANNERS),
    "a race that fails": (Flow(cut.failing_race()), ONE_CRASH, (USUAL, SILENT)),
    "a local one in time": (Flow(cut.local_call_in_time()), ONE_CRASH, (EAGER, SILENT)),
    "what is undone": (Flow(cut.undone(), may_be_cancelled=True), ONE_CRASH, (USUAL,)),
}
"""Small ones, of which all histories are played each time."""


@pytest.fixture
def limit(pytestconfig: pytest.Config) -> int | None:
    """Return how many histories are played for each function, manner and kind of disturbance; None for all."""
    count = pytestconfig.getoption("--determinism-histories")
    return (DEFAULT if count is None else count) or None


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep failures of functions that are cancelled out of the log: here they are what is tried."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("bounds", [QUIET, ANY_MOMENT], ids=["while suspended", "at any moment"])
def test_what_is_stored_decides_the_path(name: str, bounds: Bounds, limit: int | None) -> None:
    """Path, ids and result are the same in every run and every replay of one stored history."""
    faulthandler.cancel_dump_traceback_later()  # with many histories this takes longer than a test should
    check = Check(FLOWS[name])
    for manner in MANNERS:
        check.play_all(bounds, manner, limit)
    assert check.known


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_stored_decides_the_path_in_all_histories(name: str) -> None:
    """There are no others, within these bounds."""
    flow, bounds, manners = WHOLE[name]
    check = Check(flow)
    for manner in manners:
        check.play_all(bounds, manner)
    assert check.histories > len(check.known) > 1
