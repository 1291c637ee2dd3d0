"""Which worker gets which message: decisions only, without I/O, without waiting.

Every message that is not done with is one parcel, and a parcel is in one of three places: it waits for a
worker of its group, it stands in the queue of a peer (a connected worker), or that peer has taken it. What a
peer has taken is done with when it was handed over, an `execute` only when its task was acquired, so that
nothing is lost with a worker that vanishes in between.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final, final

from attrs import define, field

from resonate_trio.protocol import Execute, PollAddress, TaskState
from server_ref.machine import Outgoing, OutgoingKey, TaskRecord

Slot = tuple[str, ...]
"""What a message is about, its kind and id first: of two messages in one slot only the newer one counts."""


AFFINITY: Final = 8
"""How many more tasks than the least loaded worker one may have, and still get a task back that it suspended."""


def slot_of(outgoing: Outgoing) -> Slot:
    """Return the slot of a message: the task of an `execute`, the promise and address of an `unblock`."""
    if isinstance(outgoing.message, Execute):
        return (Execute.kind, outgoing.message.id)
    return (outgoing.message.kind, outgoing.message.promise.id, outgoing.address)


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


@final
@define(eq=False)
class Peer:
    """A connected worker.

    Attributes:
        prefix: it is sent messages about ids that begin with this, and no others.
        queue: what it has not taken yet.
        executes: what it was asked to execute and has not acquired yet, taken or not.
        in_hand: what it has taken last, until that is handed over.
        chosen: when it was chosen last; of equally loaded peers the one that has rested longest is next.
        notify: called when something was put into the queue, and when the peer was closed.
    """

    group: str
    pid: str
    notify: Callable[[], None]
    prefix: str = ""
    queue: dict[Slot, Parcel] = field(factory=dict, repr=False)
    executes: dict[Slot, Parcel] = field(factory=dict, repr=False)
    in_hand: Parcel | None = field(default=None, repr=False)
    chosen: int = 0
    is_open: bool = True

    def may_have(self, slot: Slot) -> bool:
        """Tell whether this peer may be sent what is in a slot."""
        return slot[1].startswith(self.prefix)

    def unfinished(self) -> list[Parcel]:
        """Return what would be lost with this peer."""
        parcels = self.executes | self.queue
        if self.in_hand is not None and not self.in_hand.is_execute:
            parcels = {self.in_hand.slot: self.in_hand} | parcels
        return list(parcels.values())


@final
class Router:
    """Assigns messages to peers. The least loaded worker of a group gets the next task.

    A task that was suspended goes back to the worker that did so, unless that one is much busier than others: it
    may have kept the execution, which anybody else would have to replay.
    """

    def __init__(self) -> None:
        self._groups: defaultdict[str, dict[str, Peer]] = defaultdict(dict)
        self._waiting: defaultdict[str, dict[Slot, Parcel]] = defaultdict(dict)
        self._parcels: dict[Slot, Parcel] = {}
        self._holders: dict[str, str] = {}
        self._held: defaultdict[str, int] = defaultdict(int)
        self._suspended_by: dict[str, str] = {}
        self._choices = 0
        self._is_closed = False

    # --- Who holds what ---------------------------------------------------------------------------

    def hold(self, task_id: str, pid: str | None) -> None:
        """Note who holds a task, None for nobody."""
        before = self._holders.pop(task_id, None)
        if before is not None:
            self._held[before] -= 1
            if not self._held[before]:
                del self._held[before]
        if pid is not None:
            self._holders[task_id] = pid
            self._held[pid] += 1

    def track(self, record: TaskRecord) -> None:
        """Note how a task stands now. A message that this made obsolete is no longer delivered."""
        holder = self._holders.get(record.id)
        self.hold(record.id, record.pid if record.state is TaskState.ACQUIRED else None)
        if record.state is TaskState.SUSPENDED and holder is not None:
            self._suspended_by[record.id] = holder
        elif record.state in {TaskState.ACQUIRED, TaskState.FULFILLED}:
            self._suspended_by.pop(record.id, None)
        parcel = self._parcels.get((Execute.kind, record.id))
        if parcel is None or not isinstance(message := parcel.outgoing.message, Execute):
            return
        if record.state is not TaskState.PENDING or record.version != message.version:
            self._forget(parcel)

    def load(self, peer: Peer) -> int:
        """Return how many tasks a peer holds or was asked to execute."""
        return self._held.get(peer.pid, 0) + len(peer.executes)

    # --- Messages ---------------------------------------------------------------------------------

    def post(self, outgoing: Outgoing, address: PollAddress) -> None:
        """Take in a message.

        An `execute` that comes again was not acquired in time: it may go to another worker now.
        """
        slot = slot_of(outgoing)
        old = self._parcels.get(slot)
        if old is not None and not old.is_execute:
            return
        if old is not None:
            self._suspended_by.pop(slot[1], None)  # that worker had its chance
        peer = self._choose(address, slot)
        if old is not None:
            if old.peer is peer and (peer is None or slot in peer.queue):
                old.outgoing = outgoing
                return
            self._forget(old)
        self._place(Parcel(outgoing, address, slot), peer)

    def take(self, peer: Peer) -> Outgoing | None:
        """Give a peer its next message."""
        if not peer.queue:
            return None
        peer.in_hand = peer.queue.pop(next(iter(peer.queue)))
        return peer.in_hand.outgoing

    def confirm(self, peer: Peer) -> OutgoingKey | None:
        """Note that what a peer has in hand was handed over, and return its key."""
        parcel, peer.in_hand = peer.in_hand, None
        if parcel is None or not peer.is_open:
            return None
        if not parcel.is_execute:
            self._forget(parcel)
        return parcel.outgoing.key

    def clear(self) -> None:
        """Forget all messages and all holders."""
        for parcel in list(self._parcels.values()):
            self._forget(parcel)
        self._holders.clear()
        self._held.clear()
        self._suspended_by.clear()

    # --- Peers ------------------------------------------------------------------------------------

    def connect(self, group: str, pid: str, notify: Callable[[], None], *, prefix: str = "") -> Peer:
        """Take in a worker. It replaces the one with the same group and pid, and gets what waits for it."""
        peer = Peer(group, pid, notify, prefix, is_open=not self._is_closed)
        if self._is_closed:
            return peer
        old = self._groups[group].get(pid)
        self._groups[group][pid] = peer
        if old is not None:
            self._close(old)
        self._replace(self._waiting.get(group, {}).values())
        return peer

    def disconnect(self, peer: Peer) -> None:
        """Let a worker go. What it has not finished goes to another one."""
        if not peer.is_open:
            return
        del self._groups[peer.group][peer.pid]
        self._close(peer)
        if not self._groups[peer.group]:
            del self._groups[peer.group]

    def close(self) -> None:
        """Let all workers go, and take in no more."""
        self._is_closed = True
        peers = [peer for group in self._groups.values() for peer in group.values()]
        self._groups.clear()
        for peer in peers:
            self._close(peer)

    def _close(self, peer: Peer) -> None:
        peer.is_open = False
        self._replace(peer.unfinished())
        peer.notify()

    # --- Places -----------------------------------------------------------------------------------

    def _choose(self, address: PollAddress, slot: Slot) -> Peer | None:
        everyone = self._groups.get(address.group, {})
        peers = {pid: peer for pid, peer in everyone.items() if peer.may_have(slot)}
        named = peers.get(address.pid) if address.pid is not None else None
        if not peers or named is not None or address.cast == "uni":
            return named
        least = min(peers.values(), key=lambda peer: (self.load(peer), peer.chosen))
        former = peers.get(self._suspended_by.get(slot[1], "")) if slot[0] == Execute.kind else None
        if former is not None and self.load(former) <= self.load(least) + AFFINITY:
            return former
        return least

    def _place(self, parcel: Parcel, peer: Peer | None) -> None:
        self._parcels[parcel.slot] = parcel
        parcel.peer = peer
        if peer is None:
            self._waiting[parcel.address.group][parcel.slot] = parcel
            return
        peer.queue[parcel.slot] = parcel
        if parcel.is_execute:
            peer.executes[parcel.slot] = parcel
        self._choices += 1
        peer.chosen = self._choices
        peer.notify()

    def _replace(self, parcels: Iterable[Parcel]) -> None:
        for parcel in list(parcels):
            peer = self._choose(parcel.address, parcel.slot)
            if peer is not None or parcel.peer is not None:
                self._forget(parcel)
                self._place(parcel, peer)

    def _forget(self, parcel: Parcel) -> None:
        del self._parcels[parcel.slot]
        peer = parcel.peer
        if peer is not None:
            peer.queue.pop(parcel.slot, None)
            peer.executes.pop(parcel.slot, None)
            if peer.in_hand is parcel:
                peer.in_hand = None
            return
        waiting = self._waiting[parcel.address.group]
        del waiting[parcel.slot]
        if not waiting:
            del self._waiting[parcel.address.group]
