"""Envelopes to an engine in this very process: function calls."""

from typing import TYPE_CHECKING, Self, final

import anyio
import anyio.lowlevel

from resonate_trio._sources import EmbeddedSource, Terms
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

    @property
    def extensions(self) -> frozenset[str]:
        """The extensions of the protocol that the engine offers."""
        return self._engine.extensions

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def send(self, request: Envelope[Request]) -> Reply:
        """Hand over one request, wait for its commit.

        Cancelled, it has not begun. An engine performs what it was handed, whoever still waits, and leases in one
        process have no end: a task must not be acquired without anyone knowing.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        with anyio.CancelScope(shield=True):  # a turn of the engine is short
            reply = await self._engine.perform(request)
        return reply

    def source(self, group: str, pid: str, terms: Terms | None = None) -> EmbeddedSource:
        """Return the source of messages for this process."""
        return EmbeddedSource(self._engine, group, pid, terms)
