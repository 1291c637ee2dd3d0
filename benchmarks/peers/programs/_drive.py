"""What every program does with its orders: make calls, and say how long they took."""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable

Call = Callable[[str, list[object]], Awaitable[object]]
"""Calls a function of the workloads; returns its result."""


async def serve_orders(call: Call) -> None:
    """Say that all is ready, then carry out the orders on standard input, one a line, until it ends."""
    print("open", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await _carry_out(call, json.loads(line))), flush=True)


async def _carry_out(call: Call, order: dict[str, object]) -> dict[str, object]:
    try:
        return await _time_calls(call, **order)  # type: ignore[arg-type]
    except ExceptionGroup as group:
        return {"error": repr(group.exceptions[0])}


async def _time_calls(
    call: Call, *, function: str, arguments: list[object], expected: object, jobs: int, width: int
) -> dict[str, object]:
    """Call a function `jobs` times, `width` of them at any moment; return the times."""
    times: list[int] = []
    numbers = iter(range(jobs))

    async def work() -> None:
        for _ in numbers:  # shared by all: whoever is free takes the next
            started_ns = time.perf_counter_ns()
            result = await call(function, arguments)
            times.append(time.perf_counter_ns() - started_ns)
            if result != expected:
                raise ValueError(f"{function}{tuple(arguments)!r} returned {result!r}, not {expected!r}")

    started_ns = time.perf_counter_ns()
    async with asyncio.TaskGroup() as group:
        for _ in itertools.repeat(None, width):
            group.create_task(work())
    return {"times_ns": times, "elapsed_ns": time.perf_counter_ns() - started_ns}
