"""A machine to talk to: over a store, at an instant that the test sets, without a clock or tasks."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar, final

from attrs import define, field

from resonate_trio.protocol import (
    EMPTY,
    Acquired,
    Envelope,
    Head,
    Promise,
    PromiseCreate,
    PromiseGet,
    PromiseRegisterCallback,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    Request,
    Task,
    TaskAcquire,
    TaskCreate,
    TaskFulfill,
    TaskGet,
    TaskReply,
    TaskSuspend,
    Value,
)
from server_ref.machine import Draft, Outcome, Outgoing, Settings, TaskRecord, fire_due, outgoing, perform
from server_ref.store import MemoryStore, Store

START: Final = 1_000_000
"""The instant at which every machine starts."""
FAR: Final = 10_000_000
"""A deadline that a test does not reach unless it wants to."""
TTL: Final = 10_000
GROUP: Final = "poll://any@group"
TARGET: Final[Mapping[str, str]] = {"resonate:target": GROUP}
LOCAL: Final[Mapping[str, str]] = {"resonate:scope": "local"}
TIMER: Final[Mapping[str, str]] = {"resonate:timer": "true"}

T = TypeVar("T")


def head() -> Head:
    """Return the head of a nested request."""
    return Head("inner", "2026-04-01")


def create(
    id: str, tags: Mapping[str, str] = TARGET, timeout_at: int = FAR, param: Value = EMPTY
) -> PromiseCreate:
    """Return a promise.create."""
    return PromiseCreate(id, timeout_at, tags, param)


def task_create(
    id: str, tags: Mapping[str, str] = TARGET, timeout_at: int = FAR, *, pid: str = "p1", ttl_ms: int = TTL
) -> TaskCreate:
    """Return a task.create."""
    return TaskCreate(pid, ttl_ms, Envelope(head(), create(id, tags, timeout_at)))


def suspend(id: str, *awaited: str, version: int = 1) -> TaskSuspend:
    """Return a task.suspend."""
    actions = [Envelope(head(), PromiseRegisterCallback(other, id)) for other in awaited]
    return TaskSuspend(id, version, actions)


def fulfill(id: str, *, version: int = 1, data: str | None = None) -> TaskFulfill:
    """Return a task.fulfill that resolves the promise."""
    return TaskFulfill(id, version, Envelope(head(), PromiseSettle(id, PromiseState.RESOLVED, Value(None, data))))


@final
@define
class Machine:
    """Performs requests one by one, each in a transaction of its own."""

    store: Store = field(factory=MemoryStore)
    now: int = START
    settings: Settings = field(factory=Settings)

    def turn(self, step: Callable[[Draft], T]) -> T:
        """Run any step in a transaction."""
        return self.store.transact(step)

    def do(self, request: Request) -> Outcome:
        """Perform a request now."""
        return self.turn(lambda draft: perform(request, self.now, draft, self.settings.extensions))

    def ok(self, request: Request, reply: type[T]) -> T:
        """Perform a request that must succeed, and return the data of its reply."""
        outcome = self.do(request)
        assert outcome.status == 200, outcome
        assert isinstance(outcome.data, reply)
        return outcome.data

    def done(self, request: Request) -> None:
        """Perform a request that must succeed, and that one does for what it does."""
        self.ok(request, request.reply)

    def refused(self, status: int, request: Request) -> str:
        """Perform a request that must be refused and change nothing, and return the message."""

        def step(draft: Draft) -> Outcome:
            outcome = perform(request, self.now, draft, self.settings.extensions)
            assert not draft.changes.is_durable
            assert not draft.changes.executes
            return outcome

        outcome = self.turn(step)
        assert outcome.status == status, outcome
        assert isinstance(outcome.data, str)
        return outcome.data

    def fire(self) -> list[Outgoing]:
        """Do all that is due now, and return the messages that this puts into the outbox."""

        def step(draft: Draft) -> tuple[bool, list[Outgoing]]:
            more = fire_due(self.now, draft, self.settings)
            return more, outgoing(draft.changes, draft)

        messages: list[Outgoing] = []
        more = True
        while more:
            more, put = self.turn(step)
            messages += put
        return messages

    def create(self, id: str, tags: Mapping[str, str] = TARGET, timeout_at: int = FAR) -> Promise:
        """Create a promise."""
        return self.ok(create(id, tags, timeout_at), PromiseReply).promise

    def settle(self, id: str, state: PromiseState = PromiseState.RESOLVED) -> Promise:
        """Settle a promise."""
        return self.ok(PromiseSettle(id, state), PromiseReply).promise

    def start(self, id: str, *, pid: str = "p1", ttl_ms: int = TTL, timeout_at: int = FAR) -> Acquired:
        """Create a promise and its task, acquired at version 1."""
        return self.ok(task_create(id, timeout_at=timeout_at, pid=pid, ttl_ms=ttl_ms), Acquired)

    def acquire(self, id: str, version: int, *, pid: str = "p1", ttl_ms: int = TTL) -> Acquired:
        """Acquire a task."""
        return self.ok(TaskAcquire(id, version, pid, ttl_ms), Acquired)

    def suspend(self, id: str, *awaited: str, version: int = 1) -> None:
        """Suspend a task on promises that are pending."""
        outcome = self.do(suspend(id, *awaited, version=version))
        assert outcome.status == 200, outcome

    def promise(self, id: str) -> Promise:
        """Read a promise."""
        return self.ok(PromiseGet(id), PromiseReply).promise

    def task(self, id: str) -> Task:
        """Read a task."""
        return self.ok(TaskGet(id), TaskReply).task

    def record(self, id: str) -> TaskRecord:
        """Return a task as it is stored."""
        record = self.turn(lambda draft: draft.task(id))
        assert record is not None
        return record
