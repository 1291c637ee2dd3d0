"""What the HTTP interface answers: replies of the protocol, and refusals in the same form."""

from collections.abc import Mapping
from typing import Final, final

from attrs import frozen
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from resonate_trio.protocol import Reply, ReplyHead, encode_reply, quoted
from server_ref.refusal import Refusal

ROUTES: Final = "POST /, GET /poll/GROUP/PID, GET /health and GET /ready"


@final
@frozen
class Answers:
    """Makes answers. Each carries the same headers."""

    headers: Mapping[str, str]

    def text(self, text: str) -> Response:
        """Answer with a line for people."""
        return PlainTextResponse(text, headers=self.headers)

    def reply(self, reply: Reply) -> Response:
        """Answer with a reply of the protocol. The HTTP status is that of the reply."""
        return Response(encode_reply(reply), reply.status, self.headers, media_type="application/json")

    def error(self, status: int, message: str, *, kind: str = "", corr_id: str = "") -> Response:
        """Answer that something is not done."""
        return self.reply(Reply(kind, ReplyHead(corr_id, status), message))

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

    async def let_go(self, _: Request, __: Exception) -> Response:
        """Answer a client that went away before its request was complete: nobody reads this."""
        return self.error(400, "the request is incomplete")

    async def apologise(self, _: Request, __: Exception) -> Response:
        """Answer after a bug, which is in the log."""
        return self.error(500, "the server failed on this request; its log says more")
