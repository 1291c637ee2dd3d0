"""Delivery as the engine sees it: messages go in, keys of what was handed over come out."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import final

import attrs
import httpx

from resonate_trio.protocol import Execute, PollAddress, PushAddress, TaskState, parse_address
from server_ref._tasks import open_service_tasks
from server_ref.machine import Changes, Outgoing, OutgoingKey

from ._allotment import Allotment
from ._choice import Seat
from ._poll import Connection
from ._push import DEFAULTS, Pusher, PushSettings
from ._router import Ask, Router, ask_nobody

logger = logging.getLogger(__name__)


@final
class Delivery:
    """Sends messages by the transport that their address names. Open it with `open_delivery`."""

    def __init__(
        self,
        router: Router,
        pusher: Pusher,
        handed_over: Callable[[OutgoingKey], None],
        *,
        server_url: str,
    ) -> None:
        self._router = router
        self._pusher = pusher
        self._handed_over = handed_over
        self._server_url = server_url

    def restore(self, holders: Mapping[str, str], outbox: Iterable[Outgoing]) -> None:
        """Take over what the store knows: who holds which task, and what waits to be handed over."""
        for task_id, pid in holders.items():
            self._router.hold(task_id, pid)
        self._post(outbox)

    def allot(self) -> Allotment:
        """Return what the next turn has to know to acquire tasks for workers by itself."""
        return self._router.allot()

    def apply(
        self, changes: Changes, outbox: Iterable[Outgoing], acquired: Iterable[tuple[Outgoing, Seat]] = ()
    ) -> None:
        """Follow a turn that was committed.

        Args:
            changes: what it changed.
            outbox: the messages that it put into the outbox.
            acquired: those about tasks that it acquired for workers.
        """
        if changes.reset:
            self._router.clear()
            self._pusher.clear()
        for task_id, pid in changes.suspended_by.items():
            self._router.suspend(task_id, pid)
        for task_id in changes.heard:
            self._router.hear(task_id)
        for record in changes.tasks.values():
            self._router.track(record)
            if record.state is not TaskState.PENDING:
                self._pusher.withdraw(record.id)
        for task_id in changes.cancels:
            self._router.tell(changes.tasks[task_id])
        for outgoing, seat in acquired:
            self._router.deliver(self._signed(outgoing), seat)
        self._router.fill()
        self._post(outbox)

    def connect(
        self, group: str, pid: str, *, prefix: str = "", capacity: int | None = None, ttl: int | None = None
    ) -> Connection:
        """Take in a worker, which is sent messages about ids that begin with `prefix`.

        Of tasks it gets no more than `capacity` at a time, and if there is a `ttl` (ms), acquired already.
        """
        return Connection(self._router, Seat(group, pid, prefix, capacity, ttl), self._handed_over)

    def close_connections(self) -> None:
        """Let all workers go, and take in no more."""
        self._router.close()

    def _post(self, outbox: Iterable[Outgoing]) -> None:
        for outgoing in outbox:
            try:
                address = parse_address(outgoing.address)
            except ValueError as error:
                logger.error("an %s message cannot be delivered: %s", outgoing.message.kind, error)
                continue
            self._send(self._signed(outgoing), address)

    def _send(self, outgoing: Outgoing, address: PollAddress | PushAddress) -> None:
        if isinstance(address, PollAddress):
            self._router.post(outgoing, address)
        else:
            self._pusher.post(outgoing, address)

    def _signed(self, outgoing: Outgoing) -> Outgoing:
        """Fill in where the server is reached."""
        if isinstance(outgoing.message, Execute):
            return attrs.evolve(outgoing, message=attrs.evolve(outgoing.message, server_url=self._server_url))
        return outgoing


@asynccontextmanager
async def open_delivery(
    handed_over: Callable[[OutgoingKey], None],
    *,
    ask: Ask = ask_nobody,
    server_url: str = "",
    push: PushSettings = DEFAULTS,
    new_client: Callable[[], httpx.AsyncClient] = httpx.AsyncClient,
) -> AsyncGenerator[Delivery]:
    """Open the delivery of messages. At the end all connections are closed and no message is on its way.

    Args:
        handed_over: called with the key of each message that reached its receiver.
        ask: has requests performed by which tasks are acquired for workers, and released.
        server_url: what `execute` messages name as the server.
        push: how hard messages are pushed by HTTP.
        new_client: makes the client that pushes them.
    """
    async with AsyncExitStack() as resources, open_service_tasks() as tasks:
        pusher = Pusher(tasks, resources, handed_over, settings=push, new_client=new_client)
        delivery = Delivery(Router(ask), pusher, handed_over, server_url=server_url)
        try:
            yield delivery
        finally:
            delivery.close_connections()
