"""How a worker works."""

import math
from typing import final

from attrs import field, frozen

from resonate_trio._config import new_pid
from resonate_trio._errors import UsageError
from resonate_trio._instrument import Instrument
from resonate_trio._options import is_number


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
        if type(self.capacity) is not int or self.capacity < 1:
            raise UsageError(f"capacity={self.capacity!r}: a worker runs at least 1 task at a time")
        if not (is_number(self.lease) and 0.1 <= self.lease < math.inf):
            raise UsageError(f"lease={self.lease!r}: a lease lasts at least 0.1 seconds, and not for ever")
        if not (is_number(self.grace) and self.grace >= 0):
            raise UsageError(f"grace={self.grace!r}: the grace is a number of seconds, 0 or greater")
        if type(self.max_parked) is not int or self.max_parked < 0:
            raise UsageError(f"max_parked={self.max_parked!r}: it is an integer, 0 or greater")
        if not (isinstance(self.pid, str) and self.pid and "/" not in self.pid):
            raise UsageError(f"pid={self.pid!r}: it is a string, not empty, without '/'")
