"""The server of a world: an engine that can go down and come back, on the store that it had."""

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final, final

import trio

from resonate_trio._sources import Terms
from resonate_trio._transport import Unreachable
from resonate_trio.protocol import Envelope, Head, Reply, Request
from server_ref.clock import Clock
from server_ref.delivery import Connection
from server_ref.engine import Engine, open_engine
from server_ref.machine import Settings
from server_ref.store import Store

RETRY_MS: Final = 60_000
"""Rarer than by default: while nobody takes a task, each offer costs real time."""
RECONNECT_S: Final = 0.05
"""How long after a connection was lost the next one is opened."""


@final
class Server:
    """An engine that can go down and come back. `run` must be running while anything else is called."""

    def __init__(self, open_store: Callable[[], Store], clock: Clock, extensions: frozenset[str]) -> None:
        self.clock = clock
        self.extensions = extensions
        self._settings = Settings(retry_interval_ms=RETRY_MS, extensions=extensions)
        self._open_store = open_store
        self._engine: Engine | None = None
        self._scope = trio.CancelScope()
        self._is_up = trio.Event()
        self._down_for = 0.0

    def __repr__(self) -> str:
        return f"<Server, {'up' if self._engine else 'down'}>"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be up, except after `go_down`, until cancelled."""
        while True:
            with trio.CancelScope() as self._scope:
                async with open_engine(self._open_store(), clock=self.clock, settings=self._settings) as engine:
                    self._come_up(engine)
                    task_status.started()
                    task_status = trio.TASK_STATUS_IGNORED
                    await trio.sleep_forever()
            await trio.sleep(self._down_for)

    def _come_up(self, engine: Engine) -> None:
        self._engine = engine
        self._is_up.set()

    def go_down(self, seconds: float = math.inf) -> None:
        """Be killed: what was not committed is gone, and nobody hears of what was. Come back after `seconds`."""
        if self._engine is None:
            return
        self._engine = None
        self._is_up = trio.Event()
        self._down_for = seconds
        self._scope.cancel()

    async def wait_up(self) -> None:
        """Wait until the server is up."""
        await self._is_up.wait()

    async def perform(self, envelope: Envelope[Request]) -> Reply:
        """Perform a request. Raises Unreachable if the server is down, or goes down meanwhile."""
        engine = self._engine
        if engine is not None:
            reply = await engine.perform(envelope)
            if self._engine is engine:
                return reply
        await trio.lowlevel.checkpoint()
        raise Unreachable("the server is down")

    async def ask(self, request: Request) -> Reply:
        """Perform a request of the kit's own, once the server is up."""
        while True:
            await self.wait_up()
            try:
                return await self.perform(Envelope(Head("kit"), request))
            except Unreachable:
                continue

    @asynccontextmanager
    async def connect(self, group: str, pid: str, terms: Terms | None) -> AsyncGenerator[Connection]:
        """Open the stream of messages to one worker, once the server is up. It ends when the server goes down."""
        while self._engine is None:
            await self.wait_up()
        capacity, ttl = (terms.capacity, terms.ttl_ms) if terms else (None, None)
        async with self._engine.connect(group, pid, capacity=capacity, ttl=ttl) as connection:
            yield connection
