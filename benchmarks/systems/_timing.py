"""How long jobs take that run side by side."""

import time
from collections.abc import Awaitable, Callable

import trio

from ._base import Times


async def run_side_by_side(job: Callable[[], Awaitable[int]], *, jobs: int, width: int) -> Times:
    """Run a job many times, `width` of them at any moment.

    Args:
        job: does something and returns the nanoseconds that it took.
        jobs: how many times.
        width: how many side by side.
    """
    samples: list[int] = []
    numbers = iter(range(jobs))

    async def work() -> None:
        for _ in numbers:  # shared by all: whoever is free takes the next
            sample = await job()
            samples.append(sample)

    started_ns = time.perf_counter_ns()
    async with trio.open_nursery() as nursery:
        for _ in range(width):
            nursery.start_soon(work)
    return Times(samples, time.perf_counter_ns() - started_ns)
