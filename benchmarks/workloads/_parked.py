"""Executions that wait, kept in their worker's memory to go on where they are: what one of them holds."""

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import ClassVar, Final, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import Mode, ResonateSystem, System, ours, run_side_by_side
from resonate_trio.protocol import PromiseSettle, PromiseState

from ._bare import BareConnection, ask_all, connect, wait_settled, wait_suspended
from ._base import Scale

WIDTH: Final = 32
"""Starts at any moment."""
KIB: Final = 1024
MIB: Final = 1024 * KIB


@final
@frozen
class Parked:
    """Executions that wait for somebody outside, started, parked, woken and finished.

    Attributes:
        warm: how many are parked before the first look at the memory.
        sizes: how many are parked besides at each further look, one case for each.
    """

    name: ClassVar[str] = "parked"
    sample: ClassVar[str] = "execution"
    counted: ClassVar[str] = "executions"
    modes: ClassVar[Sequence[Mode]] = (Mode.HTTP,)
    is_long: ClassVar[bool] = False
    is_alone: ClassVar[bool] = True

    warm: int = 200
    sizes: Sequence[int] = (500, 1_000, 2_000, 4_000)

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls(100, (250, 500))
            case Scale.TINY:
                return cls(2, (2, 4))

    async def measure(self, system: System, mode: Mode) -> list[Measurement]:
        """Park executions, look at the worker's memory on the way, wake them."""
        prefix = f"park-{secrets.token_hex(4)}-"
        own = ours(system)
        async with connect(system) as connection:
            await _park(own, connection, prefix, 0, self.warm)
            before = own.memory("caller")
            cases = [case async for case in self._grow(own, connection, prefix, before)]
            return [*cases, await self._wake(connection, prefix)]

    async def _grow(
        self, system: ResonateSystem, connection: BareConnection, prefix: str, before: int
    ) -> AsyncIterator[Measurement]:
        parked = 0
        for size in self.sizes:
            elapsed_ns = await _park(system, connection, prefix, self.warm + parked, size - parked)
            memory = system.memory("caller")
            amounts = {"KiB each": (memory - before) / KIB / size, "worker MiB": memory / MIB}
            started = size - parked
            yield Measurement(f"n = {size:,}", [elapsed_ns // started], started, elapsed_ns, size, amounts)
            parked = size

    async def _wake(self, connection: BareConnection, prefix: str) -> Measurement:
        total = self.warm + self.sizes[-1]
        started_ns = time.perf_counter_ns()
        # The first child of each is the promise that it waits for.
        settle = [PromiseSettle(f"{prefix}{number}:1", PromiseState.RESOLVED) for number in range(total)]
        await ask_all(connection, settle)
        await wait_settled(connection, prefix)
        elapsed_ns = time.perf_counter_ns() - started_ns
        return Measurement("woken and finished", [elapsed_ns // total], total, elapsed_ns)


async def _park(system: ResonateSystem, connection: BareConnection, prefix: str, first: int, count: int) -> int:
    """Start executions and wait until all are suspended; return the nanoseconds that it took."""
    numbers = iter(range(first, first + count))

    async def start() -> int:
        await system.begin(f"{prefix}{next(numbers)}", "park")
        return 0

    started_ns = time.perf_counter_ns()
    await run_side_by_side(start, jobs=count, width=WIDTH)
    await wait_suspended(connection, prefix, first + count)
    return time.perf_counter_ns() - started_ns
