"""The server's HTTP interface: one engine behind four routes."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Final, final
from urllib.parse import unquote_to_bytes

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from resonate_trio.protocol import ProtocolError, decode_request, extensions, quoted
from server_ref.admission import admit
from server_ref.answers import Answers
from server_ref.delivery import Connection
from server_ref.engine import Engine
from server_ref.limits import DEFAULT_LIMITS, Grow, Limits, Load
from server_ref.refusal import Refusal
from server_ref.rights import EVERYTHING, Rights
from server_ref.sse import EventStream

MAX_DIGITS: Final = 18
"""Of a number that is worth reading."""

RightsOf = Callable[[str | None], Rights]
"""Tells what the bearer of a token may do, or without one, who came without. Raises Refusal (status 401)."""


def anybody(_token: str | None) -> Rights:
    """Give everybody all rights."""
    return EVERYTHING


def create_app(engine: Engine, *, limits: Limits = DEFAULT_LIMITS, rights_of: RightsOf = anybody) -> Starlette:
    """Build the application.

    Args:
        engine: performs the requests, and is open for as long as the application is used.
        limits: how much clients may ask for.
        rights_of: tells what the bearer of a token may do.
    """
    offered = ", ".join(sorted(engine.extensions))
    answers = Answers({"resonate-extensions": offered} if offered else {})
    routes = Routes(engine, limits, rights_of, answers)
    app = Starlette(
        routes=[
            Route("/", routes.request, methods=["POST"]),
            Route("/poll/{rest:path}", routes.poll, methods=["GET"]),
            Route("/health", routes.health, methods=["GET"]),
            Route("/ready", routes.ready, methods=["GET"]),
        ],
        exception_handlers={
            Refusal: answers.refuse,
            HTTPException: answers.reject,
            ClientDisconnect: answers.let_go,
            500: answers.apologise,
        },
    )
    app.router.redirect_slashes = False  # a client that follows no redirects sees what is wrong
    return app


@final
class Routes:
    """What each route does."""

    def __init__(self, engine: Engine, limits: Limits, rights_of: RightsOf, answers: Answers) -> None:
        self._engine = engine
        self._answers = answers
        self._limits = limits
        self._load = Load(limits)
        self._rights_of = rights_of

    async def request(self, request: Request) -> Response:
        """Perform a request of the protocol."""
        with self._load.request() as grow:
            try:
                envelope = decode_request(await self._body(request, grow))
            except ProtocolError as error:
                return self._answers.error(400, error.message, kind=error.kind, corr_id=error.corr_id)
            try:
                rights = self._rights_of(envelope.head.auth or _bearer(request))
                admitted = admit(envelope, self._limits, rights)
            except Refusal as refusal:
                return self._answers.refused(refusal, kind=envelope.kind, corr_id=envelope.head.corr_id)
            return self._answers.reply(rights.visible(await self._engine.perform(admitted)))

    async def poll(self, request: Request) -> Response:
        """Stream messages to a worker, until its token expires."""
        if request.method == "HEAD":
            raise HTTPException(405)
        group, pid = _group_and_pid(request)
        rights = self._rights_of(_bearer(request))
        capacity = self._wanted(request, extensions.CAPACITY, "capacity", least=0)
        ttl = self._wanted(request, extensions.ACQUIRED, "ttl", least=1)
        source = self._engine.connect(group, pid, prefix=rights.prefix, capacity=capacity, ttl=ttl)
        duration = rights.expires_at - self._engine.clock.now_ms() / 1000
        return EventStream(self._counted(source), self._answers.headers, duration=duration)

    def _wanted(self, request: Request, extension: str, name: str, *, least: int) -> int | None:
        """Read a parameter of the query: an integer, or None if it is not there, or not offered."""
        text = request.query_params.get(name)
        if text is None or extension not in self._engine.extensions:
            return None
        if not (text.isdecimal() and text.isascii()) or len(text) > MAX_DIGITS or int(text) < least:
            raise Refusal(400, f"{name}: expected an integer of at least {least}, got {quoted(text)}")
        return int(text)

    @asynccontextmanager
    async def _counted(self, source: AbstractAsyncContextManager[Connection]) -> AsyncGenerator[Connection]:
        with self._load.poll():
            async with source as connection:
                yield connection

    async def health(self, _: Request) -> Response:
        """Tell that the server lives."""
        return self._answers.text("ok\n")

    async def ready(self, _: Request) -> Response:
        """Tell whether the server can work."""
        with self._load.request():
            is_ready = await self._engine.is_ready()
        if is_ready:
            return self._answers.text("ready\n")
        return self._answers.error(503, "the store does not answer")

    async def _body(self, request: Request, grow: Grow) -> bytes:
        if _declared_length(request) > self._limits.body_bytes:
            raise self._load.too_large()
        body = bytearray()
        with anyio.move_on_after(self._limits.receive_timeout) as patience:
            async with aclosing(request.stream()) as chunks:
                async for chunk in chunks:
                    grow(len(chunk))
                    body += chunk
        if patience.cancelled_caught:
            raise Refusal(408, f"the body did not arrive within {self._limits.receive_timeout:g} s")
        return bytes(body)


def _declared_length(request: Request) -> int:
    """Return what the client says of the length of the body, 0 if that is nothing or nonsense."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) <= MAX_DIGITS else 0


def _bearer(request: Request) -> str | None:
    """Return the token in the header `Authorization`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _group_and_pid(request: Request) -> tuple[str, str]:
    """Read the last two segments of the path as they were sent: a slash in them arrives as %2F."""
    segments = request.scope["raw_path"].partition(b"?")[0].split(b"/")
    try:
        group, pid = (unquote_to_bytes(segment).decode() for segment in segments[2:])
    except ValueError:
        raise HTTPException(404, "expected /poll/GROUP/PID, both percent-encoded UTF-8") from None
    if not group or not pid:
        raise HTTPException(404, "expected /poll/GROUP/PID, and neither of them empty")
    return group, pid
