"""Requests of the protocol. Every one pays for what it goes through, so they go through no framework."""

from collections.abc import Mapping
from typing import Final, final

import anyio
from starlette.types import Receive, Scope, Send

from resonate_trio.protocol import ProtocolError, Reply, decode_request
from server_ref.admission import admit
from server_ref.answers import APOLOGY, Answers, error_reply
from server_ref.engine import Engine
from server_ref.limits import Grow, Load
from server_ref.refusal import Refusal
from server_ref.rights import RightsOf

MAX_DIGITS: Final = 18
"""Of a length that is worth reading."""
NO_HEADERS: Final[Mapping[str, str]] = {}


@final
class Posts:
    """The application at POST /."""

    def __init__(self, engine: Engine, load: Load, rights_of: RightsOf, answers: Answers) -> None:
        self._engine = engine
        self._load = load
        self._limits = load.limits
        self._rights_of = rights_of
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Perform a request of the protocol and send the reply, or why there is none."""
        try:
            reply, headers = await self._answer(scope, receive)
        except Exception:
            await self._answers.send(send, APOLOGY, NO_HEADERS)
            raise  # for the log
        await self._answers.send(send, reply, headers)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[Reply, Mapping[str, str]]:
        """Return the answer, and what its headers are beyond those of all answers."""
        kind = corr_id = ""
        try:
            with self._load.request() as grow:
                envelope = decode_request(await self._body(scope, receive, grow))
                kind, corr_id = envelope.kind, envelope.head.corr_id
                rights = self._rights_of(envelope.head.auth or bearer(scope))
                admitted = admit(envelope, self._limits, rights)
                return rights.visible(await self._engine.perform(admitted)), NO_HEADERS
        except ProtocolError as error:
            return error_reply(400, error.message, kind=error.kind, corr_id=error.corr_id), NO_HEADERS
        except Refusal as refusal:
            return error_reply(refusal.status, refusal.message, kind=kind, corr_id=corr_id), refusal.headers

    async def _body(self, scope: Scope, receive: Receive, grow: Grow) -> bytes:
        if _declared_length(scope) > self._limits.body_bytes:
            raise self._load.too_large()
        parts: list[bytes] = []
        with anyio.move_on_after(self._limits.receive_timeout) as patience:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(400, "the request is incomplete")  # which nobody reads
                part = message.get("body", b"")
                grow(len(part))
                parts.append(part)
                more = message.get("more_body", False)
        if patience.cancelled_caught:
            raise Refusal(408, f"the body did not arrive within {self._limits.receive_timeout:g} s")
        return b"".join(parts)


def _declared_length(scope: Scope) -> int:
    """Return what the client says of the length of the body, 0 if that is nothing or nonsense."""
    length = _header(scope, b"content-length")
    return int(length) if length.isdigit() and len(length) <= MAX_DIGITS else 0


def bearer(scope: Scope) -> str | None:
    """Return the token in the header `Authorization`."""
    scheme, _, token = _header(scope, b"authorization").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _header(scope: Scope, wanted: bytes) -> bytes:
    """Return a header, by its name in lower case, empty if there is none."""
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return b""
