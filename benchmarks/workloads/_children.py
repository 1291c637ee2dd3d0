"""What a fan-out does without its parent: calls that are just there, until the worker has executed all of them."""

import secrets
import time
from collections.abc import Sequence
from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import Mode, System

from ._bare import ask_all, connect, echo_call, wait_settled
from ._base import Scale


@final
@frozen
class Children:
    """The children of a fan-out, alone.

    Attributes:
        sizes: how many, one case for each.
    """

    name: ClassVar[str] = "children"
    sample: ClassVar[str] = "child"
    counted: ClassVar[str] = "children"
    modes: ClassVar[Sequence[Mode]] = (Mode.HTTP,)
    is_long: ClassVar[bool] = False
    is_alone: ClassVar[bool] = False

    sizes: Sequence[int] = (10, 100, 300, 1_000)

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls((10, 100, 300))
            case Scale.TINY:
                return cls((3, 5))

    async def measure(self, system: System, mode: Mode) -> list[Measurement]:
        """Create the calls in batches, wait until all are settled."""
        return [await self._measure(system, size) for size in self.sizes]

    async def _measure(self, system: System, size: int) -> Measurement:
        prefix = f"alone-{secrets.token_hex(4)}-"
        async with connect(system) as connection:
            started_ns = time.perf_counter_ns()
            await ask_all(connection, [echo_call(f"{prefix}{number}") for number in range(size)])
            await wait_settled(connection, prefix)
            elapsed_ns = time.perf_counter_ns() - started_ns
        return Measurement(f"n = {size:,}", [elapsed_ns // size], size, elapsed_ns, size)
