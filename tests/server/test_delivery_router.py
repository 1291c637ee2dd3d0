"""The router: which worker gets which message."""

from collections.abc import Callable

import pytest
from attrs import define, field

from resonate_trio.protocol import (
    EMPTY,
    Acquired,
    Execute,
    PollAddress,
    Promise,
    PromiseState,
    Reply,
    ReplyHead,
    Request,
    Task,
    TaskAcquire,
    TaskRelease,
    TaskState,
    Unblock,
    parse_address,
)
from server_ref.delivery import Allotment, Peer, Router, Seat
from server_ref.delivery._choice import AFFINITY
from server_ref.machine import Outgoing, TaskRecord

GROUP = "poll://any@g"


def execute(id: str, *, version: int = 0, address: str = GROUP) -> tuple[Outgoing, PollAddress]:
    """Return an `execute` message, and its address."""
    return _addressed(Outgoing(("execute", id, version), address, Execute(id, version)))


def unblock(id: str, *, address: str = "poll://uni@g/a") -> tuple[Outgoing, PollAddress]:
    """Return an `unblock` message, and its address."""
    promise = Promise(id, PromiseState.RESOLVED, 10, 0, EMPTY, EMPTY, {}, 5)
    return _addressed(Outgoing(("unblock", id, address), address, Unblock(promise)))


def _addressed(outgoing: Outgoing) -> tuple[Outgoing, PollAddress]:
    address = parse_address(outgoing.address)
    assert isinstance(address, PollAddress)
    return outgoing, address


def acquired(id: str, pid: str, *, version: int = 1) -> TaskRecord:
    """Return a task that is held."""
    return TaskRecord(id, TaskState.ACQUIRED, version, ttl=1000, pid=pid, due_at=1000)


def ignore() -> None:
    """Do nothing when something arrives."""


def connect(router: Router, pid: str, *, group: str = "g", notify: Callable[[], None] = ignore) -> Peer:
    """Connect a worker."""
    return router.connect(Seat(group, pid), notify)


def take_all(router: Router, peer: Peer) -> list[str]:
    """Take and confirm everything, and return what it is about."""
    ids = []
    while (outgoing := router.take(peer)) is not None:
        message = outgoing.message
        ids.append(message.id if isinstance(message, Execute) else message.promise.id)
        assert router.confirm(peer) == outgoing.key
    return ids


def test_message_waits_until_a_worker_of_its_group_connects() -> None:
    """Messages to a group without workers are kept, in order, and go to the first one that comes."""
    router = Router()
    router.post(*execute("t1"))
    router.post(*execute("t2"))
    assert take_all(router, connect(router, "other", group="h")) == []
    assert take_all(router, connect(router, "a")) == ["t1", "t2"]


def test_worker_is_notified_of_a_message() -> None:
    """A worker that waits is told when something arrives for it, and only then."""
    router = Router()
    calls: list[str] = []
    connect(router, "a", notify=lambda: calls.append("a"))
    connect(router, "b", group="h", notify=lambda: calls.append("b"))
    router.post(*execute("t1"))
    assert calls == ["a"]


def test_of_two_waiting_messages_for_a_task_only_the_newer_version_is_sent() -> None:
    """One message a task: the newest version wins."""
    router = Router()
    router.post(*execute("t", version=0))
    router.post(*execute("t", version=1))
    outgoing = router.take(connect(router, "a"))
    assert outgoing is not None
    assert outgoing.key == ("execute", "t", 1)
    assert take_all(router, connect(router, "b")) == []


def test_unblock_that_waits_already_is_not_sent_twice() -> None:
    """One message a promise and address."""
    router = Router()
    router.post(*unblock("p"))
    router.post(*unblock("p"))
    assert take_all(router, connect(router, "a")) == ["p"]


def test_tasks_are_spread_evenly_over_idle_workers() -> None:
    """What was sent and not yet acquired counts as load."""
    router = Router()
    peers = [connect(router, pid) for pid in "abc"]
    for n in range(6):
        router.post(*execute(f"t{n}"))
    assert [len(take_all(router, peer)) for peer in peers] == [2, 2, 2]


def test_worker_that_holds_fewer_tasks_gets_the_next_one() -> None:
    """Acquired tasks count as load of the process that holds them."""
    router = Router()
    busy, idle = connect(router, "busy"), connect(router, "idle")
    router.track(acquired("x", "busy"))
    router.track(acquired("y", "busy"))
    router.post(*execute("t1"))
    router.post(*execute("t2"))
    assert take_all(router, idle) == ["t1", "t2"]
    assert take_all(router, busy) == []


@pytest.mark.parametrize("state", [TaskState.PENDING, TaskState.SUSPENDED, TaskState.FULFILLED])
def test_task_that_is_given_back_counts_no_longer(state: TaskState) -> None:
    """The load sinks when a task is released, suspended or fulfilled."""
    router = Router()
    peer = connect(router, "a")
    router.track(acquired("x", "a"))
    assert router.load(peer) == 1
    router.track(TaskRecord("x", state, 1))
    assert router.load(peer) == 0


def test_heartbeat_does_not_count_twice() -> None:
    """Seeing that a task is still held by the same process changes nothing."""
    router = Router()
    peer = connect(router, "a")
    router.track(acquired("x", "a"))
    router.track(acquired("x", "a"))
    assert router.load(peer) == 1


def test_equally_loaded_workers_take_turns() -> None:
    """Of workers that are equally loaded the one that has rested longest is next."""
    router = Router()
    a, b = connect(router, "a"), connect(router, "b")
    got = []
    for n in range(4):
        router.post(*execute(f"t{n}"))
        got.append("a" if take_all(router, a) else "b" if take_all(router, b) else "none")
        router.track(TaskRecord(f"t{n}", TaskState.FULFILLED, 1))
    assert got == ["a", "b", "a", "b"]


def test_acquired_task_is_load_once() -> None:
    """A task that was sent and then acquired by its receiver counts once."""
    router = Router()
    peer = connect(router, "a")
    router.post(*execute("t"))
    take_all(router, peer)
    router.track(acquired("t", "a"))
    assert router.load(peer) == 1


def test_named_worker_is_preferred_whatever_its_load() -> None:
    """`any@group/pid` goes to that process if it is connected."""
    router = Router()
    a, b = connect(router, "a"), connect(router, "b")
    router.track(acquired("x", "b"))
    router.post(*execute("t", address="poll://any@g/b"))
    assert take_all(router, a) == []
    assert take_all(router, b) == ["t"]


def test_named_worker_that_is_not_connected_is_replaced_by_any() -> None:
    """`any@group/pid` goes to any worker of the group if that process is not connected."""
    router = Router()
    router.post(*execute("t", address="poll://any@g/gone"))
    assert take_all(router, connect(router, "a")) == ["t"]


def test_unicast_waits_for_the_one_worker() -> None:
    """`uni@group/pid` goes to that process only."""
    router = Router()
    a = connect(router, "a")
    router.post(*unblock("p", address="poll://uni@g/b"))
    assert take_all(router, a) == []
    assert take_all(router, connect(router, "b")) == ["p"]


def test_what_a_vanished_worker_has_not_taken_goes_to_another() -> None:
    """Messages in the queue of a connection that ends move on at once."""
    router = Router()
    a = connect(router, "a")
    router.post(*execute("t"))
    b = connect(router, "b")
    router.disconnect(a)
    assert take_all(router, b) == ["t"]


def test_execute_that_a_vanished_worker_took_but_did_not_acquire_goes_to_another() -> None:
    """A task is not lost with the worker that was asked to execute it."""
    router = Router()
    a = connect(router, "a")
    router.post(*execute("t"))
    assert take_all(router, a) == ["t"]
    router.disconnect(a)
    assert take_all(router, connect(router, "b")) == ["t"]


def test_execute_that_a_vanished_worker_acquired_stays() -> None:
    """What was acquired is under a lease, and not dispatched again by the router."""
    router = Router()
    a = connect(router, "a")
    router.post(*execute("t"))
    take_all(router, a)
    router.track(acquired("t", "a"))
    router.disconnect(a)
    assert take_all(router, connect(router, "b")) == []


def test_unblock_that_was_handed_over_is_done_with() -> None:
    """A notice that reached its receiver is not sent again when that one reconnects."""
    router = Router()
    a = connect(router, "a")
    router.post(*unblock("p"))
    assert take_all(router, a) == ["p"]
    router.disconnect(a)
    assert take_all(router, connect(router, "a")) == []


def test_unblock_in_the_hand_of_a_vanished_worker_is_sent_again() -> None:
    """Taken is not handed over: what was being written when the connection broke is kept."""
    router = Router()
    a = connect(router, "a")
    router.post(*unblock("p"))
    assert router.take(a) is not None
    router.disconnect(a)
    assert router.confirm(a) is None
    assert take_all(router, connect(router, "a")) == ["p"]


def test_second_connection_of_a_worker_replaces_the_first() -> None:
    """The older connection is closed and told so; what it had not finished goes to the newer one."""
    router = Router()
    calls: list[str] = []
    old = connect(router, "a", notify=lambda: calls.append("old"))
    router.post(*execute("t", address="poll://uni@g/a"))
    new = connect(router, "a")
    assert not old.is_open
    assert calls == ["old", "old"]
    assert router.take(old) is None
    assert take_all(router, new) == ["t"]


def test_disconnecting_a_replaced_connection_leaves_the_new_one() -> None:
    """The end of the older connection does not end the newer one."""
    router = Router()
    old = connect(router, "a")
    new = connect(router, "a")
    router.disconnect(old)
    router.post(*execute("t"))
    assert take_all(router, new) == ["t"]


def test_execute_that_was_not_acquired_in_time_may_go_elsewhere() -> None:
    """When a task is dispatched again, the worker that did not acquire it counts as loaded with it."""
    router = Router()
    deaf, other = connect(router, "deaf"), connect(router, "other")
    router.post(*execute("t"))
    assert take_all(router, deaf) == ["t"]
    router.post(*execute("t"))
    assert take_all(router, other) == ["t"]
    assert router.load(deaf) == 0


def test_execute_that_still_stands_in_the_queue_is_not_doubled_by_a_retry() -> None:
    """A worker that is slow to take its messages finds each of them once."""
    router = Router()
    a = connect(router, "a")
    router.post(*execute("t1"))
    router.post(*execute("t2"))
    router.post(*execute("t1"))
    assert take_all(router, a) == ["t1", "t2"]


@pytest.mark.parametrize(
    "record",
    [
        acquired("t", "elsewhere"),
        TaskRecord("t", TaskState.HALTED, 0),
        TaskRecord("t", TaskState.FULFILLED, 0),
        TaskRecord("t", TaskState.PENDING, 1),
    ],
    ids=["acquired", "halted", "fulfilled", "newer"],
)
def test_obsolete_execute_is_not_sent(record: TaskRecord) -> None:
    """A message that waits is dropped when its task is not pending at that version any more."""
    router = Router()
    router.post(*execute("t"))
    router.track(record)
    assert take_all(router, connect(router, "a")) == []


def test_execute_is_kept_while_its_task_stays_pending() -> None:
    """A task that is stored again, pending at the same version, is still to be executed."""
    router = Router()
    router.post(*execute("t"))
    router.track(TaskRecord("t", TaskState.PENDING, 0, resumes=("p",)))
    assert take_all(router, connect(router, "a")) == ["t"]


def test_clear_forgets_messages_and_holders() -> None:
    """After a reset nothing waits, nothing is queued and nobody holds anything."""
    router = Router()
    a = connect(router, "a")
    router.track(acquired("x", "a"))
    router.post(*execute("t1"))
    router.post(*unblock("p"))
    router.post(*execute("t2", address="poll://any@h"))
    assert router.take(a) is not None
    router.clear()
    assert router.load(a) == 0
    assert router.confirm(a) is None
    router.disconnect(a)
    assert take_all(router, connect(router, "a")) == []
    assert take_all(router, connect(router, "b", group="h")) == []


def test_closed_router_keeps_messages_and_takes_no_workers() -> None:
    """When the server goes down, all connections end and new ones end at once."""
    router = Router()
    calls: list[str] = []
    a = connect(router, "a", notify=lambda: calls.append("a"))
    router.close()
    router.post(*execute("t"))
    assert calls == ["a"]
    assert not a.is_open
    assert not connect(router, "b").is_open


def suspend(router: Router, id: str, pid: str, *, version: int = 1) -> None:
    """Have a worker acquire a task, and suspend it."""
    router.track(acquired(id, pid, version=version))
    router.suspend(id, pid)
    router.track(TaskRecord(id, TaskState.SUSPENDED, version))


def test_suspended_task_goes_back_to_the_worker_that_suspended_it() -> None:
    """That worker may have kept the execution; being a little busier than others does not matter."""
    router = Router()
    former, other = connect(router, "a"), connect(router, "b")
    suspend(router, "t", "a")
    for busy in ("x", "y"):
        router.track(acquired(busy, "a"))
    router.post(*execute("t", version=1))
    assert (take_all(router, former), take_all(router, other)) == (["t"], [])


def test_suspended_task_goes_elsewhere_if_its_worker_is_much_busier() -> None:
    """A replay costs less than waiting behind many others."""
    router = Router()
    former, other = connect(router, "a"), connect(router, "b")
    suspend(router, "t", "a")
    for number in range(AFFINITY + 1):
        router.track(acquired(f"busy-{number}", "a"))
    router.post(*execute("t", version=1))
    assert (take_all(router, former), take_all(router, other)) == ([], ["t"])


def test_suspended_task_that_its_worker_does_not_take_goes_elsewhere() -> None:
    """The retry does not insist on a worker that let its chance pass."""
    router = Router()
    former, other = connect(router, "a"), connect(router, "b")
    suspend(router, "t", "a")
    router.post(*execute("t", version=1))
    assert take_all(router, former) == ["t"]
    router.post(*execute("t", version=1))
    assert take_all(router, other) == ["t"]


def test_task_that_was_acquired_since_owes_nothing_to_the_worker_before() -> None:
    """Only the last one that suspended a task may have it in memory at its version."""
    router = Router()
    first, second = connect(router, "a"), connect(router, "b")
    suspend(router, "t", "a")
    suspend(router, "t", "b", version=2)
    router.post(*execute("t", version=2))
    assert (take_all(router, first), take_all(router, second)) == ([], ["t"])


def test_refusal_of_an_acquisition_that_was_overtaken_does_no_harm() -> None:
    """The task went to somebody else, came back, and is being acquired anew."""
    asked: list[tuple[Request, Callable[[Reply], None]]] = []
    router = Router(lambda request, answered: asked.append((request, answered)))
    peer = router.connect(Seat("g", "a", ttl=1000), ignore)
    router.post(*execute("t"))
    router.track(acquired("t", "b"))
    router.track(TaskRecord("t", TaskState.PENDING, 1))
    router.post(*execute("t", version=1))
    (_, refused), (_, answered) = asked
    refused(Reply("task.acquire", ReplyHead("c", 409), "the task is held by somebody else"))
    promise = Promise("t", PromiseState.PENDING, timeout_at=1, created_at=0)
    answered(Reply("task.acquire", ReplyHead("c", 200), Acquired(Task("t", TaskState.ACQUIRED, 2), promise)))
    outgoing = router.take(peer)
    assert outgoing is not None
    assert isinstance(outgoing.message, Execute)
    assert outgoing.message.version == 2


def test_nothing_is_kept_of_a_worker_that_has_gone() -> None:
    """Neither when it was chosen last, nor that it was there."""
    router = Router()
    peer = router.connect(Seat("g", "a", ttl=1000), ignore)
    other = router.connect(Seat("h", "b", ttl=1000), ignore)
    router.post(*execute("t"))
    assert (len(router.allot().seats), len(router.allot().loads.chosen)) == (2, 1)
    router.disconnect(peer)
    assert (len(router.allot().seats), len(router.allot().loads.chosen)) == (1, 0)
    router.disconnect(other)
    assert router.allot() == Allotment()


@define
class Requests:
    """Keeps what a router asks for, and answers that tasks are acquired."""

    releases: list[TaskRelease] = field(factory=list)

    def ask(self, request: Request, answered: Callable[[Reply], None]) -> None:
        """Take in a request."""
        if isinstance(request, TaskRelease):
            self.releases.append(request)
        if isinstance(request, TaskAcquire):
            task = Task(request.id, TaskState.ACQUIRED, request.version + 1, pid=request.pid)
            promise = Promise(request.id, PromiseState.PENDING, timeout_at=1, created_at=0)
            answered(Reply("task.acquire", ReplyHead("c", 200), Acquired(task, promise)))


def handed_over(router: Router, peer: Peer, *ids: str) -> None:
    """Post tasks, which are acquired for a peer, and hand them over."""
    for id in ids:
        router.post(*execute(id))
        router.track(acquired(id, peer.seat.pid))
        assert router.take(peer) is not None
        assert router.confirm(peer) is None


def test_what_was_handed_over_acquired_is_released_unless_its_worker_was_heard() -> None:
    """When its stream ends, and once."""
    requests = Requests()
    router = Router(requests.ask)
    peer = router.connect(Seat("g", "a", ttl=1000), ignore)
    handed_over(router, peer, "t1", "t2", "t3")
    router.hear("t1")
    router.track(TaskRecord("t2", TaskState.FULFILLED, 1))
    router.disconnect(peer)
    router.disconnect(router.connect(Seat("g", "a", ttl=1000), ignore))
    assert requests.releases == [TaskRelease("t3", 1)]


def test_what_was_handed_over_to_a_stream_that_is_replaced_is_released() -> None:
    """At once, and not again with the stream that replaced it."""
    requests = Requests()
    router = Router(requests.ask)
    handed_over(router, router.connect(Seat("g", "a", ttl=1000), ignore), "t")
    later = router.connect(Seat("g", "a", ttl=1000), ignore)
    assert requests.releases == [TaskRelease("t", 1)]
    router.disconnect(later)
    assert len(requests.releases) == 1


def test_closed_or_emptied_router_releases_nothing_that_was_handed_over() -> None:
    """A worker goes on after a restart; after a reset there is nothing to release."""
    requests = Requests()
    closed, cleared = Router(requests.ask), Router(requests.ask)
    peers = [router.connect(Seat("g", "a", ttl=1000), ignore) for router in (closed, cleared)]
    for router, peer in zip((closed, cleared), peers, strict=True):
        handed_over(router, peer, "t")
    closed.close()
    closed.disconnect(peers[0])
    cleared.clear()
    cleared.disconnect(peers[1])
    assert requests.releases == []
