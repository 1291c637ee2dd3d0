"""The engine, and how it is opened."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, final

import anyio

from resonate_trio.protocol import Batch, BatchReply, Envelope, Head, PromiseGet, Reply, Request, extensions
from server_ref._tasks import open_service_tasks
from server_ref.clock import Clock
from server_ref.delivery import Connection, Delivery, open_delivery
from server_ref.machine import Outcome, Settings
from server_ref.store import Store
from server_ref.trace import Trace

from ._loop import LoopSettings, TurnLoop
from ._turn import TurnResult, reply_to

READY_S: Final = 5.0
"""How long (s) the store may take to answer when it is asked whether it does."""
CLOSING_S: Final = 5.0
"""How long (s) the last turn may take."""
NO_BATCH: Final = Outcome(501, "batch is not offered: send the requests one by one")
PROBE: Final = Envelope(Head("ready"), PromiseGet("ready"))


@final
class Engine:
    """A server without its HTTP: takes requests, gives messages. Open it with `open_engine`.

    Attributes:
        clock: the time that the engine goes by.
        extensions: those of the protocol that it offers.
    """

    def __init__(self, loop: TurnLoop, delivery: Delivery, clock: Clock, extensions: frozenset[str]) -> None:
        self.clock = clock
        self.extensions = extensions
        self._loop = loop
        self._delivery = delivery

    async def perform(self, envelope: Envelope[Request]) -> Reply:
        """Perform a request, and return the reply once everything it changed is stored for good.

        Nothing is raised for a request that is refused: the reply has its status and says why. A caller that
        is cancelled does not wait any longer; its request may be performed nevertheless.
        """
        if isinstance(envelope.data, Batch):
            return await self._perform_batch(envelope, envelope.data)
        (reply,) = await self._loop.submit([envelope])
        return reply

    async def _perform_batch(self, envelope: Envelope[Request], batch: Batch) -> Reply:
        """Perform a batch in one turn. It can fail as a whole only where it is not offered."""
        if extensions.BATCH not in self.extensions:
            return reply_to(envelope, NO_BATCH)
        return reply_to(envelope, Outcome(200, BatchReply(await self._loop.submit(batch.requests))))

    @asynccontextmanager
    async def connect(
        self, group: str, pid: str, *, prefix: str = "", capacity: int | None = None, ttl: int | None = None
    ) -> AsyncGenerator[Connection]:
        """Open the stream of messages to one worker: those to its group, to itself, and to its listeners.

        It replaces the stream of the same group and pid, which ends. When the block ends, what was not taken
        from the stream, or not acquired, goes to another worker.

        Args:
            group: the group of the worker.
            pid: the worker.
            prefix: it gets messages about ids that begin with this; the others wait for another worker.
            capacity: how many tasks may be on their way to it or held by it, None for any number. (An extension.)
            ttl: the lease (ms) of tasks that are acquired for it before they are sent, None to send them for it
                to acquire. (An extension.)
        """
        connection = self._delivery.connect(
            group,
            pid,
            prefix=prefix,
            capacity=capacity if extensions.CAPACITY in self.extensions else None,
            ttl=ttl if extensions.ACQUIRED in self.extensions else None,
        )
        try:
            yield connection
        finally:
            connection.close()

    def close_connections(self) -> None:
        """End all streams of messages, as the server is going down."""
        self._delivery.close_connections()

    async def is_ready(self) -> bool:
        """Tell whether the store answers."""
        with anyio.move_on_after(READY_S):
            reply = await self.perform(PROBE)
            return reply.status < 500
        return False


def _follow(delivery: Delivery, result: TurnResult) -> None:
    placed = [(task.outgoing, task.seat) for task in result.placed]
    delivery.apply(result.changes, result.messages, placed)


@asynccontextmanager
async def open_engine(
    store: Store,
    *,
    clock: Clock,
    settings: Settings | None = None,
    debug: bool = False,
    server_url: str = "",
    exclusive: bool = False,
    trace: Trace | None = None,
) -> AsyncGenerator[Engine]:
    """Open a store and run an engine over it for the length of the block.

    At the end the streams of messages end, requests that were handed in are done, and the store is closed.

    Args:
        store: where everything is kept; the engine opens and closes it.
        clock: tells the time.
        settings: those of the machine.
        debug: whether `debug.*` and `resonate:debug_time` are honoured.
        server_url: what `execute` messages name as the server.
        exclusive: the store serves this process alone, so whoever held a task has died: all are released.
        trace: where to write what was performed, None for nowhere.

    Raises:
        StoreError: the store cannot be opened.
    """
    machine = settings or Settings()
    loop = TurnLoop(store, clock, LoopSettings(machine, debug, trace))
    try:
        await loop.in_store(store.open)
        recovered = await loop.start(exclusive=exclusive)
        async with open_delivery(loop.hand_over, ask=loop.ask, server_url=server_url) as delivery:
            delivery.restore(recovered.holders, recovered.outbox)
            async with open_service_tasks() as tasks:
                tasks.start_soon(loop.run, delivery.allot, partial(_follow, delivery))
                try:
                    yield Engine(loop, delivery, clock, machine.extensions)
                finally:
                    delivery.close_connections()
                    loop.stop()
                    with anyio.move_on_after(CLOSING_S, shield=True):
                        await loop.is_finished.wait()
    finally:
        await loop.close()
