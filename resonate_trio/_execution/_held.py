"""A task that this worker holds: what it may ask of the server, guarded by the task's version."""

import math
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeAlias, TypeVar, final

import trio

from resonate_trio._errors import RequestRefusedError, ServerUnreachableError
from resonate_trio._transport import Link, accepted
from resonate_trio.protocol import (
    Fenced,
    Promise,
    PromiseCancel,
    PromiseCreate,
    PromiseGet,
    PromiseRegisterCallback,
    PromiseReply,
    PromiseSettle,
    Reply,
    Suspended,
    Task,
    TaskFence,
    TaskFulfill,
    TaskHalt,
    TaskRelease,
    TaskRequest,
    TaskSuspend,
    origin_of,
)

T = TypeVar("T")
Write: TypeAlias = PromiseCreate | PromiseSettle | PromiseCancel

NOT_HELD = frozenset({404, 409})


@final
class LeaseLost(Exception):
    """The task is not ours any more: its lease is over, or it was settled."""


@final
class Lease:
    """How long a task is ours, on trio's clock. Only a heartbeat that was acknowledged extends it."""

    def __init__(self, until: float = math.inf) -> None:
        self.until = until

    def __repr__(self) -> str:
        return f"<Lease until {self.until}>"

    def extend(self, until: float) -> None:
        """Move the end of the lease, never backwards."""
        self.until = max(self.until, until)

    def remaining(self) -> float:
        """Return the seconds that are left, 0 if it is over."""
        return max(0.0, self.until - trio.current_time())


@final
class HeldTask:
    """The server, as seen by the execution that holds a task.

    Every method raises LeaseLost when the server says that the task is no longer held at this version, or when
    it cannot be reached before the lease ends.

    Attributes:
        is_cancelled: the server is known to want the task cancelled.
    """

    def __init__(self, link: Link, task: Task, lease: Lease) -> None:
        self.id = task.id
        self.version = task.version
        self.lease = lease
        self.is_cancelled = task.cancelled_at is not None
        self._link = link
        self._origin = origin_of(task.id)

    def __repr__(self) -> str:
        return f"<HeldTask {self.id!r} at version {self.version}, {self.lease!r}>"

    def check_lease(self) -> None:
        """Raise LeaseLost if the lease is over by the clock."""
        if not self.lease.remaining():
            raise LeaseLost(f"the lease of {self.id!r} is over")

    async def write(self, request: Write) -> Promise:
        """Create, settle or cancel a promise while the task is held; return the promise as it is then.

        Raises:
            RequestRefusedError: the server does not accept the request as such.
        """
        return accepted(self._written(await self._ask(self._fence(request))), PromiseReply).promise

    async def write_all(self, requests: Sequence[Write]) -> Sequence[Promise | RequestRefusedError]:
        """Write in one batch, in this order; return each promise as it is then, or why it was refused."""
        return self._all_written(await self._ask_all([self._fence(request) for request in requests]))

    async def suspend(
        self, awaited: Mapping[str, bool], creates: Sequence[PromiseCreate] = ()
    ) -> tuple[Sequence[Promise] | None, Sequence[Promise | RequestRefusedError]]:
        """Give the task back until one of `awaited` settles, or, where the value is true, fails.

        Args:
            awaited: promises of this task.
            creates: those that are still to be created, in the same round trip. The server must offer batches.

        Returns:
            First, None if the task is suspended. If one is settled already, or could not be created, or the task
            was cancelled meanwhile, it is still held, and this is what the server told of settled promises, which
            may be nothing. Second, what became of `creates`.
        """
        actions = [
            self._link.envelope(PromiseRegisterCallback(id, self.id, only_failure=only_failure))
            for id, only_failure in awaited.items()
        ]
        request = TaskSuspend(self.id, self.version, actions, knows_cancelled=self.is_cancelled)
        if creates:
            *replies, reply = await self._ask_all([*map(self._fence, creates), request])
            written = self._all_written(replies)
            if reply.status == 422 and any(isinstance(result, RequestRefusedError) for result in written):
                return (), written
        else:
            written, reply = (), await self._ask(request)
        data = accepted(reply, Suspended)
        if reply.status == 200:
            return None, written
        self._hear(data.cancelled_at)
        return data.preload or (), written

    async def read(self, id: str) -> Promise:
        """Return a promise as it is now."""
        return accepted(await self._ask(PromiseGet(id)), PromiseReply).promise

    async def find(self, id: str) -> Promise | None:
        """Return a promise as it is now, or None if there is none."""
        reply = await self._send(PromiseGet(id))
        return None if reply.status == 404 else accepted(reply, PromiseReply).promise

    async def fulfill(self, settle: PromiseSettle) -> Promise:
        """Settle the promise of the task, and with it the task."""
        request = TaskFulfill(self.id, self.version, self._link.envelope(settle))
        return accepted(await self._ask(request), PromiseReply).promise

    async def release(self) -> None:
        """Give the task back, to be executed again from the start."""
        await self._ask(TaskRelease(self.id, self.version))

    async def halt(self) -> None:
        """Stop the task until somebody has it continued."""
        await self._ask(TaskHalt(self.id))

    def _hear(self, cancelled_at: int | None) -> None:
        if cancelled_at is not None:
            self.is_cancelled = True

    def _fence(self, request: Write) -> TaskFence:
        # Without preload: we have had it all, and n steps in a row would cost n² promises.
        return TaskFence(self.id, self.version, self._link.envelope(request), preload=False)

    def _written(self, reply: Reply) -> Reply:
        """Return the reply to what was fenced."""
        fenced = accepted(reply, Fenced)
        self._hear(fenced.cancelled_at)
        return fenced.action

    def _all_written(self, replies: Sequence[Reply]) -> Sequence[Promise | RequestRefusedError]:
        results: list[Promise | RequestRefusedError] = []
        for reply in replies:
            try:
                results.append(accepted(self._written(reply), PromiseReply).promise)
            except RequestRefusedError as refusal:
                results.append(refusal)
        return results

    async def _ask(self, request: TaskRequest | PromiseGet) -> Reply:
        return self._held(await self._send(request))

    async def _ask_all(self, requests: Sequence[TaskRequest]) -> Sequence[Reply]:
        ask = self._link.ask_all(requests, origin=self._origin, patience=self.lease.remaining())
        return [self._held(reply) for reply in await self._reached(ask)]

    def _held(self, reply: Reply) -> Reply:
        if reply.status in NOT_HELD:
            raise LeaseLost(str(reply.data))
        return reply

    async def _send(self, request: TaskRequest | PromiseGet) -> Reply:
        return await self._reached(self._link.ask(request, origin=self._origin, patience=self.lease.remaining()))

    async def _reached(self, ask: Awaitable[T]) -> T:
        try:
            return await ask
        except ServerUnreachableError as error:
            raise LeaseLost(f"the server could not be reached before the lease of {self.id!r} ended") from error
