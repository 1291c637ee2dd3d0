"""A server without a network, a disk or anything that it does by itself: the machine, and trio's clock."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast, final

import trio
from attrs import evolve, field, frozen

from resonate_trio.protocol import (
    EMPTY,
    Acquired,
    Batch,
    BatchReply,
    Envelope,
    Head,
    Promise,
    PromiseCreate,
    PromiseState,
    Reply,
    ReplyHead,
    Request,
    Suspended,
    TaskAcquire,
    TaskCreate,
    TaskRelease,
    TaskState,
    Value,
    extensions,
    tags,
)
from server_ref.machine import OFFERED, Draft, Outcome, Settings, TaskRecord, fire_due, perform
from server_ref.machine._nothing import Nothing
from tests.sdk.kit import EPOCH_MS, root_tags

ROOT: Final = "r"
GROUP: Final = "default"
FOREVER_MS: Final = 2**53 - 1

T = TypeVar("T")
Promises = Sequence[Promise]


@final
@frozen
class Manner:
    """How a server, and the worker, go about it. Nothing that a function does may depend on that.

    Attributes:
        name: for messages.
        offers: the extensions that are offered.
        tells: makes of the promises that a reply tells of those that it does tell of; gets all there are, too.
        drops: a suspended execution is dropped from memory.
    """

    name: str
    offers: frozenset[str] = OFFERED
    tells: Callable[[Promises, Promises], Promises] = field(default=lambda told, _: told)
    drops: bool = False


USUAL: Final = Manner("as usual")
EAGER: Final = Manner("every reply tells all, and nothing is parked", tells=lambda _, stored: stored, drops=True)
SILENT: Final = Manner(
    "no reply tells more than it must", offers=OFFERED - {extensions.PRELOAD}, tells=lambda *_: ()
)
PLAIN: Final = Manner("without extensions, and nothing is parked", offers=frozenset(), drops=True)
MANNERS: Final = (USUAL, EAGER, SILENT, PLAIN)


@final
class Server:
    """Performs requests one by one."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._draft = Draft(Nothing())  # never committed: it is all that there is
        self._settings = Settings(extensions=manner.offers)

    def now_ms(self) -> int:
        """Return the instant."""
        return EPOCH_MS + round(trio.current_time() * 1000)

    def perform(self, envelope: Envelope[Request]) -> Reply:
        """Perform a request."""
        request, head = envelope.data, envelope.head
        if isinstance(request, Batch):
            return Reply(
                request.kind,
                ReplyHead(head.corr_id, 200, head.version),
                BatchReply([self.perform(cast("Any", each)) for each in request.requests]),
            )
        outcome = self._do(request)
        return self._told(Reply(request.kind, ReplyHead(head.corr_id, outcome.status, head.version), outcome.data))

    def ask(self, request: Request, reply: type[T]) -> T:
        """Perform a request that must not be refused."""
        answer = self.perform(Envelope(Head("by hand"), request))
        assert isinstance(answer.data, reply), answer
        return answer.data

    def fire(self) -> None:
        """Do all that is due."""
        while fire_due(self.now_ms(), self._draft, self._settings):
            pass

    def start(self, param: Value) -> Acquired:
        """Create the root invocation; its task is acquired."""
        create = PromiseCreate(ROOT, FOREVER_MS, root_tags(ROOT, GROUP), param)
        return self.ask(TaskCreate("w", FOREVER_MS, Envelope(Head("c"), create)), Acquired)

    def take(self, *, preload: bool = True) -> Acquired:
        """Acquire the task of the root invocation, which must be pending."""
        return self.ask(TaskAcquire(ROOT, self.root_task.version, "w", FOREVER_MS, preload=preload), Acquired)

    def take_back(self) -> None:
        """Take the task of the root invocation from its holder, if it has one, as when a lease ends."""
        task = self.root_task
        if task.state is TaskState.ACQUIRED:
            self._do(TaskRelease(ROOT, task.version))

    # --- What is stored ---------------------------------------------------------------------------

    @property
    def root_task(self) -> TaskRecord:
        """The task of the root invocation."""
        task = self.task(ROOT)
        assert task is not None
        return task

    def task(self, id: str) -> TaskRecord | None:
        """Return a task as it is stored."""
        return self._draft.task(id)

    def promises(self) -> Promises:
        """Return all promises, ordered by id."""
        return list(self._draft.scan_promises("", {}))

    def restore(self, stored: "Server") -> None:
        """Take over what another one has stored, but for the outcome of the root: its task is pending again."""
        for promise in stored.promises():
            if promise.id == ROOT:
                promise = evolve(promise, state=PromiseState.PENDING, value=EMPTY, settled_at=None)
            self._draft.put_promise(promise)
            if tags.has_task(promise.tags):
                self._draft.put_task(TaskRecord(promise.id, TaskState.FULFILLED, 1))
        version = stored.root_task.version
        self._draft.put_task(TaskRecord(ROOT, TaskState.PENDING, version, due_at=self.now_ms()))

    def _do(self, request: Request) -> Outcome:
        return perform(request, self.now_ms(), self._draft, self._manner.offers)

    def _told(self, reply: Reply) -> Reply:
        if not isinstance(reply.data, Acquired | Suspended) or reply.data.preload is None:
            return reply
        others = [promise for promise in self.promises() if promise.id != ROOT]
        return evolve(reply, data=evolve(reply.data, preload=self._manner.tells(reply.data.preload, others)))
