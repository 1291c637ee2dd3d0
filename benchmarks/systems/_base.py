"""What a workload may ask of the system that it measures."""

import enum
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from resonate_trio.protocol import Envelope, Request


class Mode(enum.StrEnum):
    """How a system is put together."""

    HTTP = "http"
    """A server on a SQLite file and two workers, each a process of its own."""
    EMBEDDED_MEMORY = "embedded-memory"
    """A server in memory and two workers, all in this process."""
    EMBEDDED_DISK = "embedded-disk"
    """A server on a SQLite file and two workers, all in this process."""


class Connection(Protocol):
    """One connection to the bare server, for one request at a time."""

    async def ask(self, request: Envelope[Request]) -> int:
        """Send a request, wait for the reply; return its status."""


class System(Protocol):
    """A server with one worker that calls and one that is called, ready for work."""

    async def call(self, function: str, *args: object) -> object:
        """Call a function of `systems._functions` under a fresh id; return its result."""

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """Open a connection to the server, past the SDK."""
