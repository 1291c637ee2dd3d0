"""Virtual time, and a scheduler that does the same for the same seed.

`trio.testing.MockClock` jumps to the next deadline as soon as all tasks are blocked. A task that waits for a
thread is blocked too, so the clock would jump, again and again, for as long as the thread takes by the clock on
the wall. Here it stands still while threads run.

Trio runs the tasks of one round in random order, on purpose. For its users of Hypothesis it has a switch that
makes that order a matter of a seed; we use the same one.
"""

import random
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeVar, TypeVarTuple, cast, final

import trio
import trio.testing
from trio._core import _run as scheduler

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

RANDOM: Final = "_r"
SWITCH: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"


def run(async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts, seed: int = 0) -> T:
    """Run an async function as `trio.run` does, in virtual time: whenever all tasks wait, the clock jumps ahead.

    The same seed gives the same run: trio's scheduler and Python's `random` are seeded with it, and are afterwards
    as they were. What no seed can rule is the order in which threads end, when several run at a time; plain
    functions of a flow run in threads. The clock stands still while a thread runs. Do no real input or output:
    time jumps ahead of it.

    Args:
        async_fn: what to run.
        *args: its arguments.
        seed: decides in which order tasks run that could run at the same time.
    """
    return run_virtually(partial(async_fn, *args), seed=seed)


def run_virtually(
    async_fn: Callable[[], Awaitable[T]],
    *,
    seed: int,
    clock: trio.abc.Clock | None = None,
    instruments: Sequence[trio.abc.Instrument] = (),
) -> T:
    """Run as `run` does. A clock other than None is used as it is."""
    if clock is None:
        virtual = trio.testing.MockClock(autojump_threshold=0)
        clock, instruments = virtual, [*instruments, _StandStill(virtual)]
    with _seeded(seed):
        return trio.run(async_fn, clock=clock, instruments=instruments)


@final
class _StandStill(trio.abc.Instrument):
    """Keeps a clock from jumping while a thread runs."""

    def __init__(self, clock: trio.testing.MockClock) -> None:
        self._clock = clock

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Look whether threads run. They are started, and their end is noticed, in steps of tasks."""
        threshold = float("inf") if trio.to_thread.current_default_thread_limiter().borrowed_tokens else 0.0
        if self._clock.autojump_threshold != threshold:
            self._clock.autojump_threshold = threshold


@contextmanager
def _seeded(seed: int) -> Generator[None]:
    switches = vars(scheduler)
    order = cast(random.Random, switches[RANDOM])
    before = random.getstate(), order.getstate(), switches[SWITCH]
    random.seed(seed)
    order.seed(seed)
    switches[SWITCH] = True
    try:
        yield
    finally:
        random.setstate(before[0])
        order.setstate(before[1])
        switches[SWITCH] = before[2]
