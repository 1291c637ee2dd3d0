"""The server's HTTP interface: one engine behind four routes."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Final, final
from urllib.parse import unquote_to_bytes

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from resonate_trio.protocol import ProtocolError, Reply, ReplyHead, decode_request, encode_reply, quoted
from server_ref.delivery import Connection
from server_ref.engine import Engine
from server_ref.limits import DEFAULT_LIMITS, Grow, Limits, Load
from server_ref.refusal import Refusal
from server_ref.rights import EVERYTHING, Rights
from server_ref.sse import EventStream

EXTENSIONS: Final[tuple[str, ...]] = ()
"""The extensions of the protocol that this server offers."""
HEADERS: Final[Mapping[str, str]] = {"resonate-extensions": ", ".join(EXTENSIONS)} if EXTENSIONS else {}
"""What every reply carries."""

MAX_DIGITS: Final = 18
"""Of a length that is worth reading."""
ROUTES: Final = "POST /, GET /poll/GROUP/PID, GET /health and GET /ready"

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
    routes = Routes(engine, limits, rights_of)
    app = Starlette(
        routes=[
            Route("/", routes.request, methods=["POST"]),
            Route("/poll/{rest:path}", routes.poll, methods=["GET"]),
            Route("/health", routes.health, methods=["GET"]),
            Route("/ready", routes.ready, methods=["GET"]),
        ],
        exception_handlers={
            Refusal: _refuse,
            HTTPException: _reject,
            ClientDisconnect: _let_go,
            500: _apologise,
        },
    )
    app.router.redirect_slashes = False  # a client that follows no redirects sees what is wrong
    return app


@final
class Routes:
    """What each route does."""

    def __init__(self, engine: Engine, limits: Limits, rights_of: RightsOf) -> None:
        self._engine = engine
        self._limits = limits
        self._load = Load(limits)
        self._rights_of = rights_of

    async def request(self, request: Request) -> Response:
        """Perform a request of the protocol."""
        with self._load.request() as grow:
            try:
                envelope = decode_request(await self._body(request, grow))
            except ProtocolError as error:
                return _error(400, error.message, kind=error.kind, corr_id=error.corr_id)
            try:
                rights = self._rights_of(envelope.head.auth or _bearer(request))
                self._limits.check(envelope.data)
                admitted = rights.admit(envelope)
            except Refusal as refusal:
                return _refused(refusal, kind=envelope.kind, corr_id=envelope.head.corr_id)
            return _respond(rights.visible(await self._engine.perform(admitted)))

    async def poll(self, request: Request) -> Response:
        """Stream messages to a worker, until its token expires."""
        if request.method == "HEAD":
            raise HTTPException(405)
        group, pid = _group_and_pid(request)
        rights = self._rights_of(_bearer(request))
        duration = rights.expires_at - self._engine.clock.now_ms() / 1000
        return EventStream(self._connection(group, pid, rights.prefix), HEADERS, duration=duration)

    @asynccontextmanager
    async def _connection(self, group: str, pid: str, prefix: str) -> AsyncGenerator[Connection]:
        with self._load.poll():
            async with self._engine.connect(group, pid, prefix=prefix) as connection:
                yield connection

    async def health(self, _: Request) -> Response:
        """Tell that the server lives."""
        return PlainTextResponse("ok\n", headers=HEADERS)

    async def ready(self, _: Request) -> Response:
        """Tell whether the server can work."""
        with self._load.request():
            is_ready = await self._engine.is_ready()
        if is_ready:
            return PlainTextResponse("ready\n", headers=HEADERS)
        return _error(503, "the store does not answer")

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


def _respond(reply: Reply) -> Response:
    return Response(encode_reply(reply), reply.status, HEADERS, media_type="application/json")


def _error(status: int, message: str, *, kind: str = "", corr_id: str = "") -> Response:
    return _respond(Reply(kind, ReplyHead(corr_id, status), message))


def _refused(refusal: Refusal, *, kind: str = "", corr_id: str = "") -> Response:
    response = _error(refusal.status, refusal.message, kind=kind, corr_id=corr_id)
    response.headers.update(refusal.headers)
    return response


# Starlette would run these in threads if they were not async.


async def _refuse(_: Request, refusal: Exception) -> Response:  # ruff: ignore[unused-async]
    """Answer what is refused before it is known what is asked."""
    assert isinstance(refusal, Refusal)
    return _refused(refusal)


async def _reject(request: Request, error: Exception) -> Response:  # ruff: ignore[unused-async]
    """Answer what no route takes, in the form of every other error."""
    assert isinstance(error, HTTPException)
    message = error.detail
    path = request.scope["path"]  # request.url fails on a host that is none
    if error.status_code == 404 and not path.startswith("/poll/"):
        message = f"there is nothing at {quoted(path)}: this server has {ROUTES}"
    elif error.status_code == 405:
        message = f"{request.method} is not allowed at {quoted(path)}: this server has {ROUTES}"
    response = _error(error.status_code, message)
    response.headers.update(error.headers or {})
    return response


async def _let_go(_: Request, __: Exception) -> Response:  # ruff: ignore[unused-async]
    """Answer a client that went away before its request was complete: nobody reads this."""
    return _error(400, "the request is incomplete")


async def _apologise(_: Request, __: Exception) -> Response:  # ruff: ignore[unused-async]
    """Answer after a bug, which is in the log."""
    return _error(500, "the server failed on this request; its log says more")
