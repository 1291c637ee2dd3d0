"""Envelopes to an engine in this very process: function calls."""

from typing import TYPE_CHECKING, Self, final

from resonate_trio._sources import EmbeddedSource
from resonate_trio.protocol import Envelope, Reply, Request

if TYPE_CHECKING:
    from server_ref.engine import Engine


@final
class EmbeddedTransport:
    """Carries requests to an open engine. Whoever opened the engine closes it."""

    shares_fate = True

    def __init__(self, engine: "Engine") -> None:
        self.name = "the embedded server"
        self.clock = engine.clock
        self._engine = engine

    def __repr__(self) -> str:
        return "<EmbeddedTransport>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def send(self, request: Envelope[Request]) -> Reply:
        """Hand over one request, wait for its commit."""
        return await self._engine.perform(request)

    def source(self, group: str, pid: str) -> EmbeddedSource:
        """Return the source of messages for this process."""
        return EmbeddedSource(self._engine, group, pid)
