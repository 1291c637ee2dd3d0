"""Messages from an engine in this process."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, final

from ._base import Connected, Event, Terms

if TYPE_CHECKING:
    from server_ref.engine import Engine


@final
class EmbeddedSource:
    """Yields what an open engine sends to one process."""

    def __init__(self, engine: "Engine", group: str, pid: str, terms: Terms | None = None) -> None:
        self._engine = engine
        self._group = group
        self._pid = pid
        self._terms = terms

    def __repr__(self) -> str:
        return f"<EmbeddedSource {self._group}/{self._pid}>"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[AsyncIterator[Event]]:
        """Return the events, for as long as the context lasts."""
        async with aclosing(self._events()) as events:
            yield events

    async def _events(self) -> AsyncGenerator[Event, None]:
        capacity, ttl = (self._terms.capacity, self._terms.ttl_ms) if self._terms else (None, None)
        async with self._engine.connect(self._group, self._pid, capacity=capacity, ttl=ttl) as messages:
            yield Connected()
            async for message in messages:
                yield message
