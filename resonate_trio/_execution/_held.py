"""A task that this worker holds: what it may ask of the server, guarded by the task's version."""

import math
from collections.abc import Iterable, Sequence
from typing import final

import trio

from resonate_trio._errors import ServerUnreachableError
from resonate_trio._transport import Link, accepted
from resonate_trio.protocol import (
    Fenced,
    Promise,
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
    TaskRelease,
    TaskRequest,
    TaskSuspend,
    origin_of,
)

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
    """

    def __init__(self, link: Link, task: Task, lease: Lease) -> None:
        self.id = task.id
        self.version = task.version
        self.lease = lease
        self._link = link
        self._origin = origin_of(task.id)

    def __repr__(self) -> str:
        return f"<HeldTask {self.id!r} at version {self.version}, {self.lease!r}>"

    def check_lease(self) -> None:
        """Raise LeaseLost if the lease is over by the clock."""
        if not self.lease.remaining():
            raise LeaseLost(f"the lease of {self.id!r} is over")

    async def write(self, request: PromiseCreate | PromiseSettle) -> Promise:
        """Create or settle a promise while the task is held; return the promise as it is then.

        Raises:
            RequestRefusedError: the server does not accept the request as such.
        """
        # Without preload: we have had it all, and n steps in a row would cost n² promises.
        fence = TaskFence(self.id, self.version, self._link.envelope(request), preload=False)
        return accepted(accepted(await self._ask(fence), Fenced).action, PromiseReply).promise

    async def suspend(self, awaited: Iterable[str]) -> Sequence[Promise] | None:
        """Give the task back until one of `awaited` settles.

        Returns:
            None if the task is suspended. If one is settled already the task is still held, and this returns
            what the server told of settled promises, which may be nothing.
        """
        actions = [self._link.envelope(PromiseRegisterCallback(id, self.id)) for id in awaited]
        reply = await self._ask(TaskSuspend(self.id, self.version, actions))
        data = accepted(reply, Suspended)
        return None if reply.status == 200 else data.preload or ()

    async def read(self, id: str) -> Promise:
        """Return a promise as it is now."""
        return accepted(await self._ask(PromiseGet(id)), PromiseReply).promise

    async def fulfill(self, settle: PromiseSettle) -> Promise:
        """Settle the promise of the task, and with it the task."""
        request = TaskFulfill(self.id, self.version, self._link.envelope(settle))
        return accepted(await self._ask(request), PromiseReply).promise

    async def release(self) -> None:
        """Give the task back, to be executed again from the start."""
        await self._ask(TaskRelease(self.id, self.version))

    async def _ask(self, request: TaskRequest | PromiseGet) -> Reply:
        try:
            reply = await self._link.ask(request, origin=self._origin, patience=self.lease.remaining())
        except ServerUnreachableError as error:
            raise LeaseLost(f"the server could not be reached before the lease of {self.id!r} ended") from error
        if reply.status in NOT_HELD:
            raise LeaseLost(str(reply.data))
        return reply
