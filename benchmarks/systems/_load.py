"""A connection to a server that costs the sender little: what is measured is the server."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final, final
from urllib.parse import urlsplit

import httptools
import orjson
import trio

from resonate_trio.protocol import Batch, BatchedRequest, Envelope, Request, encode_request

CHUNK_BYTES: Final = 64 * 1024


@final
class ConnectionLostError(Exception):
    """The server closed the connection before it had answered."""


@final
class HttpConnection:
    """A connection that stays open, for one request at a time. Made by `open_connection`."""

    def __init__(self, stream: trio.SocketStream, host: str) -> None:
        self._stream = stream
        self._head = f"POST / HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: "
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._is_complete = False

    async def ask(self, request: Envelope[Request]) -> int:
        """Send a request, wait for the reply; return its status.

        Raises:
            ConnectionLostError: the server closed the connection.
        """
        await self._exchange(encode_request(request))
        return self._parser.get_status_code()

    async def read(self, request: Envelope[Request]) -> dict[str, object]:
        """Send a request, wait for the reply; return its `data`.

        Raises:
            ConnectionLostError: the server closed the connection.
        """
        await self._exchange(encode_request(request))
        data: dict[str, object] = orjson.loads(self._body)["data"]
        return data

    async def ask_together(self, requests: Sequence[Envelope[BatchedRequest]]) -> Sequence[int]:
        """Send requests as one batch, wait for the reply; return the status of each, or that of the batch.

        Raises:
            ConnectionLostError: the server closed the connection.
        """
        await self._exchange(encode_request(Envelope(requests[0].head, Batch(requests))))
        if self._parser.get_status_code() != 200:
            return [self._parser.get_status_code()]
        return [reply["head"]["status"] for reply in orjson.loads(self._body)["data"]["responses"]]

    async def _exchange(self, body: bytes) -> None:
        await self._stream.send_all(f"{self._head}{len(body)}\r\n\r\n".encode() + body)
        self._body = b""
        self._is_complete = False
        while not self._is_complete:
            chunk = await self._stream.receive_some(CHUNK_BYTES)
            if not chunk:
                raise ConnectionLostError("the server closed the connection before it had answered")
            self._parser.feed_data(chunk)

    def on_body(self, part: bytes) -> None:
        """Keep a part of a reply. The parser calls this."""
        self._body += part

    def on_message_complete(self) -> None:
        """Note the end of a reply. The parser calls this."""
        self._is_complete = True


@asynccontextmanager
async def open_connection(url: str) -> AsyncGenerator[HttpConnection]:
    """Open a connection to the server at `url`."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with await trio.open_tcp_stream(parts.hostname, parts.port) as stream:
        yield HttpConnection(stream, parts.netloc)
