"""The one task that takes messages from a source and hands them on."""

from collections.abc import Callable

import anyio

from ._listeners import Listeners
from ._sources import Connected, Source
from .protocol import Execute


async def listen(source: Source, listeners: Listeners, execute: Callable[[Execute], None] | None = None) -> None:
    """Take messages until cancelled: `unblock` to the listeners, `execute` to a worker if there is one."""
    async with anyio.create_task_group() as refreshing, source.open() as events:
        async for event in events:
            if isinstance(event, Connected):
                refreshing.start_soon(listeners.refresh)
            elif isinstance(event, Execute):
                if execute is not None:
                    execute(event)
            else:
                listeners.settle(event.promise)
