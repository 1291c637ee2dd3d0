"""The machine: requests about tasks."""

from collections.abc import Callable

import pytest

from resonate_trio.protocol import (
    MAX_MILLIS,
    Acquired,
    Envelope,
    Fenced,
    Head,
    PromiseCreate,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    Reply,
    Request,
    Suspended,
    TaskAcquire,
    TaskContinue,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskState,
    TaskSuspend,
    Value,
)
from server_ref.machine import TaskRecord

from .machine_kit import (
    FAR,
    LOCAL,
    START,
    TARGET,
    TIMER,
    TTL,
    Machine,
    create,
    fulfill,
    suspend,
    task_create,
)


@pytest.fixture
def machine() -> Machine:
    """Give an empty machine."""
    return Machine()


def bring(machine: Machine, state: TaskState) -> None:
    """Bring the task `root` into a state, at version 1, or 0 if it was never acquired."""
    machine.create("root")
    machine.create("root:other")
    if state is not TaskState.PENDING:
        machine.acquire("root", 0)
    if state is TaskState.SUSPENDED:
        machine.suspend("root", "root:other")
    elif state is TaskState.HALTED:
        machine.done(TaskHalt("root"))
    elif state is TaskState.FULFILLED:
        machine.ok(fulfill("root"), PromiseReply)


def fence(action: PromiseCreate | PromiseSettle, *, version: int = 1) -> TaskFence:
    """Return a fence of the task `root`."""
    return TaskFence("root", version, Envelope(Head("inner", "v"), action))


GUARDED: dict[str, Callable[[int], TaskFence | TaskSuspend | TaskFulfill | TaskRelease]] = {
    "fence": lambda version: fence(create("root:1"), version=version),
    "suspend": lambda version: suspend("root", "root:other", version=version),
    "fulfill": lambda version: fulfill("root", version=version),
    "release": lambda version: TaskRelease("root", version),
}
guarded = pytest.mark.parametrize("kind", GUARDED)


# --- Guards ---------------------------------------------------------------------------------------


@guarded
def test_an_unknown_task_is_refused(machine: Machine, kind: str) -> None:
    """404, also when there is a promise of that id that has no task."""
    machine.refused(404, GUARDED[kind](1))
    machine.create("root", {})
    machine.refused(404, GUARDED[kind](1))


@guarded
@pytest.mark.parametrize("state", [state for state in TaskState if state is not TaskState.ACQUIRED])
def test_a_task_that_is_not_held_is_refused(machine: Machine, kind: str, state: TaskState) -> None:
    """409 in every state but `acquired`, at the right version too."""
    bring(machine, state)
    machine.refused(409, GUARDED[kind](0 if state is TaskState.PENDING else 1))


@guarded
@pytest.mark.parametrize("version", [0, 2])
def test_another_version_is_refused(machine: Machine, kind: str, version: int) -> None:
    """409: who held it before, or will hold it, does not hold it now."""
    bring(machine, TaskState.ACQUIRED)
    machine.refused(409, GUARDED[kind](version))


@guarded
def test_a_task_whose_promise_has_expired_is_refused(machine: Machine, kind: str) -> None:
    """409 from the deadline on, though the store still says `acquired`."""
    machine.start("root", timeout_at=START + 10)
    machine.create("root:other")
    machine.now = START + 10
    machine.refused(409, GUARDED[kind](1))
    assert machine.record("root").state is TaskState.ACQUIRED


def test_a_lease_that_is_over_still_holds_until_it_is_taken(machine: Machine) -> None:
    """Only the background step takes a task away, so a late holder may still be the one that finishes."""
    machine.start("root", ttl_ms=10)
    machine.now += 10
    machine.ok(fulfill("root"), PromiseReply)


# --- task.get -------------------------------------------------------------------------------------


def test_get_shows_the_task(machine: Machine) -> None:
    """State, version and holder."""
    machine.start("root", pid="p9", ttl_ms=77)
    task = machine.task("root")
    assert (task.id, task.state, task.version, task.resumes) == ("root", TaskState.ACQUIRED, 1, 0)
    assert (task.pid, task.ttl) == ("p9", 77)
    machine.refused(404, TaskGet("other"))


def test_a_task_of_an_expired_promise_is_seen_as_fulfilled(machine: Machine) -> None:
    """Without pid, ttl and resumes, and nothing of that is stored by reading."""
    machine.start("root", timeout_at=START + 10)
    machine.now = START + 10
    task = machine.task("root")
    assert (task.state, task.version, task.pid, task.ttl, task.resumes) == (TaskState.FULFILLED, 1, None, None, 0)
    assert machine.record("root").pid == "p1"


# --- task.create ----------------------------------------------------------------------------------


def test_task_create_makes_a_promise_and_acquires_its_task(machine: Machine) -> None:
    """At version 1, leased for the ttl, without any message."""
    reply = machine.start("root", pid="p1", ttl_ms=50)
    assert reply.promise == machine.promise("root")
    assert (reply.task.state, reply.task.version, reply.task.pid) == (TaskState.ACQUIRED, 1, "p1")
    assert machine.record("root").due_at == START + 50
    assert machine.fire() == []


def test_task_create_with_a_past_deadline_settles_both(machine: Machine) -> None:
    """At version 0, held by nobody."""
    reply = machine.start("root", timeout_at=START)
    assert reply.promise.state is PromiseState.TIMEDOUT
    assert (reply.task.state, reply.task.version, reply.task.pid) == (TaskState.FULFILLED, 0, None)
    assert machine.task("root") == reply.task


def test_task_create_takes_a_pending_task(machine: Machine) -> None:
    """As task.acquire does, even before its delay is over."""
    machine.create("root", {**TARGET, "resonate:delay": str(START + 50)})
    reply = machine.start("root", pid="p2")
    assert (reply.task.version, reply.task.pid) == (1, "p2")
    assert "resonate:delay" in reply.promise.tags


def test_task_create_returns_a_finished_one(machine: Machine) -> None:
    """200 with both as they are: the caller need not run anything."""
    bring(machine, TaskState.FULFILLED)
    reply = machine.start("root", pid="p2")
    assert (reply.task, reply.promise) == (machine.task("root"), machine.promise("root"))


def test_task_create_of_an_expired_promise_returns_it_settled(machine: Machine) -> None:
    """The stored task is pending still, but nothing is acquired."""
    machine.create("root", timeout_at=START + 10)
    machine.now = START + 10
    reply = machine.start("root")
    assert (reply.task.state, reply.promise.state) == (TaskState.FULFILLED, PromiseState.TIMEDOUT)


@pytest.mark.parametrize("state", [TaskState.ACQUIRED, TaskState.SUSPENDED, TaskState.HALTED])
def test_task_create_is_refused_when_the_task_is_taken(machine: Machine, state: TaskState) -> None:
    """409."""
    bring(machine, state)
    machine.refused(409, task_create("root"))


@pytest.mark.parametrize("tags", [{}, TIMER, {**TARGET, **TIMER}])
def test_task_create_is_refused_when_the_promise_has_no_task(machine: Machine, tags: dict[str, str]) -> None:
    """422: it exists, and nobody executes it."""
    machine.create("root", tags)
    machine.refused(422, task_create("root"))


# --- task.acquire ---------------------------------------------------------------------------------


def test_acquiring_raises_the_version(machine: Machine) -> None:
    """The task is leased, the message is withdrawn, and the promise comes along."""
    machine.create("root")
    machine.fire()
    reply = machine.acquire("root", 0, pid="p1", ttl_ms=50)
    assert machine.record("root") == TaskRecord("root", TaskState.ACQUIRED, 1, (), 50, "p1", START + 50)
    assert (reply.promise, reply.preload) == (machine.promise("root"), [])
    assert machine.store.outbox() == []


@pytest.mark.parametrize("state", [state for state in TaskState if state is not TaskState.PENDING])
def test_only_a_pending_task_can_be_acquired(machine: Machine, state: TaskState) -> None:
    """409."""
    bring(machine, state)
    machine.refused(409, TaskAcquire("root", 1, "p2", TTL))


def test_acquiring_needs_the_version(machine: Machine) -> None:
    """404 for an unknown task, 409 for another version."""
    machine.refused(404, TaskAcquire("root", 0, "p1", TTL))
    bring(machine, TaskState.PENDING)
    machine.refused(409, TaskAcquire("root", 1, "p1", TTL))


def test_acquiring_an_expired_task_is_refused(machine: Machine) -> None:
    """409: its promise is settled."""
    machine.create("root", timeout_at=START + 10)
    machine.now = START + 10
    machine.refused(409, TaskAcquire("root", 0, "p1", TTL))


def test_a_lease_never_goes_beyond_the_last_instant(machine: Machine) -> None:
    """A sum of instants stays at 2^63 − 1."""
    machine.start("root", ttl_ms=MAX_MILLIS)
    assert machine.record("root").due_at == MAX_MILLIS


# --- task.heartbeat -------------------------------------------------------------------------------


def test_a_heartbeat_extends_what_the_process_holds(machine: Machine) -> None:
    """By the ttl of each task; tasks of different origins in one request."""
    machine.start("a", pid="p1", ttl_ms=100)
    machine.start("b", pid="p1", ttl_ms=200)
    machine.now += 50
    machine.done(TaskHeartbeat("p1", [TaskRef("a", 1), TaskRef("b", 1)]))
    assert machine.record("a").due_at == machine.now + 100
    assert machine.record("b").due_at == machine.now + 200


def test_a_heartbeat_passes_over_what_the_process_does_not_hold(machine: Machine) -> None:
    """Unknown, of another process, at another version, not acquired, expired: 200, and nothing changes."""
    machine.start("others", pid="p2")
    machine.start("older", pid="p1")
    machine.create("pending")
    machine.start("expired", pid="p1", timeout_at=START + 10)
    machine.now = START + 10
    refs = [TaskRef(id, 1) for id in ("unknown", "others", "pending", "expired")]
    before = [machine.record(id) for id in ("others", "older", "pending", "expired")]
    machine.done(TaskHeartbeat("p1", [*refs, TaskRef("older", 0)]))
    assert [machine.record(id) for id in ("others", "older", "pending", "expired")] == before


# --- task.fence -----------------------------------------------------------------------------------


def test_a_fence_creates(machine: Machine) -> None:
    """The inner reply echoes the inner head."""
    machine.start("root")
    reply = machine.ok(fence(create("root:1", LOCAL)), Fenced).action
    assert isinstance(reply, Reply)
    assert (reply.kind, reply.head.corr_id, reply.head.version) == ("promise.create", "inner", "v")
    assert (reply.status, reply.data) == (200, PromiseReply(machine.promise("root:1")))


def test_a_fence_settles(machine: Machine) -> None:
    """With the value that it was given."""
    machine.start("root")
    machine.create("root:1", LOCAL)
    value = Value(None, "x")
    machine.ok(fence(PromiseSettle("root:1", PromiseState.REJECTED, value)), Fenced)
    promise = machine.promise("root:1")
    assert (promise.state, promise.value) == (PromiseState.REJECTED, value)


def test_a_refusal_inside_a_fence_is_the_inner_reply(machine: Machine) -> None:
    """The fence itself held: 200 outside, 404 inside."""
    machine.start("root")
    reply = machine.ok(fence(PromiseSettle("root:1", PromiseState.RESOLVED)), Fenced).action
    assert isinstance(reply, Reply)
    assert (reply.status, reply.is_error) == (404, True)
    assert "'root:1'" in str(reply.data)


# --- task.suspend ---------------------------------------------------------------------------------


def test_a_suspended_task_is_held_by_nobody(machine: Machine) -> None:
    """No pid, no lease, nothing due, and the awaited promises know it."""
    machine.start("root")
    machine.create("root:1")
    machine.create("root:2")
    machine.suspend("root", "root:1", "root:2")
    assert machine.record("root") == TaskRecord("root", TaskState.SUSPENDED, 1)
    assert machine.turn(lambda draft: [list(draft.awaiters(f"root:{n}")) for n in (1, 2)]) == [["root"]] * 2


def test_suspending_on_something_settled_keeps_the_task_running(machine: Machine) -> None:
    """300 with what is settled among the awaited; still held, resumes emptied, no callback remembered."""
    machine.start("root")
    machine.create("root:1")
    machine.create("root:2")
    machine.suspend("root", "root:1")
    machine.settle("root:1")
    machine.acquire("root", 1)
    machine.create("root:3")
    machine.turn(lambda draft: draft.add_callback("root:3", "root"))
    machine.settle("root:3")
    assert machine.task("root").resumes == 1
    outcome = machine.do(suspend("root", "root:2", "root:3", version=2))
    assert outcome.status == 300
    assert outcome.data == Suspended([machine.promise("root:3")])
    record = machine.record("root")
    assert (record.state, record.version, record.resumes) == (TaskState.ACQUIRED, 2, ())
    assert machine.turn(lambda draft: list(draft.awaiters("root:2"))) == []


def test_suspending_on_something_expired_keeps_the_task_running(machine: Machine) -> None:
    """300: what has reached its deadline is settled, stored or not."""
    machine.start("root")
    machine.create("root:1", timeout_at=START + 10)
    machine.now = START + 10
    outcome = machine.do(suspend("root", "root:1"))
    assert outcome.status == 300
    assert outcome.data == Suspended([machine.promise("root:1")])


@pytest.mark.parametrize(
    ("awaited", "tags", "status"),
    [("root:1", None, 422), ("root:1", LOCAL, 422), ("other:1", {}, 400)],
)
def test_suspending_on_what_cannot_be_awaited_is_refused(
    machine: Machine, awaited: str, tags: dict[str, str] | None, status: int
) -> None:
    """Unknown, local, or of another origin, even beside something settled; the task stays held."""
    machine.start("root")
    machine.create("root:2")
    machine.settle("root:2")
    if tags is not None:
        machine.create(awaited, tags)
    machine.refused(status, suspend("root", "root:2", awaited))
    assert machine.task("root").state is TaskState.ACQUIRED


# --- task.fulfill, task.release, task.halt, task.continue -----------------------------------------


def test_fulfilling_settles_the_promise_and_ends_the_task(machine: Machine) -> None:
    """One step for both."""
    machine.start("root")
    reply = machine.ok(fulfill("root", data="x"), PromiseReply)
    assert reply.promise == machine.promise("root")
    assert (reply.promise.state, reply.promise.value) == (PromiseState.RESOLVED, Value(None, "x"))
    assert machine.record("root") == TaskRecord("root", TaskState.FULFILLED, 1)


def test_a_released_task_is_due_at_once(machine: Machine) -> None:
    """At the version it had; the next holder is told that version."""
    machine.start("root")
    machine.done(TaskRelease("root", 1))
    assert machine.record("root") == TaskRecord("root", TaskState.PENDING, 1, due_at=START)
    assert [item.key for item in machine.fire()] == [("execute", "root", 1)]


@pytest.mark.parametrize("state", [TaskState.PENDING, TaskState.ACQUIRED, TaskState.SUSPENDED, TaskState.HALTED])
def test_a_halted_task_is_left_alone(machine: Machine, state: TaskState) -> None:
    """From every state but the last: no lease, no dispatch, no message in the outbox; again is 200."""
    bring(machine, state)
    machine.fire()
    machine.done(TaskHalt("root"))
    record = machine.record("root")
    assert (record.state, record.pid, record.ttl, record.due_at) == (TaskState.HALTED, None, None, None)
    assert all(item.key[1] != "root" for item in machine.store.outbox())


def test_a_continued_task_is_due_at_once(machine: Machine) -> None:
    """At the version it had, with what has settled meanwhile."""
    bring(machine, TaskState.SUSPENDED)
    machine.done(TaskHalt("root"))
    machine.settle("root:other")
    machine.done(TaskContinue("root"))
    assert machine.record("root") == TaskRecord("root", TaskState.PENDING, 1, ("root:other",), due_at=START)


@pytest.mark.parametrize("state", [state for state in TaskState if state is not TaskState.HALTED])
def test_only_a_halted_task_can_be_continued(machine: Machine, state: TaskState) -> None:
    """409."""
    bring(machine, state)
    machine.refused(409, TaskContinue("root"))


@pytest.mark.parametrize("request_", [TaskHalt("root"), TaskContinue("root")])
def test_a_finished_or_unknown_task_cannot_be_halted_or_continued(machine: Machine, request_: Request) -> None:
    """404 if it is unknown, 409 once its promise is settled, by its deadline too."""
    machine.refused(404, request_)
    machine.create("root", timeout_at=START + 10)
    machine.done(TaskHalt("root"))
    machine.now = START + 10
    machine.refused(409, request_)


# --- Preload --------------------------------------------------------------------------------------


def on_branch(branch: str) -> dict[str, str]:
    """Return the tags of a local promise of a branch."""
    return {"resonate:branch": branch, **LOCAL}


@pytest.fixture
def branched(machine: Machine) -> Machine:
    """Give a machine whose held task `root` has two others on its branch, and some elsewhere."""
    machine.ok(task_create("root", {**TARGET, "resonate:branch": "root"}), Acquired)
    machine.create("root:2", on_branch("root"))
    machine.create("root:10", on_branch("root"), timeout_at=START + 10)
    machine.create("root:1", {**TARGET, "resonate:branch": "root:1"})
    machine.create("root:3", LOCAL)
    return machine


def test_a_preload_has_the_others_of_the_branch(branched: Machine) -> None:
    """Ordered by id, as they are now, not those of other branches, and not the task's own promise."""
    branched.now = START + 10
    reply = branched.ok(fence(create("root:2", LOCAL)), Fenced)
    assert [(p.id, p.is_pending) for p in reply.preload] == [("root:10", False), ("root:2", True)]


def test_a_fence_can_do_without_a_preload(branched: Machine) -> None:
    """A worker that knows them all asks for none."""
    request = fence(create("root:4", LOCAL))
    lean = TaskFence(request.id, request.version, request.action, preload=False)
    assert branched.ok(lean, Fenced).preload == ()


def test_a_fence_preloads_what_it_has_just_written(branched: Machine) -> None:
    """The reply shows the state after the inner request."""
    reply = branched.ok(fence(create("root:4", on_branch("root"))), Fenced)
    assert [p.id for p in reply.preload] == ["root:10", "root:2", "root:4"]


def test_acquiring_preloads_what_woke_the_task(branched: Machine) -> None:
    """A worker learns the outcome that it waited for without asking."""
    branched.suspend("root", "root:1")
    branched.settle("root:1")
    reply = branched.acquire("root", 1)
    assert [p.id for p in reply.preload] == ["root:1", "root:10", "root:2"]
    assert branched.task("root").resumes == 0


def test_task_create_preloads_too(branched: Machine) -> None:
    """Taking a pending task, and finding a finished one."""
    branched.done(TaskRelease("root", 1))
    assert [p.id for p in branched.start("root").preload] == ["root:10", "root:2"]
    branched.ok(fulfill("root", version=2), PromiseReply)
    assert [p.id for p in branched.start("root").preload] == ["root:10", "root:2"]


def test_a_root_without_the_tag_is_its_own_branch(machine: Machine) -> None:
    """What its task creates names it; promises without the tag do not form a branch together."""
    machine.create("root:1", on_branch("root"), FAR)
    machine.create("root:2", LOCAL, FAR)
    assert [p.id for p in machine.start("root").preload] == ["root:1"]
