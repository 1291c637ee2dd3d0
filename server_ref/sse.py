"""Messages to a worker as Server-Sent Events."""

import math
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, final

import anyio
import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from resonate_trio.protocol import Message, message_to_wire
from server_ref.delivery import Connection

KEEPALIVE_S: Final = 15.0
"""After how long a silence a comment is sent: writing tells a peer that vanished from one that waits."""
KEEPALIVE: Final = b": keepalive\n\n"


@final
class EventStream(Response):
    """A reply that lasts as long as its connection: one event a message, comments in between."""

    media_type = "text/event-stream"

    def __init__(
        self,
        source: AbstractAsyncContextManager[Connection],
        headers: Mapping[str, str] | None = None,
        *,
        duration: float = math.inf,
    ) -> None:
        """Prepare a stream.

        Args:
            source: gives the messages. Its entering may refuse the request.
            headers: what the reply carries.
            duration: for how long (s) it lasts at most.
        """
        super().__init__(headers={"cache-control": "no-store", **(headers or {})})
        del self.headers["content-length"]
        self._source = source
        self._duration = duration

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send messages until the source ends, the time is over, or the client goes away."""
        is_complete = False
        async with self._source as connection:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_watch, receive, tasks.cancel_scope)
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                with anyio.move_on_after(self._duration):
                    await _send_all(connection, send)
                is_complete = True
                tasks.cancel_scope.cancel()
            if is_complete:
                # Not watched any more: some servers report a disconnect while they send the end, which is no
                # reason to stop sending it.
                await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_all(connection: Connection, send: Send) -> None:
    # Some servers hold the headers back until there is a body, and clients wait for the headers.
    await send(_part(KEEPALIVE))
    ended = False
    while not ended:
        chunk = KEEPALIVE
        with anyio.move_on_after(KEEPALIVE_S):
            message = await anext(connection, None)
            ended = message is None
            if message is not None:
                chunk = encode_event(message)
        if not ended:
            await send(_part(chunk))


def encode_event(message: Message) -> bytes:
    """Write a message as one event."""
    return b"data: " + orjson.dumps(message_to_wire(message)) + b"\n\n"


def _part(body: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    """End the stream when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
