"""What the tests of the runtime share: workers on one engine, in virtual time, and ways to disturb them."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar, cast, final

import attrs
import pytest
import trio
import trio.testing
from attrs import define, field

from resonate_trio import Instrument, Never, Resonate, WorkerOptions
from resonate_trio._codec import Call, Codec
from resonate_trio._transport import EmbeddedTransport, Unreachable
from resonate_trio.protocol import (
    Acquired,
    Batch,
    BatchReply,
    Envelope,
    Execute,
    Fenced,
    Head,
    Message,
    Promise,
    PromiseCreate,
    PromiseGet,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    Reply,
    ReplyHead,
    Request,
    Suspended,
    Task,
    TaskAcquire,
    TaskCreate,
    TaskFence,
    TaskGet,
    TaskReply,
    Value,
    tags,
)
from server_ref.clock import Clock
from server_ref.delivery import Connection
from server_ref.engine import Engine

EPOCH_MS = 1_700_000_000_000
FAR_MS = 2**50
CODEC = Codec()

T = TypeVar("T")


def _run(main: Callable[..., Any], *, clock: trio.abc.Clock | None, instruments: list[trio.abc.Instrument]) -> Any:
    return trio.run(main, clock=clock or trio.testing.MockClock(autojump_threshold=0), instruments=instruments)


in_virtual_time = pytest.mark.trio(run=_run)
"""Marks tests for trio whose clock jumps to the next deadline, as with the fixture autojump_clock."""


@final
@define
class Recorder(Instrument):
    """Keeps what a worker tells, as tuples: the name of the hook, then its arguments."""

    events: list[tuple[str, ...]] = field(factory=list)

    def task_started(self, id: str, function: str) -> None:
        """Keep it."""
        self.events.append(("started", id, function))

    def task_suspended(self, id: str) -> None:
        """Keep it."""
        self.events.append(("suspended", id))

    def task_resumed(self, id: str) -> None:
        """Keep it."""
        self.events.append(("resumed", id))

    def task_finished(self, id: str, state: str) -> None:
        """Keep it."""
        self.events.append(("finished", id, state))

    def task_dropped(self, id: str, reason: str) -> None:
        """Keep it."""
        self.events.append(("dropped", id, reason))

    def step_executed(self, id: str, function: str) -> None:
        """Keep it."""
        self.events.append(("executed", id, function))

    def step_replayed(self, id: str, function: str) -> None:
        """Keep it."""
        self.events.append(("replayed", id, function))

    def of(self, id: str) -> list[str]:
        """Return the names of the hooks that were called for `id`."""
        return [event[0] for event in self.events if event[1] == id]

    def count(self, name: str) -> int:
        """Return how often a hook was called."""
        return sum(event[0] == name for event in self.events)


@final
@define
class Gauge:
    """Counts what runs at the same time, and in all."""

    running: int = 0
    most: int = 0
    total: int = 0

    async def run(self, seconds: float) -> None:
        """Be something that runs."""
        self.running += 1
        self.total += 1
        self.most = max(self.most, self.running)
        try:
            await trio.sleep(seconds)
        finally:
            self.running -= 1


async def fail(name: str, after: float = 0) -> str:
    """Raise, sooner or later."""
    await trio.sleep(after)
    raise ValueError(name)


async def succeed(name: str, after: float = 0) -> str:
    """Return, sooner or later."""
    await trio.sleep(after)
    return name


def register_run(app: Resonate, gauge: Gauge) -> None:
    """Register a function that runs for a while."""

    @app.register(retry=Never())
    async def run(seconds: float) -> None:
        await gauge.run(seconds)


@final
@define(eq=False)
class Wire:
    """An engine as seen through a line that can be watched, and cut.

    Attributes:
        requests: what was sent, tries that failed included.
        lost_requests: how many of a kind are to get lost on their way.
        lost_replies: how many replies to a kind are to get lost, after the request took effect.
        gates: the reply to a kind is held back, after the request took effect, until the event is set.
        answer: answers requests in the engine's place, unless it returns None.
        tells_settled: whether replies, and tasks that come acquired, tell which promises have settled.
        acquires: whether tasks come acquired, if the engine offers that.
        loses_messages: whether what the engine sends gets lost.
        ahead_ms: by how much the clock of those who use the wire is ahead of the engine's.
        offers: the extensions that seem to be offered, if not those of the engine.
    """

    engine: Engine
    requests: list[Request] = field(factory=list)
    lost_requests: Counter[str] = field(factory=Counter)
    lost_replies: Counter[str] = field(factory=Counter)
    gates: dict[str, trio.Event] = field(factory=dict)
    answer: Callable[[Request], tuple[int, object] | None] = field(default=lambda _: None)
    tells_settled: bool = True
    acquires: bool = True
    loses_messages: bool = False
    ahead_ms: int = 0
    offers: frozenset[str] | None = None

    @property
    def clock(self) -> Clock:
        """The clock of those who use the wire."""
        return self

    def now_ms(self) -> int:
        """Return the present instant."""
        return self.engine.clock.now_ms() + self.ahead_ms

    @property
    def extensions(self) -> frozenset[str]:
        """The extensions of the protocol that are offered."""
        return EmbeddedTransport(self.engine).extensions if self.offers is None else self.offers

    async def perform(self, envelope: Envelope[Request]) -> Reply:
        """Pass a request on, or not. Those of a batch are passed on one by one."""
        request = envelope.data
        if isinstance(request, Batch):
            replies = [await self.perform(inner) for inner in request.requests if isinstance(inner, Envelope)]
            return Reply(request.kind, ReplyHead(envelope.head.corr_id, 200), BatchReply(replies))
        self.requests.append(request)
        await self._lose(self.lost_requests, request)
        answer = self.answer(request)
        if answer is not None:
            return Reply(request.kind, ReplyHead(envelope.head.corr_id, answer[0]), answer[1])
        reply = await self.engine.perform(envelope)
        if request.kind in self.gates:
            await self.gates[request.kind].wait()
        await self._lose(self.lost_replies, request)
        return reply if self.tells_settled else _silenced(reply)

    @asynccontextmanager
    async def connect(
        self, group: str, pid: str, *, capacity: int | None, ttl: int | None
    ) -> AsyncGenerator[AsyncIterator[Message]]:
        """Open the stream of messages to one worker."""
        ttl = ttl if self.acquires else None
        async with (
            self.engine.connect(group, pid, capacity=capacity, ttl=ttl) as connection,
            aclosing(self._messages(connection)) as messages,
        ):
            yield messages

    async def _messages(self, connection: Connection) -> AsyncGenerator[Message, None]:
        async for message in connection:
            if self.loses_messages:
                continue
            yield message if self.tells_settled else _unsettled(message)

    def count(self, kind: str) -> int:
        """Return how many requests of a kind were sent."""
        return sum(request.kind == kind for request in self.requests)

    async def _lose(self, losses: Counter[str], request: Request) -> None:
        if losses[request.kind] > 0:
            losses[request.kind] -= 1
            await trio.lowlevel.checkpoint()
            raise Unreachable("the wire is cut")


def _unsettled(message: Message) -> Message:
    if isinstance(message, Execute) and message.acquired is not None:
        return attrs.evolve(message, acquired=attrs.evolve(message.acquired, preload=()))
    return message


def _silenced(reply: Reply) -> Reply:
    if isinstance(reply.data, Acquired | Suspended):
        return attrs.evolve(reply, data=attrs.evolve(reply.data, preload=()))
    return reply


@final
@define(eq=False)
class World:
    """One engine in virtual time, and any number of workers on it."""

    engine: Engine
    wire: Wire

    def resonate(self, group: str = "default", **worker: Any) -> Resonate:
        """Return an application of a group. The keywords are those of WorkerOptions."""
        return Resonate(engine=cast("Engine", self.wire), group=group, worker=WorkerOptions(**worker))

    async def ask(self, request: Request, reply: type[T]) -> T:
        """Have the engine perform a request that it should not refuse."""
        answer = await self.engine.perform(Envelope(Head("by hand"), request))
        assert isinstance(answer.data, reply), answer
        return answer.data

    async def promise(self, id: str) -> Promise:
        """Return a promise."""
        return (await self.ask(PromiseGet(id), PromiseReply)).promise

    async def task(self, id: str) -> Task:
        """Return a task."""
        return (await self.ask(TaskGet(id), TaskReply)).task

    async def resolve(self, id: str, value: object = None) -> None:
        """Settle a promise as somebody from outside may do."""
        await self.ask(PromiseSettle(id, PromiseState.RESOLVED, CODEC.encode(value)), PromiseReply)

    # --- What a worker would do, by hand ------------------------------------------------------------

    async def start_by_hand(self, id: str, call: Call, *, group: str = "default", ttl_ms: int = 1000) -> Task:
        """Create a root invocation as a worker that is about to die, and hold its task."""
        create = PromiseCreate(id, FAR_MS, root_tags(id, group), CODEC.encode_call(call))
        return (await self.ask(TaskCreate("by hand", ttl_ms, Envelope(Head("c"), create)), Acquired)).task

    async def acquire_by_hand(self, id: str, *, ttl_ms: int = 1000) -> Task:
        """Acquire a pending task as a worker that is about to die."""
        request = TaskAcquire(id, (await self.task(id)).version, "by hand", ttl_ms)
        return (await self.ask(request, Acquired)).task

    async def acquire_for(self, app: Resonate, id: str) -> Execute:
        """Acquire a pending task for a worker, as the server does; return the message that it would send."""
        ttl_ms = app._require_running().worker.ttl_ms
        request = TaskAcquire(id, (await self.task(id)).version, app._settings.pid, ttl_ms)
        acquired = await self.ask(request, Acquired)
        return Execute(id, acquired.task.version, cancelled_at=acquired.task.cancelled_at, acquired=acquired)

    async def create_by_hand(self, id: str, call: Call, *, group: str) -> None:
        """Create a root invocation, as a client does."""
        await self.ask(PromiseCreate(id, FAR_MS, root_tags(id, group), CODEC.encode_call(call)), PromiseReply)

    async def invoke_by_hand(self, task: Task, id: str, call: Call, *, group: str) -> None:
        """Invoke a function remotely, as the holder of a task."""
        lineage = {tags.ORIGIN: task.id, tags.BRANCH: id, tags.PARENT: task.id, tags.SCOPE: tags.GLOBAL}
        wire_tags = {**lineage, tags.TARGET: f"poll://any@{group}"}
        await self.fence_by_hand(task, PromiseCreate(id, FAR_MS, wire_tags, CODEC.encode_call(call)))

    async def fence_by_hand(self, task: Task, request: PromiseCreate | PromiseSettle) -> None:
        """Write as the holder of a task."""
        await self.ask(TaskFence(task.id, task.version, Envelope(Head("f"), request)), Fenced)

    async def step_by_hand(self, task: Task, id: str, name: str, value: object = None) -> None:
        """Store a finished step of a task."""
        wire_tags = {tags.ORIGIN: task.id, tags.BRANCH: task.id, tags.PARENT: task.id, tags.SCOPE: tags.LOCAL}
        await self.fence_by_hand(task, PromiseCreate(id, FAR_MS, wire_tags, CODEC.encode_call(Call(name))))
        settle = PromiseSettle(id, PromiseState.RESOLVED, CODEC.encode(value))
        await self.fence_by_hand(task, settle)


def root_tags(id: str, group: str) -> dict[str, str]:
    """Return the tags of a root invocation."""
    lineage = {tags.ORIGIN: id, tags.BRANCH: id, tags.PARENT: id}
    return {**lineage, tags.SCOPE: tags.GLOBAL, tags.TARGET: f"poll://any@{group}"}


def decoded(value: Value) -> object:
    """Return what is stored in a promise."""
    return CODEC.decode(value)
