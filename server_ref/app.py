"""The server's HTTP interface: one engine behind four routes."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Final, final
from urllib.parse import unquote_to_bytes

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from resonate_trio.protocol import ProtocolError, Reply, ReplyHead, decode_request, encode_reply
from server_ref.engine import Engine
from server_ref.sse import EventStream

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
EXTENSIONS: Final[tuple[str, ...]] = ()
"""The extensions of the protocol that this server offers."""
HEADERS: Final[Mapping[str, str]] = {"resonate-extensions": ", ".join(EXTENSIONS)} if EXTENSIONS else {}
"""What every reply carries."""

ROUTES: Final = "POST /, GET /poll/GROUP/PID, GET /health and GET /ready"


def create_app(engine: Engine, *, max_body_bytes: int = MAX_BODY_BYTES) -> Starlette:
    """Build the application.

    Args:
        engine: performs the requests, and is open for as long as the application is used.
        max_body_bytes: a longer request is refused with status 413.
    """
    routes = Routes(engine, max_body_bytes)
    app = Starlette(
        routes=[
            Route("/", routes.request, methods=["POST"]),
            Route("/poll/{rest:path}", routes.poll, methods=["GET"]),
            Route("/health", routes.health, methods=["GET"]),
            Route("/ready", routes.ready, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _refuse, ClientDisconnect: _let_go, 500: _apologise},
    )
    app.router.redirect_slashes = False  # a client that follows no redirects sees what is wrong
    return app


@final
class Routes:
    """What each route does."""

    def __init__(self, engine: Engine, max_body_bytes: int) -> None:
        self._engine = engine
        self._max_body_bytes = max_body_bytes

    async def request(self, request: Request) -> Response:
        """Perform a request of the protocol."""
        body = await self._body(request)
        try:
            envelope = decode_request(body)
        except ProtocolError as error:
            return _error(400, error.message, kind=error.kind, corr_id=error.corr_id)
        return _respond(await self._engine.perform(envelope))

    async def poll(self, request: Request) -> Response:
        """Stream messages to a worker."""
        if request.method == "HEAD":
            raise HTTPException(405)
        group, pid = _group_and_pid(request)
        return EventStream(self._engine.connect(group, pid), HEADERS)

    async def health(self, _: Request) -> Response:
        """Tell that the server lives."""
        return PlainTextResponse("ok\n", headers=HEADERS)

    async def ready(self, _: Request) -> Response:
        """Tell whether the server can work."""
        if await self._engine.is_ready():
            return PlainTextResponse("ready\n", headers=HEADERS)
        return _error(503, "the store does not answer")

    async def _body(self, request: Request) -> bytes:
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            raise self._too_large()
        body = bytearray()
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > self._max_body_bytes:
                    raise self._too_large()
        return bytes(body)

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"the body is too large: at most {self._max_body_bytes} bytes are accepted")


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


# Starlette would run these in threads if they were not async.


async def _refuse(request: Request, error: Exception) -> Response:  # ruff: ignore[unused-async]
    """Answer what no route takes, in the form of every other error."""
    assert isinstance(error, HTTPException)
    message = error.detail
    if error.status_code == 404 and not request.url.path.startswith("/poll/"):
        message = f"there is nothing at {request.url.path}: this server has {ROUTES}"
    elif error.status_code == 405:
        message = f"{request.method} is not allowed at {request.url.path}: this server has {ROUTES}"
    response = _error(error.status_code, message)
    response.headers.update(error.headers or {})
    return response


async def _let_go(_: Request, __: Exception) -> Response:  # ruff: ignore[unused-async]
    """Answer a client that went away before its request was complete: nobody reads this."""
    return _error(400, "the request is incomplete")


async def _apologise(_: Request, __: Exception) -> Response:  # ruff: ignore[unused-async]
    """Answer after a bug, which is in the log."""
    return _error(500, "the server failed on this request; its log says more")
