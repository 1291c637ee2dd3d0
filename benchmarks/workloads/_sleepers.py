"""Very many suspended executions on one server: what they cost it, and whoever works beside them."""

import secrets
import time
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import Calls, Mode, ResonateSystem, System, ours
from resonate_trio.protocol import (
    MAX_MILLIS,
    BatchedRequest,
    Envelope,
    Head,
    PromiseCreate,
    PromiseRegisterCallback,
    PromiseSettle,
    PromiseState,
    TaskAcquire,
    TaskCreate,
    TaskFulfill,
    TaskSuspend,
    tags,
)

from ._bare import ask_all, connect
from ._base import Scale

PID: Final = "sleepers"
TARGET: Final = "poll://any@sleepers"
TTL: Final = 60_000
MIB: Final = 1024 * 1024


@final
@frozen
class Sleepers:
    """Executions that are suspended, stored past the SDK; remote calls while they sleep; their end.

    Attributes:
        sizes: how many sleep while calls are timed, one case for each.
        calls: how many calls.
    """

    name: ClassVar[str] = "sleepers"
    sample: ClassVar[str] = "call beside them"
    counted: ClassVar[str] = "executions"
    modes: ClassVar[Sequence[Mode]] = (Mode.HTTP,)
    is_long: ClassVar[bool] = True
    is_alone: ClassVar[bool] = True

    sizes: Sequence[int] = (0, 1_000, 10_000, 30_000, 100_000)
    calls: int = 100

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls((0, 1_000, 3_000), 30)
            case Scale.TINY:
                return cls((0, 5), 2)

    async def measure(self, system: System, mode: Mode) -> list[Measurement]:
        """Store them, time calls on the way, wake and finish them."""
        prefix = f"sleep-{secrets.token_hex(4)}-"
        measurements, asleep = [], 0
        async with connect(system) as connection:
            for size in self.sizes:
                started_ns = time.perf_counter_ns()
                await ask_all(connection, _fall_asleep(prefix, range(asleep, size)))
                elapsed_ns = time.perf_counter_ns() - started_ns
                measurements.append(await self._look(ours(system), size, size - asleep, elapsed_ns))
                asleep = size
            started_ns = time.perf_counter_ns()
            await ask_all(connection, _wake_up(prefix, range(asleep)))
            elapsed_ns = time.perf_counter_ns() - started_ns
            end = await self._look(ours(system), asleep, asleep, elapsed_ns)
        ended = Measurement("woken and finished", end.samples_ns, asleep, elapsed_ns, None, end.amounts)
        return [*measurements, ended]

    async def _look(self, system: ResonateSystem, size: int, stored: int, elapsed_ns: int) -> Measurement:
        times = await system.time_calls(Calls("echo", [1], 1, self.calls))
        amounts = {"server MiB": system.memory("server") / MIB}
        return Measurement(f"n = {size:,}", times.samples_ns, stored, elapsed_ns, size, amounts)


def _fall_asleep(prefix: str, numbers: Iterable[int]) -> Iterable[BatchedRequest]:
    """Yield what a worker sends whose execution waits for somebody outside: three requests each."""
    for number in numbers:
        id = f"{prefix}{number}"
        create = PromiseCreate(id, MAX_MILLIS, {tags.TARGET: TARGET})
        await_ = PromiseRegisterCallback(awaited=f"{id}:1", awaiter=id)
        yield TaskCreate(PID, TTL, Envelope(Head(id), create))
        yield PromiseCreate(f"{id}:1", MAX_MILLIS, {tags.EXTERNAL: "true"})
        yield TaskSuspend(id, 1, [Envelope(Head(id), await_)])


def _wake_up(prefix: str, numbers: Iterable[int]) -> Iterable[BatchedRequest]:
    """Yield what wakes an execution, and what its worker sends then: three requests each."""
    for number in numbers:
        id = f"{prefix}{number}"
        yield PromiseSettle(f"{id}:1", PromiseState.RESOLVED)
        yield TaskAcquire(id, 1, PID, TTL)
        yield TaskFulfill(id, 2, Envelope(Head(id), PromiseSettle(id, PromiseState.RESOLVED)))
