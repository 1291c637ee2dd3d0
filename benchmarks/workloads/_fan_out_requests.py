"""How many requests a fan-out costs its parent: it must not grow with the number of children."""

import secrets
import time
from collections.abc import Sequence
from typing import ClassVar, Self, final

from attrs import frozen

from benchmarks._figures import Measurement
from benchmarks.systems import COUNTED_GROUP, Mode, System, open_counted_caller, ours

from ._bare import connect, wait_settled
from ._base import Scale


@final
@frozen
class FanOutRequests:
    """The requests of a parent with many children.

    Its times say nothing: the requests pass a relay that counts them.

    Attributes:
        sizes: how many children, one case for each.
    """

    name: ClassVar[str] = "fan-out-requests"
    sample: ClassVar[str] = "fan-out"
    counted: ClassVar[str] = "children"
    modes: ClassVar[Sequence[Mode]] = (Mode.HTTP,)
    is_long: ClassVar[bool] = False
    is_alone: ClassVar[bool] = False

    sizes: Sequence[int] = (10, 100, 1_000)

    @classmethod
    def at(cls, scale: Scale) -> Self:
        """Return the workload at a scale."""
        match scale:
            case Scale.FULL:
                return cls()
            case Scale.QUICK:
                return cls((10, 100))
            case Scale.TINY:
                return cls((3,))

    async def measure(self, system: System, mode: Mode) -> list[Measurement]:
        """Run fan-outs on a worker of their own, and count what it sends."""
        url = ours(system).url
        assert url is not None
        async with open_counted_caller(url) as counter, connect(system) as connection:
            measurements = []
            for size in self.sizes:
                before, started_ns = counter.count, time.perf_counter_ns()
                id = f"counted-{secrets.token_hex(4)}"
                await ours(system).begin(id, "fan_out", size, group=COUNTED_GROUP)
                await wait_settled(connection, id)
                elapsed_ns = time.perf_counter_ns() - started_ns
                amounts = {"requests by the parent": float(counter.count - before)}
                measurements.append(Measurement(f"n = {size:,}", [elapsed_ns], size, elapsed_ns, size, amounts))
            return measurements
