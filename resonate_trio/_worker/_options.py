"""How a worker works."""

import math
from typing import final

from attrs import field, frozen

from resonate_trio._config import new_pid
from resonate_trio._errors import UsageError
from resonate_trio._instrument import Instrument


@final
@frozen(kw_only=True)
class WorkerOptions:
    """How the worker of a `Resonate` works.

    Attributes:
        capacity: how many tasks it runs at a time. Suspended ones do not count.
        lease: seconds after which a task is given to another worker if this one shows no sign of life. A function
            may block the event loop for less than that. The server learns of a crash no sooner.
        grace: seconds that running functions get to end, or to be suspended, when the worker is closed.
        max_parked: how many suspended executions are kept in memory, to go on where they stopped. Of more than
            that, those that have waited longest are dropped, and replayed when their task comes back.
        pid: name of this process, among those of its group.
        instrument: hooks to watch the worker by.
    """

    capacity: int = 100
    lease: float = 10.0
    grace: float = 5.0
    max_parked: int = 10_000
    pid: str = field(factory=new_pid)
    instrument: Instrument = field(factory=Instrument)

    def __attrs_post_init__(self) -> None:
        if self.capacity < 1:
            raise UsageError(f"capacity={self.capacity!r}: a worker runs at least 1 task at a time")
        if not 0.1 <= self.lease < math.inf:
            raise UsageError(f"lease={self.lease!r}: a lease lasts at least 0.1 seconds, and not for ever")
        if not self.grace >= 0:
            raise UsageError(f"grace={self.grace!r}: the grace is a number of seconds, 0 or greater")
        if self.max_parked < 0:
            raise UsageError(f"max_parked={self.max_parked!r} must be 0 or greater")
        if not self.pid or "/" in self.pid:
            raise UsageError(f"pid={self.pid!r} must not be empty or contain '/'")
