"""The server alone: requests that each store a promise, from several connections, one by one or in batches."""

import itertools
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import OURS, Connection, Mode, System, WrongResultError, ours, run_side_by_side
from resonate_trio.protocol import MAX_MILLIS, Envelope, Head, PromiseCreate

from ._base import Scale, measured


@final
@frozen
class Requests:
    """Requests of promise.create.

    Attributes:
        cases: how many connections, each with one request on its way, and how many promises that creates; more
            than one are a batch.
        promises: how many are created in each case.
    """

    name: ClassVar[str] = "requests"
    sample: ClassVar[str] = "request"
    counted: ClassVar[str] = "promises"
    modes: ClassVar[Sequence[Mode]] = OURS
    is_long: ClassVar[bool] = False
    is_alone: ClassVar[bool] = False

    cases: Sequence[tuple[int, int]] = ((1, 1), (16, 1), (64, 1), (1, 64), (4, 64), (16, 64))
    promises: int = 4_096

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls(promises=1_024)
            case Scale.TINY:
                return cls(((1, 1), (2, 1), (2, 3)), promises=12)

    async def measure(self, system: System, mode: Mode) -> list[Measurement]:
        """Send the requests, case by case."""
        return [await self._measure(system, width, batch) for width, batch in self.cases]

    async def _measure(self, system: System, width: int, batch: int) -> Measurement:
        prefix = secrets.token_hex(4)  # ids that no other measurement has
        numbers = itertools.count(1)
        async with AsyncExitStack() as stack:
            free = [await stack.enter_async_context(ours(system).connect()) for _ in range(width)]

            async def request() -> int:
                connection = free.pop()
                elapsed_ns = await _timed_create(connection, [f"{prefix}-{next(numbers)}" for _ in range(batch)])
                free.append(connection)
                return elapsed_ns

            await run_side_by_side(request, jobs=width, width=width)  # each connection once: the server knows it
            times = await run_side_by_side(request, jobs=self.promises // batch, width=width)
        case = f"connections: {width}" if batch == 1 else f"connections: {width}, batches of {batch}"
        return measured(case, times, self.promises)


async def _timed_create(connection: Connection, ids: Sequence[str]) -> int:
    envelopes = [Envelope(Head(id), PromiseCreate(id, MAX_MILLIS, {})) for id in ids]
    started_ns = time.perf_counter_ns()
    if len(envelopes) == 1:
        statuses: Sequence[int] = [await connection.ask(envelopes[0])]
    else:
        statuses = await connection.ask_together(envelopes)
    elapsed_ns = time.perf_counter_ns() - started_ns
    if list(statuses) != [200] * len(envelopes):
        raise WrongResultError(f"promise.create of {ids!r} was answered with {statuses!r}, not 200 each")
    return elapsed_ns
