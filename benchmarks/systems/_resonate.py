"""The system of this project, whatever it consists of."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, final

import psutil

from resonate_trio import Client, Resonate
from resonate_trio.protocol import BatchedRequest, Envelope, Request

from ._base import Calls, Times, WrongResultError
from ._functions import group_of
from ._timing import run_side_by_side

Part = Literal["server", "caller", "callee"]
"""A process of the system."""


class Connection(Protocol):
    """One connection to the bare server, for one request at a time."""

    async def ask(self, request: Envelope[Request]) -> int:
        """Send a request, wait for the reply; return its status."""

    async def ask_together(self, requests: Sequence[Envelope[BatchedRequest]]) -> Sequence[int]:
        """Send requests as one batch; return the status of each, or that of the batch."""


@final
class ResonateSystem:
    """A server and its workers, as seen by whoever calls their functions.

    Args:
        calls: makes the calls.
        connect: opens a connection to the server, past the SDK.
        url: where the server listens; None if it is embedded.
        processes: the system's processes, if it has any of its own.
    """

    def __init__(
        self,
        calls: Client | Resonate,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        *,
        url: str | None = None,
        processes: Mapping[Part, int] | None = None,
    ) -> None:
        self.connect = connect
        self.url = url
        self._calls = calls
        self._processes = processes or {}
        self._numbers = itertools.count(1)

    def __repr__(self) -> str:
        return f"<ResonateSystem: {self._calls!r}>"

    async def time_calls(self, calls: Calls) -> Times:
        """Make calls and time them.

        Raises:
            ExceptionGroup: of WrongResultError, if one did not return what was expected.
        """
        options = self._calls.options(group=group_of(calls.function))

        async def call() -> int:
            id = f"{calls.function}-{next(self._numbers)}"
            started_ns = time.perf_counter_ns()
            result = await options.rfc(id, calls.function, *calls.arguments)
            elapsed_ns = time.perf_counter_ns() - started_ns
            if result != calls.expected:
                raise WrongResultError(
                    f"{calls.function}{tuple(calls.arguments)!r} returned {result!r}, not {calls.expected!r}"
                )
            return elapsed_ns

        return await run_side_by_side(call, jobs=calls.jobs, width=calls.width)

    async def begin(self, id: str, function: str, *arguments: object, group: str | None = None) -> None:
        """Start a function under an id, and leave it alone."""
        await self._calls.options(group=group or group_of(function)).rfi(id, function, *arguments)

    def memory(self, part: Part) -> int:
        """Return the bytes of memory that a process holds (its resident set)."""
        resident: int = psutil.Process(self._processes[part]).memory_info().rss
        return resident

    def cpu_seconds(self, part: Part) -> float:
        """Return the processor time that a process has used so far."""
        times = psutil.Process(self._processes[part]).cpu_times()
        return float(times.user + times.system)

    def pid(self, part: Part) -> int:
        """Return the number of a process."""
        return self._processes[part]


def ours(system: object) -> ResonateSystem:
    """Return a system as ours.

    Raises:
        TypeError: it is a peer.
    """
    if not isinstance(system, ResonateSystem):
        raise TypeError(f"{system!r} is a peer: it has no server of ours to ask")
    return system
