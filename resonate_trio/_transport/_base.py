"""What every transport does."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self, final, runtime_checkable

from resonate_trio._clock import Clock
from resonate_trio._sources import Source, Terms
from resonate_trio.protocol import Envelope, Reply, Request


@final
class Unreachable(Exception):
    """The server did not answer, or not in a way that says whether the request took effect. Try again."""


@runtime_checkable
class Transport(Protocol):
    """Carries requests to one server. It is opened as an async context manager.

    Attributes:
        name: the server, for messages.
        clock: the time that deadlines are computed from.
        shares_fate: the server lives and dies with this process, so leases need no heartbeat.
    """

    name: str
    clock: Clock
    shares_fate: bool

    @property
    def extensions(self) -> frozenset[str]:
        """The extensions of the protocol that the server offers; none before its first reply."""

    async def send(self, request: Envelope[Request]) -> Reply:
        """Send one request, wait for the reply.

        Raises:
            Unreachable: it may be tried again; the request took effect, or not.
        """

    def source(self, group: str, pid: str, terms: Terms | None = None) -> Source:
        """Return the source of messages for this process; with terms, of tasks for it as well."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...


Opened = AbstractAsyncContextManager[Transport]
