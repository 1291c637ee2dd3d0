"""The one task that takes messages from a source and hands them on."""

from collections.abc import Callable

import anyio

from ._listeners import Listeners
from ._services import open_services
from ._sources import Connected, Source
from .protocol import Execute


async def listen(source: Source, listeners: Listeners, execute: Callable[[Execute], None] | None = None) -> None:
    """Take messages until cancelled: `unblock` to the listeners, `execute` to a worker if there is one."""
    async with open_services() as refreshing, source.open() as events:
        scope = anyio.CancelScope()
        async for event in events:
            if isinstance(event, Connected):
                scope.cancel()  # of the connection before: all is asked again
                scope = anyio.CancelScope()
                refreshing.start_soon(_refresh, listeners, scope)
            elif isinstance(event, Execute):
                if execute is not None:
                    execute(event)
            else:
                listeners.settle(event.promise)


async def _refresh(listeners: Listeners, scope: anyio.CancelScope) -> None:
    with scope:
        await listeners.refresh()
