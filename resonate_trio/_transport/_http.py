"""Envelopes over HTTP: one POST each, by httpx."""

from typing import Self, final

import anyio
import httpx

from resonate_trio._backoff import describe
from resonate_trio._clock import Clock, SystemClock
from resonate_trio._sources import PollSource
from resonate_trio.protocol import Envelope, ProtocolError, Reply, Request, decode_reply, encode_request

from ._base import Unreachable

# More requests at a time than this gain nothing on one server, and cost: whenever a connection becomes free,
# httpcore's pool looks at all connections and all waiting requests.
MAX_IN_FLIGHT = 8
OFFER_HEADER = "resonate-extensions"
CONNECT_TIMEOUT = 5.0
REPLY_TIMEOUT = 30.0
TIMEOUTS = {"timeout": httpx.Timeout(REPLY_TIMEOUT, connect=CONNECT_TIMEOUT, pool=None).as_dict()}


@final
class _Body(httpx.AsyncByteStream):
    """A request's body, in one piece.

    It is an iterator, where httpx's own is a generator: of one that a lost connection leaves unfinished, trio
    warns when it is collected.
    """

    def __init__(self, content: bytes) -> None:
        self._rest: bytes | None = content

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        content, self._rest = self._rest, None
        if content is None:
            raise StopAsyncIteration
        return content


@final
class HttpTransport:
    """Carries requests to the server at `url`."""

    shares_fate = False

    def __init__(self, url: str, *, token: str | None = None, clock: Clock | None = None) -> None:
        self.name = url
        self.clock: Clock = clock or SystemClock()
        self._token = token
        self._offer = ""  # the header of the latest reply, as it came
        self._extensions: frozenset[str] = frozenset()
        self._limiter: anyio.CapacityLimiter | None = None
        self._url = httpx.URL(url + "/")
        # Requests go to httpx's transport directly: a client adds cookies, redirects and authentication, which
        # none of them has, and which cost a quarter of the time of one.
        self._requests: httpx.AsyncHTTPTransport | None = None
        self._client: httpx.AsyncClient | None = None  # for the poll, over the same connections

    def __repr__(self) -> str:
        return f"<HttpTransport {self.name} {'open' if self._client else 'closed'}>"

    @property
    def extensions(self) -> frozenset[str]:
        """The extensions of the protocol that the server offers, as its latest reply says."""
        return self._extensions

    async def __aenter__(self) -> Self:
        self._limiter = anyio.CapacityLimiter(MAX_IN_FLIGHT)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=MAX_IN_FLIGHT)
        self._requests = httpx.AsyncHTTPTransport(limits=limits)
        self._client = httpx.AsyncClient(transport=self._requests, event_hooks={"response": [self._note_poll]})
        return self

    async def __aexit__(self, *exc: object) -> None:
        client, self._client, self._requests = self._client, None, None
        if client is not None:
            with anyio.CancelScope(shield=True):  # closes sockets, waits for nobody
                await client.aclose()

    async def send(self, request: Envelope[Request]) -> Reply:
        """Send one request, wait for the reply. Raises Unreachable."""
        requests, limiter = self._requests, self._limiter
        if requests is None or limiter is None:
            raise RuntimeError(f"{self!r} is not open")
        async with limiter:
            post = self._post(encode_request(request))
            try:
                response = await requests.handle_async_request(post)
                await response.aread()
            except httpx.TransportError as error:
                raise Unreachable(describe(error)) from error
        try:
            reply = decode_reply(response.content, request)
        except ProtocolError as error:
            if response.status_code >= 500:  # a proxy, or a server that is going down: not an envelope
                raise Unreachable(f"HTTP status {response.status_code}") from error
            raise
        self._note_offer(response)
        return reply

    async def _note_poll(self, response: httpx.Response) -> None:
        if response.status_code == httpx.codes.OK:  # else it may come from a proxy
            self._note_offer(response)

    def _note_offer(self, response: httpx.Response) -> None:
        offer = response.headers.get(OFFER_HEADER, "")
        if offer != self._offer:
            self._offer = offer
            self._extensions = frozenset(filter(None, map(str.strip, offer.split(","))))

    def _post(self, content: bytes) -> httpx.Request:
        headers = {
            "host": self._url.netloc.decode("ascii"),
            "content-type": "application/json",
            "content-length": str(len(content)),
        }
        return httpx.Request("POST", self._url, headers=headers, stream=_Body(content), extensions=TIMEOUTS)

    def source(self, group: str, pid: str) -> PollSource:
        """Return the long poll of this process."""
        if self._client is None:
            raise RuntimeError(f"{self!r} is not open")
        return PollSource(self._client, self.name, group, pid, token=self._token)
