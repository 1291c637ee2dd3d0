"""A worker whose requests are counted: it reaches the server through a relay that reads along."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import final
from urllib.parse import urlsplit

import httptools
import trio

from ._functions import CALLER
from ._http import start_worker

COUNTED_GROUP = "benchmark-counted"
"""The group of the worker."""
CHUNK_BYTES = 64 * 1024


@final
class RequestCounter:
    """Counts the requests with a body: all but the polls for messages.

    Attributes:
        count: how many have passed.
    """

    def __init__(self) -> None:
        self.count = 0

    def read_along(self) -> httptools.HttpRequestParser:
        """Return what is to be fed with the bytes of one connection."""
        connection = _Connection(self)
        connection.parser = httptools.HttpRequestParser(connection)
        return connection.parser


@final
class _Connection:
    parser: httptools.HttpRequestParser

    def __init__(self, counter: RequestCounter) -> None:
        self._counter = counter

    def on_message_complete(self) -> None:
        if self.parser.get_method() == b"POST":
            self._counter.count += 1


@asynccontextmanager
async def open_counted_caller(url: str) -> AsyncGenerator[RequestCounter]:
    """Start a worker with the caller's functions for the group `COUNTED_GROUP`, and count its requests.

    Args:
        url: the server.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    counter = RequestCounter()
    async with trio.open_nursery() as nursery:
        relay = partial(_relay, counter, parts.hostname, parts.port)
        (listener,) = await nursery.start(partial(trio.serve_tcp, relay, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        await start_worker(nursery, f"http://127.0.0.1:{port}", CALLER, COUNTED_GROUP)
        try:
            yield counter
        finally:
            nursery.cancel_scope.cancel()


async def _relay(counter: RequestCounter, host: str, port: int, near: trio.SocketStream) -> None:
    parser = counter.read_along()
    async with near, await trio.open_tcp_stream(host, port) as far, trio.open_nursery() as nursery:

        async def back() -> None:
            async for chunk in far:
                await near.send_all(chunk)
            nursery.cancel_scope.cancel()

        nursery.start_soon(back)
        async for chunk in near:
            parser.feed_data(chunk)
            await far.send_all(chunk)
        nursery.cancel_scope.cancel()
