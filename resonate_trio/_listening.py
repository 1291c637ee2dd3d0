"""The one task that takes messages from a source and hands them on."""

from typing import Protocol

import anyio

from ._listeners import Listeners
from ._services import open_services
from ._sources import Connected, Source
from .protocol import Cancel, Execute


class Receiver(Protocol):
    """A worker, as far as messages to it are concerned."""

    def receive(self, message: Execute) -> None:
        """Take a task that the server offers."""

    def cancel(self, id: str, version: int) -> None:
        """Take the news that a task which is held is to be cancelled."""


async def listen(source: Source, listeners: Listeners, worker: Receiver | None = None) -> None:
    """Take messages until cancelled: `unblock` to the listeners, the others to a worker if there is one."""
    async with open_services() as refreshing, source.open() as events:
        scope = anyio.CancelScope()
        async for event in events:
            if isinstance(event, Connected):
                scope.cancel()  # of the connection before: all is asked again
                scope = anyio.CancelScope()
                refreshing.start_soon(_refresh, listeners, scope)
            elif isinstance(event, Execute):
                if worker is not None:
                    worker.receive(event)
            elif isinstance(event, Cancel):
                if worker is not None:
                    worker.cancel(event.id, event.version)
            else:
                listeners.settle(event.promise)


async def _refresh(listeners: Listeners, scope: anyio.CancelScope) -> None:
    with scope:
        await listeners.refresh()
