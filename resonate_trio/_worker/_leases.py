"""The leases of the tasks that a worker holds."""

import logging
import math
from collections.abc import Sequence
from typing import final

import trio

from resonate_trio._clock import FOREVER_MS
from resonate_trio._errors import ResonateError
from resonate_trio._execution import HeldTask, Lease, Runtime
from resonate_trio._sources import Terms
from resonate_trio._transport import accepted
from resonate_trio.protocol import Beaten, Task, TaskHeartbeat, TaskRef, extensions

from ._heartbeat import Hear, Heartbeat
from ._link_heartbeat import LinkHeartbeat
from ._options import WorkerOptions

logger = logging.getLogger("resonate_trio.worker")

# Servers take no larger one, and it is as good as any number.
MOST_CAPACITY = 10**9
# How long it may take to tell the server what runs here, before the stream of messages is closed.
SHOW_LIFE_TIMEOUT = 1.0


@final
class Leases:
    """Begins leases, and keeps them alive.

    A server in this process cannot outlive us, so its leases need no end and no heartbeat.

    Args:
        runtime: reaches the server.
        options: those of the worker.
        token: a JWT for a server that asks for one.
        hear: told of the tasks of a heartbeat, and what has become of some of them.
    """

    def __init__(self, runtime: Runtime, options: WorkerOptions, *, token: str | None, hear: Hear) -> None:
        self._link = runtime.link
        self._options = options
        self._hear = hear
        self._heartbeat: Heartbeat | LinkHeartbeat | None = None
        transport = runtime.link.transport
        pid, lease = options.pid, options.lease
        if transport.name.startswith("http"):
            self._heartbeat = Heartbeat(transport.name, token=token, pid=pid, lease=lease, hear=hear)
        elif not transport.shares_fate:
            self._heartbeat = LinkHeartbeat(runtime.link, pid=pid, lease=lease, hear=hear)

    def __repr__(self) -> str:
        return f"<Leases: {self._heartbeat!r}>"

    @property
    def can_end(self) -> bool:
        """Whether a lease can be over while its task runs."""
        return self._heartbeat is not None

    @property
    def ttl_ms(self) -> int:
        """How long a lease lasts on the server."""
        return round(self._options.lease * 1000) if self.can_end else FOREVER_MS

    @property
    def terms(self) -> Terms:
        """What the source of messages is to be asked for."""
        return Terms(min(self._options.capacity, MOST_CAPACITY), self.ttl_ms)

    async def run(self) -> None:
        """Keep leases alive until cancelled."""
        if self._heartbeat is not None:
            await self._heartbeat.run()

    def begin(self, task: Task, asked_at: float) -> HeldTask:
        """Return a task that we have acquired.

        Args:
            task: the task.
            asked_at: when it was asked for, on trio's clock.
        """
        return HeldTask(self._link, task, self._until(asked_at + self._options.lease))

    def begin_late(self, task: Task) -> HeldTask:
        """Return a task that the server has acquired for us.

        The lease began before the message was on its way, we do not know when. Half of it is relied upon, until
        the reply to a heartbeat says more.
        """
        return HeldTask(self._link, task, self._until(trio.current_time() + self._options.lease / 2))

    def keep(self, held: HeldTask, *, is_unheard_of: bool = False) -> None:
        """Keep a lease alive. If the server does not know whether we are there, it hears of us soon."""
        if self._heartbeat is not None:
            self._heartbeat.add(held, is_unheard_of=is_unheard_of)

    def let_go(self, held: HeldTask) -> None:
        """Let a lease end."""
        if self._heartbeat is not None:
            self._heartbeat.remove(held)

    async def show_life(self, tasks: Sequence[HeldTask]) -> None:
        """Tell the server that we hold these, before the stream of messages is closed.

        With the stream it takes back what it has acquired for us and has not heard of since.
        """
        if not tasks or not self._link.offers(extensions.ACQUIRED):
            return
        beat = TaskHeartbeat(self._options.pid, [TaskRef(held.id, held.version) for held in tasks])
        with trio.move_on_after(SHOW_LIFE_TIMEOUT):
            try:
                self._hear(tasks, accepted(await self._link.ask(beat, patience=0), Beaten))
            except ResonateError as error:
                logger.info("the server was not told what runs here: %s", error)

    def _until(self, until: float) -> Lease:
        return Lease(until if self.can_end else math.inf)
