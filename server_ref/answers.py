"""What the HTTP interface answers: replies of the protocol, and refusals in the same form."""

from collections.abc import Mapping, Sequence
from typing import Final, final

from attrs import field, frozen
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Send

from resonate_trio.protocol import Reply, ReplyHead, encode_reply, quoted
from server_ref.refusal import Refusal

ROUTES: Final = "POST /, GET /poll/GROUP/PID, GET /health and GET /ready"
Headers = Sequence[tuple[bytes, bytes]]


@final
@frozen
class Answers:
    """Makes answers. Each carries the same headers."""

    headers: Mapping[str, str]
    _raw_headers: Headers = field(init=False, repr=False)

    @_raw_headers.default
    def _written(self) -> Headers:
        return [(b"content-type", b"application/json"), *_raw(self.headers)]

    async def send(self, send: Send, reply: Reply, headers: Mapping[str, str]) -> None:
        """Send a reply of the protocol, with further headers. The HTTP status is that of the reply."""
        body = encode_reply(reply)
        length = (b"content-length", b"%d" % len(body))
        written = [*self._raw_headers, length, *_raw(headers)]
        await send({"type": "http.response.start", "status": reply.status, "headers": written})
        await send({"type": "http.response.body", "body": body})

    def text(self, text: str) -> Response:
        """Answer with a line for people."""
        return PlainTextResponse(text, headers=self.headers)

    def reply(self, reply: Reply) -> Response:
        """Answer with a reply of the protocol. The HTTP status is that of the reply."""
        return Response(encode_reply(reply), reply.status, self.headers, media_type="application/json")

    def error(self, status: int, message: str, *, kind: str = "", corr_id: str = "") -> Response:
        """Answer that something is not done."""
        return self.reply(error_reply(status, message, kind=kind, corr_id=corr_id))

    def refused(self, refusal: Refusal, *, kind: str = "", corr_id: str = "") -> Response:
        """Answer with a refusal."""
        response = self.error(refusal.status, refusal.message, kind=kind, corr_id=corr_id)
        response.headers.update(refusal.headers)
        return response

    # --- To exceptions ----------------------------------------------------------------------------

    async def refuse(self, _: Request, refusal: Exception) -> Response:
        """Answer what is refused before it is known what is asked."""
        assert isinstance(refusal, Refusal)
        return self.refused(refusal)

    async def reject(self, request: Request, error: Exception) -> Response:
        """Answer what no route takes, in the form of every other error."""
        assert isinstance(error, HTTPException)
        message = error.detail
        path = request.scope["path"]  # request.url fails on a host that is none
        if error.status_code == 404 and not path.startswith("/poll/"):
            message = f"there is nothing at {quoted(path)}: this server has {ROUTES}"
        elif error.status_code == 405:
            message = f"{request.method} is not allowed at {quoted(path)}: this server has {ROUTES}"
        response = self.error(error.status_code, message)
        response.headers.update(error.headers or {})
        return response

    async def apologise(self, _: Request, __: Exception) -> Response:
        """Answer after a bug, which is in the log."""
        return self.reply(APOLOGY)


def error_reply(status: int, message: str, *, kind: str = "", corr_id: str = "") -> Reply:
    """Return the reply that says that something is not done."""
    return Reply(kind, ReplyHead(corr_id, status), message)


APOLOGY: Final = error_reply(500, "the server failed on this request; its log says more")
"""After a bug."""


def _raw(headers: Mapping[str, str]) -> Headers:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
