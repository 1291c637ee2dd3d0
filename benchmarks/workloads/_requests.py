"""The server alone: requests that each store a promise, from several connections."""

import itertools
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import ClassVar, Self, final

import trio
from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import Connection, System
from resonate_trio.protocol import MAX_MILLIS, Envelope, Head, PromiseCreate

from ._base import Scale, WrongResultError, run_side_by_side


@final
@frozen
class Requests:
    """Requests of promise.create.

    Attributes:
        connections: how many connections, each with one request on its way; one case for each number.
        requests: how many requests in each case.
    """

    name: ClassVar[str] = "requests"
    sample: ClassVar[str] = "request"
    counted: ClassVar[str] = "requests"
    is_curve: ClassVar[bool] = False

    connections: Sequence[int] = (1, 16, 64)
    requests: int = 4_000

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls(requests=1_000)
            case Scale.TINY:
                return cls(connections=(1, 2), requests=4)

    async def measure(self, system: System) -> list[Measurement]:
        """Send the requests, case by case."""
        return [await self._measure(system, width) for width in self.connections]

    async def _measure(self, system: System, width: int) -> Measurement:
        prefix = secrets.token_hex(4)  # ids that no other measurement has
        numbers = itertools.count(1)
        async with AsyncExitStack() as stack:
            free = [await stack.enter_async_context(system.connect()) for _ in range(width)]

            async def request() -> int:
                connection = free.pop()
                elapsed_ns = await _timed_create(connection, f"{prefix}-{next(numbers)}")
                free.append(connection)
                return elapsed_ns

            async with trio.open_nursery() as nursery:  # each connection once, for the server to know it
                for _ in range(width):
                    nursery.start_soon(request)
            times, elapsed_ns = await run_side_by_side(request, jobs=self.requests, width=width)
        return Measurement(f"connections: {width}", times, self.requests, elapsed_ns)


async def _timed_create(connection: Connection, id: str) -> int:
    envelope = Envelope(Head(id), PromiseCreate(id, MAX_MILLIS, {}))
    started_ns = time.perf_counter_ns()
    status = await connection.ask(envelope)
    elapsed_ns = time.perf_counter_ns() - started_ns
    if status != 200:
        raise WrongResultError(f"promise.create of {id!r} was answered with status {status}, not 200")
    return elapsed_ns
