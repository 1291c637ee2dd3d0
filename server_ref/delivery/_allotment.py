"""Which worker a turn acquires a task for: decided inside of the turn, by what was known before it.

So a task is stored as acquired by the commit that makes it due, and not by another one after it. A turn runs
beside the router, and perhaps twice, so it gets copies of what changes meanwhile. The rest, who holds what and who
suspended what, changes only after a turn. If a worker has gone by then, the router sees to that.
"""

from collections.abc import Collection, Mapping
from typing import Final, Self, final

from attrs import define, evolve, field, frozen

from resonate_trio.protocol import Acquired, Execute, PollAddress, TaskAcquire, TaskState, parse_address
from server_ref.machine import Changes, Outgoing

from ._choice import Loads, Seat, Seats, choose, count


@final
@frozen
class Allotment:
    """What is known of the workers before a turn.

    Attributes:
        seats: who is connected.
        loads: how busy they are.
        holders: who holds which task.
        suspended_by: who suspended which task.
        awaited: processes on whose room tasks wait already; what a turn frees there is not its to give away.
    """

    seats: Seats = field(factory=dict)
    loads: Loads = field(factory=Loads)
    holders: Mapping[str, str] = field(factory=dict)
    suspended_by: Mapping[str, str] = field(factory=dict)
    awaited: Collection[str] = ()


NOBODY: Final = Allotment()
"""No worker has tasks acquired for it."""


@final
@frozen
class Wanted:
    """A task that is to be acquired, by which request and for whom."""

    outgoing: Outgoing
    seat: Seat
    request: TaskAcquire

    def with_reply(self, acquired: Acquired) -> Outgoing:
        """Return the message to the worker when the task was acquired."""
        return with_acquired(self.outgoing, self.seat, acquired, is_partial=not self.request.preload)


@final
@define
class Places:
    """Gives away, one by one, what an allotment has, given the changes of a turn."""

    _allotment: Allotment
    _changes: Changes
    _loads: Loads

    @classmethod
    def after(cls, changes: Changes, allotment: Allotment) -> Self:
        """Return the places that are free after a turn that made these changes."""
        loads = allotment.loads.copy()
        for record in changes.tasks.values():
            before = allotment.holders.get(record.id)
            now = record.pid if record.state is TaskState.ACQUIRED else None
            if before == now:
                continue
            if before is not None and before not in allotment.awaited:
                count(loads.held, before, -1)
            if now is not None:
                count(loads.held, now, 1)
        return cls(allotment, changes, loads)

    def find(self, outgoing: Outgoing) -> Wanted | None:
        """Choose a worker for which a task is to be acquired, None if the router has to see to its message."""
        message = outgoing.message
        if not isinstance(message, Execute) or (address := _poll_address(outgoing.address)) is None:
            return None
        seats = self._allotment.seats.get(address.group, {})
        former = self._suspended_by(message.id)
        seat = choose(seats, address, (Execute.kind, message.id), self._loads, former=former)
        if seat is None:
            return None
        count(self._loads.under_way, seat.pid, 1)
        if seat.ttl is None:
            return None
        return Wanted(outgoing, seat, acquisition(message, seat, seat.ttl, former))

    def _suspended_by(self, task_id: str) -> str | None:
        changed = self._changes.suspended_by
        return changed[task_id] if task_id in changed else self._allotment.suspended_by.get(task_id)


def acquisition(message: Execute, seat: Seat, ttl: int, former: str | None) -> TaskAcquire:
    """Return the request that acquires a task for a worker.

    Who suspended it is forgotten as soon as it is acquired: so after this one everybody gets all that it needs.
    """
    return TaskAcquire(message.id, message.version, seat.pid, ttl, preload=former != seat.pid)


def with_acquired(outgoing: Outgoing, seat: Seat, acquired: Acquired, *, is_partial: bool) -> Outgoing:
    """Return a message with the task that was acquired, and what its worker may see of its preload."""
    message = outgoing.message
    assert isinstance(message, Execute)
    task = acquired.task
    preload = [promise for promise in acquired.preload if promise.id.startswith(seat.prefix)]
    given = Acquired(task, acquired.promise, preload, is_partial)
    execute = Execute(task.id, task.version, message.server_url, task.cancelled_at, given)
    return evolve(outgoing, message=execute)


def _poll_address(text: str) -> PollAddress | None:
    try:
        address = parse_address(text)
    except ValueError:
        return None
    return address if isinstance(address, PollAddress) else None
