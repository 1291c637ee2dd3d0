"""Which worker gets which message: decisions only, without I/O, without waiting.

Every message that is not done with is one parcel, and a parcel is in one of three places: it waits for a
worker of its group, it stands in the queue of a peer (a connected worker), or that peer has taken it. What a
peer has taken is done with when it was handed over, an `execute` only when its task was acquired, so that
nothing is lost with a worker that vanishes in between.

For a peer with a `ttl` a task is acquired first, and enters its queue when that is stored. If the peer goes before
it has shown that it knows of the task, that is released: what was handed over may have been written into a socket
that nobody reads.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import final

from resonate_trio.protocol import (
    Acquired,
    Cancel,
    Execute,
    PollAddress,
    Reply,
    Request,
    Task,
    TaskAcquire,
    TaskRelease,
    TaskState,
    parse_address,
)
from server_ref.machine import Outgoing, OutgoingKey, TaskRecord

from ._allotment import NOBODY, Allotment, acquisition, with_acquired
from ._choice import Seat, Slot, choose, count, has_room
from ._ledger import Ledger
from ._parcels import Parcel, Peer, slot_of

Ask = Callable[[Request, Callable[[Reply], None]], None]
"""Has a request performed, and its reply told, without waiting for it."""


def ask_nobody(_request: Request, _answered: Callable[[Reply], None]) -> None:
    """Leave a request alone: what is to be acquired stays on its way."""


@final
class Router:
    """Assigns messages to peers, by the rules of `choose`.

    A task that was suspended goes back to the worker that did so, if that is not too busy: it may have kept the
    execution, which anybody else would have to replay.

    A worker that has as many tasks as its capacity allows gets none. What no worker has room for waits.
    """

    def __init__(self, ask: Ask = ask_nobody) -> None:
        self._ask = ask
        self._seats: dict[str, dict[str, Seat]] = {}  # by group and pid; replaced, never changed
        self._peers: dict[Seat, Peer] = {}
        self._by_pid: defaultdict[str, dict[str, Peer]] = defaultdict(dict)
        self._waiting: defaultdict[str, dict[Slot, Parcel]] = defaultdict(dict)
        self._parcels: dict[Slot, Parcel] = {}
        self._ledger = Ledger()
        self._unheard: dict[str, Peer] = {}  # by task
        self._acquiring = 0  # how many peers have tasks acquired for them
        self._is_closed = False

    # --- Who holds what ---------------------------------------------------------------------------

    def hold(self, task_id: str, pid: str | None) -> None:
        """Note who holds a task, None for nobody."""
        self._ledger.hold(task_id, pid)

    def suspend(self, task_id: str, pid: str | None) -> None:
        """Note who suspended a task, None for nobody that counts: it was taken since."""
        self._ledger.suspend(task_id, pid)

    def hear(self, task_id: str) -> None:
        """Note that the holder of a task has shown that it knows of it."""
        self._be_sure_of(task_id)
        parcel = self._parcels.get((Execute.kind, task_id))
        if parcel is not None and parcel.peer is not None and parcel.peer.in_hand is parcel and parcel.is_acquired:
            self._forget(parcel)  # it has arrived, before its writer came to say so

    def track(self, record: TaskRecord) -> None:
        """Note how a task stands now. A message that this made obsolete is no longer delivered.

        When all are noted, call `fill`.
        """
        self.hold(record.id, record.pid if record.state is TaskState.ACQUIRED else None)
        if record.state in {TaskState.ACQUIRED, TaskState.FULFILLED}:
            self.suspend(record.id, None)
        peer = self._unheard.get(record.id)
        if peer is not None and not _is_held(record, peer.unheard[record.id].version):
            self._be_sure_of(record.id)
        parcel = self._parcels.get((Execute.kind, record.id))
        if parcel is None or not isinstance(message := parcel.outgoing.message, Execute):
            return
        wanted = TaskState.PENDING if message.acquired is None else TaskState.ACQUIRED
        if record.state is not wanted or record.version != message.version:
            self._forget(parcel)

    def load(self, peer: Peer) -> int:
        """Return how many tasks a peer holds or was asked to execute."""
        return self._ledger.loads.of(peer.seat.pid)

    def fill(self) -> None:
        """Give what waits to peers that have room again."""
        freed = self._ledger.freed
        while freed:
            for peer in self._by_pid.get(freed.pop(), {}).values():
                self._fill(peer)

    def _fill(self, peer: Peer) -> None:
        waiting = iter(self._waiting.get(peer.seat.group, {}).values())
        while peer.seat.capacity is not None and has_room(peer.seat, self._ledger.loads):
            parcel = next((one for one in waiting if one.is_execute and peer.suits(one)), None)
            if parcel is None:
                return
            self._move(parcel, peer)
            waiting = iter(self._waiting.get(peer.seat.group, {}).values())

    # --- Messages ---------------------------------------------------------------------------------

    def post(self, outgoing: Outgoing, address: PollAddress) -> None:
        """Take in a message.

        An `execute` that comes again was not acquired in time: it may go to another worker now.
        """
        slot = slot_of(outgoing)
        old = self._parcels.get(slot)
        if old is not None and (not old.is_execute or _is_being_acquired(old)):
            return
        if old is not None and old.peer is not None:
            self.suspend(slot[1], None)  # that worker had its chance
        peer = self._choose(address, slot, old)
        if old is not None:
            if old.peer is peer and (peer is None or slot in peer.queue):
                old.outgoing = outgoing
                return
            self._forget(old)
        self._place(Parcel(outgoing, address, slot), peer)
        self.fill()

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
        if parcel.is_execute and not parcel.is_acquired:
            return parcel.outgoing.key
        self._forget(parcel)
        message = parcel.outgoing.message
        if isinstance(message, Execute) and message.acquired is not None:
            peer.unheard[message.id] = message.acquired.task
            self._unheard[message.id] = peer
            return None
        return parcel.outgoing.key

    def tell(self, record: TaskRecord) -> None:
        """Tell who holds a task that it is to be cancelled, if it is connected."""
        if record.pid is None or record.cancelled_at is None:
            return
        for peer in self._by_pid.get(record.pid, {}).values():
            if peer.seat.may_have((Cancel.kind, record.id)):
                peer.cancels[record.id] = Cancel(record.id, record.version, record.cancelled_at)
                peer.notify()

    def take_cancel(self, peer: Peer) -> Cancel | None:
        """Give a peer the next task that is to be cancelled."""
        return peer.cancels.pop(next(iter(peer.cancels))) if peer.cancels else None

    def clear(self) -> None:
        """Forget all messages and all holders."""
        for parcel in list(self._parcels.values()):
            self._forget(parcel)
        self._ledger.clear()
        for peer in self._unheard.values():
            peer.unheard.clear()
        self._unheard.clear()

    # --- Acquiring for a peer ---------------------------------------------------------------------

    def allot(self) -> Allotment:
        """Return what a turn has to know to acquire tasks for peers by itself."""
        if not self._acquiring:
            return NOBODY
        ledger = self._ledger
        awaited = {pid for group in self._waiting for pid in self._seats.get(group, ())}
        return Allotment(self._seats, ledger.loads.copy(), ledger.holders, ledger.suspended_by, awaited)

    def deliver(self, outgoing: Outgoing, seat: Seat) -> None:
        """Send a task that a turn has acquired for a peer, or release it if that has no place for it any more.

        To be called when the changes of the turn are tracked.
        """
        message = outgoing.message
        assert isinstance(message, Execute)
        assert message.acquired is not None
        peer = self._peers.get(seat)
        is_full = seat.capacity is not None and self._ledger.loads.of(seat.pid) > seat.capacity
        if peer is None or is_full:
            self._release(message.acquired.task)
            return
        address = parse_address(outgoing.address)
        assert isinstance(address, PollAddress)
        slot = slot_of(outgoing)
        self._parcels[slot] = peer.queue[slot] = Parcel(outgoing, address, slot, peer)
        self._ledger.loads.choose(seat)
        peer.notify()

    def _acquire(self, parcel: Parcel, peer: Peer, ttl: int) -> None:
        """Have a task acquired for a peer. There is always an answer, be it that the store does not work."""
        message = parcel.outgoing.message
        assert isinstance(message, Execute)
        request = acquisition(message, peer.seat, ttl, self._ledger.suspended_by.get(message.id))
        self._ask(request, partial(self._acquired, parcel, peer, request))

    def _acquired(self, parcel: Parcel, peer: Peer, request: TaskAcquire, reply: Reply) -> None:
        """Send a task that was acquired for a peer, or release it if that has gone, or is not to have it any more.

        This is called before the change that the acquisition made is tracked.
        """
        is_wanted = peer.executes.get(parcel.slot) is parcel and peer.is_open
        acquired = reply.data
        if not isinstance(acquired, Acquired):
            if is_wanted:
                self._forget(parcel)  # if it is still to be executed, it is dispatched again
            return
        if not is_wanted:
            self._release(acquired.task)
            return
        del peer.executes[parcel.slot]
        count(self._ledger.loads.under_way, peer.seat.pid, -1)
        parcel.outgoing = with_acquired(parcel.outgoing, peer.seat, acquired, is_partial=not request.preload)
        peer.queue[parcel.slot] = parcel
        peer.notify()

    def _release(self, task: Task) -> None:
        self._ask(TaskRelease(task.id, task.version), _ignore)

    # --- Peers ------------------------------------------------------------------------------------

    def connect(self, seat: Seat, notify: Callable[[], None]) -> Peer:
        """Take in a worker. It replaces the one with the same group and pid, and gets what waits for it."""
        peer = Peer(seat, notify, is_open=not self._is_closed)
        if self._is_closed:
            return peer
        group = self._seats.get(seat.group, {})
        old = group.get(seat.pid)
        self._seats = {**self._seats, seat.group: {**group, seat.pid: seat}}
        self._by_pid[seat.pid][seat.group] = self._peers[seat] = peer
        self._acquiring += seat.ttl is not None
        if old is not None:
            replaced = self._peers[old]
            self._close(replaced)
            self._release_unheard(replaced)
        waiting = self._waiting.get(seat.group, {}).values()
        self._replace(parcel for parcel in waiting if seat.capacity is None or not parcel.is_execute)
        self._fill(peer)
        self.fill()
        return peer

    def disconnect(self, peer: Peer) -> None:
        """Let a worker go. What it has not finished goes to another one."""
        if not peer.is_open:
            return
        seat = peer.seat
        group = {pid: other for pid, other in self._seats[seat.group].items() if other is not seat}
        self._seats = {**self._seats, seat.group: group}
        if not group:
            del self._seats[seat.group]
        del self._by_pid[seat.pid][seat.group]
        if not self._by_pid[seat.pid]:
            del self._by_pid[seat.pid]
        self._close(peer)
        self._release_unheard(peer)
        self.fill()

    def close(self) -> None:
        """Let all workers go, and take in no more.

        Tasks that were handed over stay theirs: they will connect to the next run of the server.
        """
        self._is_closed = True
        peers = list(self._peers.values())
        self._seats = {}
        self._by_pid.clear()
        for peer in peers:
            self._close(peer)

    def _close(self, peer: Peer) -> None:
        peer.is_open = False
        del self._peers[peer.seat]
        self._acquiring -= peer.seat.ttl is not None
        parcels = peer.unfinished()
        for parcel in parcels:
            if isinstance(message := parcel.outgoing.message, Execute) and message.acquired is not None:
                self._forget(parcel)
                self._release(message.acquired.task)
        self._replace(parcel for parcel in parcels if not parcel.is_acquired)
        self._ledger.loads.chosen.pop(peer.seat, None)
        peer.notify()

    def _be_sure_of(self, task_id: str) -> None:
        peer = self._unheard.pop(task_id, None)
        if peer is not None:
            del peer.unheard[task_id]

    def _release_unheard(self, peer: Peer) -> None:
        for task in peer.unheard.values():
            del self._unheard[task.id]
            self._release(task)
        peer.unheard.clear()

    # --- Places -----------------------------------------------------------------------------------

    def _choose(self, address: PollAddress, slot: Slot, old: Parcel | None) -> Peer | None:
        """Choose who gets a message, which was this parcel before."""
        seats = self._seats.get(address.group, {})
        former = self._ledger.suspended_by.get(slot[1])
        asked = None
        if old is not None and old.peer is not None and slot in old.peer.executes:
            asked = old.peer.seat.pid
        seat = choose(seats, address, slot, self._ledger.loads, former=former, asked=asked)
        return None if seat is None else self._peers[seat]

    def _place(self, parcel: Parcel, peer: Peer | None) -> None:
        self._parcels[parcel.slot] = parcel
        parcel.peer = peer
        if peer is None:
            self._waiting[parcel.address.group][parcel.slot] = parcel
            return
        self._ledger.loads.choose(peer.seat)
        if parcel.is_execute:
            peer.executes[parcel.slot] = parcel
            self._ledger.send(peer.seat.pid)
            if peer.seat.ttl is not None:
                self._acquire(parcel, peer, peer.seat.ttl)
                return
        peer.queue[parcel.slot] = parcel
        peer.notify()

    def _move(self, parcel: Parcel, peer: Peer | None) -> None:
        self._forget(parcel)
        self._place(parcel, peer)

    def _replace(self, parcels: Iterable[Parcel]) -> None:
        for parcel in list(parcels):
            peer = self._choose(parcel.address, parcel.slot, parcel)
            if peer is not None or parcel.peer is not None:
                self._move(parcel, peer)

    def _forget(self, parcel: Parcel) -> None:
        del self._parcels[parcel.slot]
        peer = parcel.peer
        if peer is not None:
            peer.queue.pop(parcel.slot, None)
            if peer.executes.pop(parcel.slot, None) is not None:
                self._ledger.withdraw(peer.seat.pid)
            if peer.in_hand is parcel:
                peer.in_hand = None
            return
        waiting = self._waiting[parcel.address.group]
        del waiting[parcel.slot]
        if not waiting:
            del self._waiting[parcel.address.group]


def _is_being_acquired(parcel: Parcel) -> bool:
    """Tell whether a task is being acquired for its peer."""
    peer = parcel.peer
    return peer is not None and peer.seat.ttl is not None and parcel.slot in peer.executes


def _is_held(record: TaskRecord, version: int) -> bool:
    """Tell whether a task is acquired at a version."""
    return record.state is TaskState.ACQUIRED and record.version == version


def _ignore(_reply: Reply) -> None:
    """Let a reply be: what it is about is done, or was no longer to be done."""
