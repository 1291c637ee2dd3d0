"""The server's HTTP interface: one engine behind four routes."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import final
from urllib.parse import unquote_to_bytes

from attrs import frozen
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from resonate_trio.protocol import extensions, quoted
from server_ref.answers import Answers
from server_ref.delivery import Connection
from server_ref.engine import Engine
from server_ref.limits import DEFAULT_LIMITS, Limits, Load
from server_ref.posts import MAX_DIGITS, Posts, bearer
from server_ref.refusal import Refusal
from server_ref.rights import EVERYTHING, Rights, RightsOf
from server_ref.sse import EventStream


def anybody(_token: str | None) -> Rights:
    """Give everybody all rights."""
    return EVERYTHING


def create_app(engine: Engine, *, limits: Limits = DEFAULT_LIMITS, rights_of: RightsOf = anybody) -> ASGIApp:
    """Build the application.

    Args:
        engine: performs the requests, and is open for as long as the application is used.
        limits: how much clients may ask for.
        rights_of: tells what the bearer of a token may do.
    """
    offered = ", ".join(sorted(engine.extensions))
    answers = Answers({"resonate-extensions": offered} if offered else {})
    load = Load(limits)
    posts = Posts(engine, load, rights_of, answers)
    routes = Routes(engine, load, rights_of, answers)
    app = Starlette(
        routes=[
            Route("/", posts, methods=["POST"]),
            Route("/poll/{rest:path}", routes.poll, methods=["GET"]),
            Route("/health", routes.health, methods=["GET"]),
            Route("/ready", routes.ready, methods=["GET"]),
        ],
        exception_handlers={
            Refusal: answers.refuse,
            HTTPException: answers.reject,
            500: answers.apologise,
        },
    )
    app.router.redirect_slashes = False  # a client that follows no redirects sees what is wrong
    return _Application(posts, app)


@final
@frozen
class _Application:
    """The requests of the protocol as they come, and the rest by its routes."""

    _posts: ASGIApp
    _rest: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_post = scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "POST"
        await (self._posts if is_post else self._rest)(scope, receive, send)


@final
class Routes:
    """What each route does, but for that of the requests."""

    def __init__(self, engine: Engine, load: Load, rights_of: RightsOf, answers: Answers) -> None:
        self._engine = engine
        self._answers = answers
        self._load = load
        self._rights_of = rights_of

    async def poll(self, request: Request) -> Response:
        """Stream messages to a worker, until its token expires."""
        if request.method == "HEAD":
            raise HTTPException(405)
        group, pid = _group_and_pid(request)
        rights = self._rights_of(bearer(request.scope))
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
