"""The system of this project, whatever it consists of."""

import itertools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import final

from resonate_trio import Client, Resonate

from ._base import Connection
from ._functions import group_of


@final
class ResonateSystem:
    """A server and its workers, as seen by whoever calls their functions.

    Args:
        calls: makes the calls.
        connect: opens connections to the server.
    """

    def __init__(
        self, calls: Client | Resonate, connect: Callable[[], AbstractAsyncContextManager[Connection]]
    ) -> None:
        self._calls = calls
        self._connect = connect
        self._numbers = itertools.count(1)

    def __repr__(self) -> str:
        return f"<ResonateSystem: {self._calls!r}>"

    async def call(self, function: str, *args: object) -> object:
        """Call a function of the workloads under a fresh id; return its result."""
        id = f"{function}-{next(self._numbers)}"
        result: object = await self._calls.options(group=group_of(function)).rfc(id, function, *args)
        return result

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """Open a connection to the server, past the SDK."""
        return self._connect()
