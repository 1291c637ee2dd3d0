"""Who gets a message: the rules, and the counts that they go by. Pure."""

from collections.abc import Mapping
from typing import Final, final

from attrs import define, field, frozen

from resonate_trio.protocol import Execute, PollAddress

Slot = tuple[str, ...]
"""What a message is about, its kind and id first: of two messages in one slot only the newer one counts."""
AFFINITY: Final = 8
"""How many more tasks than the least loaded worker one may have, and still get a task back that it suspended."""


@final
@frozen(eq=False)
class Seat:
    """The terms on which a worker is connected, once.

    Attributes:
        prefix: it is sent messages about ids that begin with this, and no others.
        capacity: how many tasks may be on their way to it or held by it, None for any number.
        ttl: the lease (ms) of the tasks that are acquired for it, None if it acquires them itself.
    """

    group: str
    pid: str
    prefix: str = ""
    capacity: int | None = None
    ttl: int | None = None

    def may_have(self, slot: Slot) -> bool:
        """Tell whether this worker may be sent what is in a slot."""
        return slot[1].startswith(self.prefix)


Seats = Mapping[str, Mapping[str, Seat]]
"""By group and pid. Never changed, only replaced."""


@final
@define
class Loads:
    """How busy workers are, and who was chosen when.

    Attributes:
        held: how many tasks each holds, by pid.
        under_way: how many it was asked to execute and has not acquired, by pid.
        chosen: when each was chosen last; of equally loaded workers the one that has rested longest is next.
    """

    held: dict[str, int] = field(factory=dict)
    under_way: dict[str, int] = field(factory=dict)
    chosen: dict[Seat, int] = field(factory=dict)
    _choices: int = 0

    def of(self, pid: str) -> int:
        """Return how many tasks a worker holds or was asked to execute."""
        return self.held.get(pid, 0) + self.under_way.get(pid, 0)

    def choose(self, seat: Seat) -> None:
        """Note that a worker was chosen."""
        self._choices += 1
        self.chosen[seat] = self._choices

    def copy(self) -> "Loads":
        """Return a copy that goes its own way."""
        return Loads(self.held.copy(), self.under_way.copy(), self.chosen.copy(), self._choices)


def choose(
    seats: Mapping[str, Seat],
    address: PollAddress,
    slot: Slot,
    loads: Loads,
    *,
    former: str | None = None,
    asked: str | None = None,
) -> Seat | None:
    """Choose who gets a message, None if it has to wait.

    The named worker is preferred. Then a task goes back to who suspended it, unless that one is much busier than
    others. Then the least loaded worker gets it. For a task a worker needs room.

    Args:
        seats: those of the group, by pid.
        address: where the message goes.
        slot: what it is about.
        loads: how busy the workers are.
        former: who suspended the task.
        asked: who was asked to execute this task already, so that it is in its load.
    """
    is_task = slot[0] == Execute.kind
    able = {
        pid: seat
        for pid, seat in seats.items()
        if seat.may_have(slot) and (not is_task or has_room(seat, loads, counted=pid == asked))
    }
    named = able.get(address.pid) if address.pid is not None else None
    if not able or named is not None or address.cast == "uni":
        return named
    least = min(able.values(), key=lambda seat: (loads.of(seat.pid), loads.chosen.get(seat, 0)))
    previous = able.get(former) if is_task and former is not None else None
    if previous is not None and loads.of(previous.pid) <= loads.of(least.pid) + AFFINITY:
        return previous
    return least


def has_room(seat: Seat, loads: Loads, *, counted: bool = False) -> bool:
    """Tell whether a worker may have one more task, or this one if it was counted already."""
    return seat.capacity is None or loads.of(seat.pid) - counted < seat.capacity


def count(counts: dict[str, int], pid: str, change: int) -> None:
    """Change a count, and forget who has none."""
    left = counts.get(pid, 0) + change
    if left:
        counts[pid] = left
    else:
        del counts[pid]
