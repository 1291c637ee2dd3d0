"""Calls from outside, in a world."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import final

from resonate_trio._codec import Codec
from resonate_trio._listeners import Listeners
from resonate_trio._listening import listen
from resonate_trio._options import NO_OPTIONS, Options
from resonate_trio._promises import Promises
from resonate_trio._registry import Registry
from resonate_trio._root_calls import RootCalls
from resonate_trio._roots import Roots
from resonate_trio._schedules import Schedules
from resonate_trio._services import open_services
from resonate_trio._transport import Link
from resonate_trio.protocol import PollAddress

from ._network import Line

CLIENT_GROUP = "kit"


@final
class WorldClient(RootCalls):
    """Calls durable functions, and does not go down with any worker. Its calls are those of `Client`.

    A function runs in the group of the worker that was started first with the client's functions, unless
    `options(group=...)` says otherwise.

    Attributes:
        promises: reads promises and settles external ones.
        schedules: reads and deletes schedules.
    """

    def __init__(self, link: Link, listeners: Listeners, registry: Registry, group: str | None) -> None:
        self.promises = Promises(self._roots)
        self.schedules = Schedules(self._roots)
        self._made = Roots(link, listeners, Codec(registry.errors), registry, group, "colon")

    def __repr__(self) -> str:
        return f"<WorldClient of {self._made.group!r}>"

    def for_group(self, registry: Registry, group: str) -> "WorldClient":
        """Return the same client for other functions and their group."""
        return WorldClient(self._made.link, self._made.listeners, registry, group)

    def _roots(self) -> Roots:
        return self._made

    def _default_options(self) -> Options:
        return NO_OPTIONS


@asynccontextmanager
async def open_client(line: Line) -> AsyncGenerator[WorldClient]:
    """Open a client on a line."""
    link = Link(line)
    listeners = Listeners(link, PollAddress("uni", CLIENT_GROUP, line.name))
    async with open_services() as services:
        services.start_soon(listen, line.source(CLIENT_GROUP, line.name), listeners)
        yield WorldClient(link, listeners, Registry(), None)
