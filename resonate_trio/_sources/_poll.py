"""Messages by long poll: Server-Sent Events over one HTTP request that stays open."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import final
from urllib.parse import quote

import anyio
import httpx
import httpx_sse

from resonate_trio._backoff import Backoff, describe
from resonate_trio._errors import AuthenticationError, PermissionDeniedError
from resonate_trio.protocol import ProtocolError, decode_message

from ._base import Connected, Event, Terms

logger = logging.getLogger("resonate_trio.sources")

# Our server writes a comment every 15 s. After three missing ones the connection is taken for dead; on servers
# that write none it is opened anew, which loses nothing: messages for a closed poll wait on the server.
SILENCE_TIMEOUT = 45.0


@final
class PollSource:
    """Yields what the server at `url` sends to one process."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        group: str,
        pid: str,
        terms: Terms | None = None,
        *,
        token: str | None = None,
    ) -> None:
        self._client = client
        self._server = url
        self._url = f"{url}/poll/{quote(group, safe='')}/{quote(pid, safe='')}"
        if terms is not None:
            self._url += f"?capacity={terms.capacity}&ttl={terms.ttl_ms}"
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def __repr__(self) -> str:
        return f"<PollSource {self._url}>"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[AsyncIterator[Event]]:
        """Return the events, for as long as the context lasts.

        Raises:
            AuthenticationError: the server wants a (valid) token. From the iterator.
            PermissionDeniedError: the token does not allow this group. From the iterator.
        """
        async with aclosing(self._events()) as events:
            yield events

    async def _events(self) -> AsyncGenerator[Event, None]:
        backoff = Backoff()
        while True:
            try:
                async with aclosing(self._connection()) as connection:
                    async for event in connection:
                        backoff.reset()
                        yield event
            except httpx.TransportError as error:
                if not isinstance(error, httpx.ReadTimeout):
                    backoff.failed(logger, f"the poll at {self._server} is lost ({describe(error)})")
            await anyio.sleep(backoff.next_delay())

    async def _connection(self) -> AsyncGenerator[Event, None]:
        timeout = httpx.Timeout(SILENCE_TIMEOUT, connect=5.0, pool=None)
        async with httpx_sse.aconnect_sse(
            self._client, "GET", self._url, headers=self._headers, timeout=timeout
        ) as stream:
            self._check(stream.response)
            yield Connected()
            async with aclosing(stream.aiter_sse()) as events:
                async for event in events:
                    try:
                        yield decode_message(event.data)
                    except ProtocolError as error:  # a newer server may send what we do not know yet
                        logger.warning("ignored: %s", error)

    def _check(self, response: httpx.Response) -> None:
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise AuthenticationError(f"{self._url} answers with status 401")
        if response.status_code == httpx.codes.FORBIDDEN:
            raise PermissionDeniedError(f"{self._url} answers with status 403")
        if response.status_code != httpx.codes.OK:
            raise httpx.RemoteProtocolError(f"HTTP status {response.status_code}")
