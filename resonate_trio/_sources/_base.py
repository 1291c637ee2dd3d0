"""What every source of messages does."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol, final

from attrs import frozen

from resonate_trio.protocol import Message


@final
@frozen
class Connected:
    """The source is connected (again): messages that were sent meanwhile may have been lost."""


@final
@frozen
class Terms:
    """What a process that executes tasks asks for. A server that does not offer that leaves it out of account.

    Attributes:
        capacity: how many tasks may be on their way to it, or held by it.
        ttl_ms: the lease (ms) of its tasks, which the server is to acquire before it sends them.
    """

    capacity: int
    ttl_ms: int


Event = Connected | Message


@final
class Killed(BaseException):
    """This process is to end as if it had been killed: nothing is drained, nothing released.

    The sources of the test kit raise it; no other does.
    """


class Source(Protocol):
    """Yields what a server sends to one process."""

    def open(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Return the events, for as long as the context lasts.

        A lost connection is opened again, for ever, with backoff. An iterator that is not asked takes nothing
        from the server.
        """
