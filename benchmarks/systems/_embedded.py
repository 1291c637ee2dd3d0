"""Everything in this process: an engine, and two workers on it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import final

from resonate_trio import Resonate
from resonate_trio.protocol import Batch, BatchedRequest, BatchReply, Envelope, Request
from server_ref.clock import SystemClock
from server_ref.engine import Engine, open_engine
from server_ref.store import Store

from ._functions import CALLEE, CALLER, register_functions
from ._resonate import ResonateSystem


@final
class EngineConnection:
    """A connection to an engine: function calls."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ask(self, request: Envelope[Request]) -> int:
        """Perform a request; return the status of the reply."""
        return (await self._engine.perform(request)).status

    async def ask_together(self, requests: Sequence[Envelope[BatchedRequest]]) -> Sequence[int]:
        """Perform requests as one batch; return the status of each, or that of the batch."""
        reply = await self._engine.perform(Envelope(requests[0].head, Batch(requests)))
        if not isinstance(reply.data, BatchReply):
            return [reply.status]
        return [inner.status for inner in reply.data.responses]


@asynccontextmanager
async def open_embedded(store: Store) -> AsyncGenerator[ResonateSystem]:
    """Open an engine on a store, and its workers."""

    @asynccontextmanager
    async def connect() -> AsyncGenerator[EngineConnection]:
        yield EngineConnection(engine)

    async with open_engine(store, clock=SystemClock()) as engine:
        caller = Resonate(engine=engine, group=CALLER)
        callee = Resonate(engine=engine, group=CALLEE)
        register_functions(caller, CALLER)
        register_functions(callee, CALLEE)
        async with caller, callee:
            yield ResonateSystem(caller, connect)
