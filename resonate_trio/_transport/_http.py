"""Envelopes over HTTP: one POST each, by httpx."""

from typing import Self, final

import anyio
import httpx

from resonate_trio._backoff import describe
from resonate_trio._clock import Clock, SystemClock
from resonate_trio._sources import PollSource, Terms
from resonate_trio.protocol import Envelope, ProtocolError, Reply, Request, decode_reply, encode_request

from ._base import Unreachable
from ._connections import FAILURES, Connections

MAX_IN_FLIGHT = 8
"""How many requests are under way at a time: more of them gain nothing on one server."""
OFFER_HEADER = "resonate-extensions"


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
        self._slots: anyio.Semaphore | None = None
        self._connections: Connections | None = None
        self._client: httpx.AsyncClient | None = None  # for the poll

    def __repr__(self) -> str:
        return f"<HttpTransport {self.name} {'open' if self._client else 'closed'}>"

    @property
    def extensions(self) -> frozenset[str]:
        """The extensions of the protocol that the server offers, as its latest reply says."""
        return self._extensions

    async def __aenter__(self) -> Self:
        tls = httpx.create_ssl_context()
        self._slots = anyio.Semaphore(MAX_IN_FLIGHT, fast_acquire=True)
        self._connections = Connections(httpx.URL(self.name + "/"), tls)
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=tls), event_hooks={"response": [self._note_poll]}
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        client, self._client = self._client, None
        connections, self._connections = self._connections, None
        if client is not None and connections is not None:
            with anyio.CancelScope(shield=True):  # closes sockets, waits for nobody
                await client.aclose()
                await connections.aclose()

    async def send(self, request: Envelope[Request]) -> Reply:
        """Send one request, wait for the reply. Raises Unreachable."""
        connections, slots = self._connections, self._slots
        if connections is None or slots is None:
            raise RuntimeError(f"{self!r} is not open")
        content = encode_request(request)
        async with slots:
            try:
                answer = await connections.post(content)
            except FAILURES as error:
                raise Unreachable(describe(error)) from error
        try:
            reply = decode_reply(answer.content, request)
        except ProtocolError as error:
            if answer.status >= 500:  # a proxy, or a server that is going down: not an envelope
                raise Unreachable(f"HTTP status {answer.status}") from error
            raise
        self._note_offer(answer.header(OFFER_HEADER.encode("ascii")))
        return reply

    async def _note_poll(self, response: httpx.Response) -> None:
        if response.status_code == httpx.codes.OK:  # else it may come from a proxy
            self._note_offer(response.headers.get(OFFER_HEADER, ""))

    def _note_offer(self, offer: str) -> None:
        if offer != self._offer:
            self._offer = offer
            self._extensions = frozenset(filter(None, map(str.strip, offer.split(","))))

    def source(self, group: str, pid: str, terms: Terms | None = None) -> PollSource:
        """Return the long poll of this process."""
        if self._client is None:
            raise RuntimeError(f"{self!r} is not open")
        return PollSource(self._client, self.name, group, pid, terms, token=self._token)
