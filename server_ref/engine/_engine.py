"""The engine, and how it is opened."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, final

import anyio

from resonate_trio.protocol import Envelope, Head, PromiseGet, Reply, Request
from server_ref._tasks import open_service_tasks
from server_ref.clock import Clock
from server_ref.delivery import Connection, Delivery, open_delivery
from server_ref.machine import Settings
from server_ref.store import Store
from server_ref.trace import Trace

from ._loop import LoopSettings, TurnLoop

READY_S: Final = 5.0
"""How long (s) the store may take to answer when it is asked whether it does."""
CLOSING_S: Final = 5.0
"""How long (s) the last turn may take."""
PROBE: Final = Envelope(Head("ready"), PromiseGet("ready"))


@final
class Engine:
    """A server without its HTTP: takes requests, gives messages. Open it with `open_engine`.

    Attributes:
        clock: the time that the engine goes by.
    """

    def __init__(self, loop: TurnLoop, delivery: Delivery, clock: Clock) -> None:
        self.clock = clock
        self._loop = loop
        self._delivery = delivery

    async def perform(self, envelope: Envelope[Request]) -> Reply:
        """Perform a request, and return the reply once everything it changed is stored for good.

        Nothing is raised for a request that is refused: the reply has its status and says why. A caller that
        is cancelled does not wait any longer; its request may be performed nevertheless.
        """
        return await self._loop.submit(envelope)

    @asynccontextmanager
    async def connect(self, group: str, pid: str, *, prefix: str = "") -> AsyncGenerator[Connection]:
        """Open the stream of messages to one worker: those to its group, to itself, and to its listeners.

        Of these it gets the ones about ids that begin with `prefix`; the others wait for another worker.
        It replaces the stream of the same group and pid, which ends. When the block ends, what was not taken
        from the stream, or not acquired, goes to another worker.
        """
        connection = self._delivery.connect(group, pid, prefix=prefix)
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
    loop = TurnLoop(store, clock, LoopSettings(settings or Settings(), debug, trace))
    await loop.in_store(store.open)
    try:
        recovered = await loop.start(exclusive=exclusive)
        async with open_delivery(loop.hand_over, server_url=server_url) as delivery:
            delivery.restore(recovered.holders, recovered.outbox)
            async with open_service_tasks() as tasks:
                tasks.start_soon(loop.run, delivery.apply)
                try:
                    yield Engine(loop, delivery, clock)
                finally:
                    delivery.close_connections()
                    loop.stop()
                    with anyio.move_on_after(CLOSING_S, shield=True):
                        await loop.is_finished.wait()
    finally:
        with anyio.CancelScope(shield=True):
            await loop.in_store(store.close)
