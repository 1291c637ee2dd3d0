"""What a workload may ask of a system that it measures."""

import enum
from collections.abc import Sequence
from typing import Protocol, final

from attrs import frozen


class Mode(enum.StrEnum):
    """A system, and how it is put together."""

    HTTP = "http"
    """Ours: a server on a SQLite file and two workers, each a process of its own."""
    EMBEDDED_MEMORY = "embedded-memory"
    """Ours: a server in memory and two workers, all in this process."""
    EMBEDDED_DISK = "embedded-disk"
    """Ours: a server on a SQLite file and two workers, all in this process."""
    RESTATE = "restate"
    """Restate: a server on its own disk format and two Python workers, each a process of its own."""
    DBOS = "dbos"
    """DBOS: Postgres, and a process with the workflows and whoever calls them."""
    RESONATE_SDK = "resonate-sdk"
    """resonate-sdk: a process with a server in memory, a worker, and whoever calls it."""


OURS = (Mode.HTTP, Mode.EMBEDDED_MEMORY, Mode.EMBEDDED_DISK)
PEERS = (Mode.RESTATE, Mode.DBOS, Mode.RESONATE_SDK)


@final
class WrongResultError(Exception):
    """The system returned something else than the work amounts to: its time means nothing."""


@final
@frozen
class Calls:
    """Calls of one function of the workloads, from outside, each under a fresh id and waited for.

    Attributes:
        function: its name: `steps`, `calls`, `fan_out`, `empty` or `echo`.
        arguments: what it is given.
        expected: what it must return.
        jobs: how many calls.
        width: how many of them at any moment.
    """

    function: str
    arguments: Sequence[int]
    expected: int | None
    jobs: int = 1
    width: int = 1


@final
@frozen
class Times:
    """How long some jobs took.

    Attributes:
        samples_ns: each of them.
        elapsed_ns: all of them together, by the clock on the wall.
    """

    samples_ns: Sequence[int]
    elapsed_ns: int


class System(Protocol):
    """A server with one worker that calls and one that is called, ready for work."""

    async def time_calls(self, calls: Calls) -> Times:
        """Make calls and time them where they are made.

        Raises:
            WrongResultError: one did not return what was expected; alone or in a group.
        """
