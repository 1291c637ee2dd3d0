"""Messages that are not done with, and the workers that they are for."""

from collections.abc import Callable
from typing import final

from attrs import define, field

from resonate_trio.protocol import Cancel, Execute, PollAddress, Task, Unblock
from server_ref.machine import Outgoing

from ._choice import Seat, Slot


def slot_of(outgoing: Outgoing) -> Slot:
    """Return the slot of a message: the task of an `execute`, the promise and address of an `unblock`."""
    if isinstance(outgoing.message, Unblock):
        return (Unblock.kind, outgoing.message.promise.id, outgoing.address)
    return (outgoing.message.kind, outgoing.message.id)


@final
@define(eq=False)
class Parcel:
    """A message and where it is. Without a peer it waits."""

    outgoing: Outgoing
    address: PollAddress
    slot: Slot
    peer: "Peer | None" = None

    @property
    def is_execute(self) -> bool:
        """Tell whether the message asks for the execution of a task."""
        return isinstance(self.outgoing.message, Execute)

    @property
    def is_acquired(self) -> bool:
        """Tell whether it does so of a task that its peer holds already."""
        message = self.outgoing.message
        return isinstance(message, Execute) and message.acquired is not None


@final
@define(eq=False)
class Peer:
    """A connected worker.

    Attributes:
        seat: the terms on which it is connected.
        notify: called when something was put into the queue, and when the peer was closed.
        queue: what it has not taken yet.
        executes: what it was asked to execute and has not acquired yet, taken or not, or being acquired for it.
        cancels: tasks that it holds and that are to be cancelled, and it was not told. If this is lost with the
            connection, it hears of that from the replies to its requests.
        in_hand: what it has taken last, until that is handed over.
        unheard: tasks that were acquired for it and handed over, of which it has not shown yet that it knows.
    """

    seat: Seat
    notify: Callable[[], None]
    queue: dict[Slot, Parcel] = field(factory=dict, repr=False)
    executes: dict[Slot, Parcel] = field(factory=dict, repr=False)
    cancels: dict[str, Cancel] = field(factory=dict, repr=False)
    in_hand: Parcel | None = field(default=None, repr=False)
    unheard: dict[str, Task] = field(factory=dict, repr=False)
    is_open: bool = True

    def suits(self, parcel: Parcel) -> bool:
        """Tell whether this peer may be sent a message, as far as its address goes too."""
        address = parcel.address
        return self.seat.may_have(parcel.slot) and (address.cast != "uni" or address.pid == self.seat.pid)

    def unfinished(self) -> list[Parcel]:
        """Return what would be lost with this peer."""
        parcels = self.executes | self.queue
        if self.in_hand is not None and self.in_hand.slot not in parcels:
            parcels = {self.in_hand.slot: self.in_hand} | parcels
        return list(parcels.values())
