"""One conversation with a server: heads, tries, and what a status means."""

import itertools
import logging
import math
import secrets
from collections.abc import Sequence
from typing import TypeVar, final

import anyio

from resonate_trio._backoff import Backoff
from resonate_trio._errors import (
    AuthenticationError,
    PermissionDeniedError,
    PromiseNotFoundError,
    RequestRefusedError,
    ServerError,
    ServerUnreachableError,
)
from resonate_trio.protocol import (
    Batch,
    BatchedRequest,
    BatchReply,
    Envelope,
    Head,
    Promise,
    PromiseReply,
    ProtocolError,
    Reply,
    Request,
)

from ._base import Transport, Unreachable

logger = logging.getLogger("resonate_trio.transport")

DataT = TypeVar("DataT", bound=Request)
T = TypeVar("T")

TOO_MANY_REQUESTS = 429
SERVICE_UNAVAILABLE = 503


@final
class Link:
    """Asks a server, and asks again while it cannot be reached.

    Requests of this protocol may be sent twice: they are idempotent, or guarded by a version, in which case a
    second try is answered by 409.
    """

    def __init__(self, transport: Transport, *, token: str | None = None, patience: float = 30.0) -> None:
        self.transport = transport
        self._token = token
        self._patience = patience
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._outage = Backoff()  # shared by all requests, so that an outage is logged once

    def __repr__(self) -> str:
        return f"<Link to {self.transport.name}>"

    def offers(self, extension: str) -> bool:
        """Tell whether the server is known to offer an extension. Before its first reply none is known."""
        return extension in self.transport.extensions

    def envelope(self, data: DataT) -> Envelope[DataT]:
        """Put `data` into an envelope, as the action of another request."""
        return Envelope(Head(self._corr_id()), data)

    def _corr_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    async def ask(self, data: Request, *, origin: str | None = None, patience: float | None = None) -> Reply:
        """Send a request and return its reply, of a status below 500 other than 401, 403 and 429.

        Args:
            data: what is asked.
            origin: the root of the call graph it is about, a hint for routing.
            patience: seconds to try for while the server cannot be reached; `math.inf` tries for ever.

        Raises:
            ServerUnreachableError: patience is over. The request may have taken effect.
            AuthenticationError: the server wants a (valid) token.
            PermissionDeniedError: the token does not allow this.
            ServerError: the server failed, or its reply is none.
        """
        patience = self._patience if patience is None else patience
        started = anyio.current_time()
        give_up_at = started + patience if patience < math.inf else math.inf
        backoff = Backoff()
        request = Envelope(Head(self._corr_id(), origin=origin, auth=self._token), data)
        while True:
            try:
                reply = await self._try(request)
            except Unreachable as error:
                self._outage.failed(logger, f"{self.transport.name} cannot be reached ({error})")
                now = anyio.current_time()
                if now >= give_up_at:
                    raise ServerUnreachableError(self.transport.name, now - started) from error
                await anyio.sleep(min(backoff.next_delay(), give_up_at - now))
            else:
                self._outage.reset()
                return reply

    async def ask_all(
        self, requests: Sequence[BatchedRequest], *, origin: str | None = None, patience: float | None = None
    ) -> Sequence[Reply]:
        """Send requests that the server is to perform in this order, in one batch; return their replies.

        Tried again, all are: each must stand that. Otherwise as `ask`. The server must offer batches.
        """
        batch = Batch([self.envelope(request) for request in requests])
        reply = await self.ask(batch, origin=origin, patience=patience)
        return accepted(reply, BatchReply).responses

    async def _try(self, request: Envelope[Request]) -> Reply:
        try:
            reply = await self.transport.send(request)
        except ProtocolError as error:
            raise ServerError(f"{self.transport.name} does not speak our protocol: {error}") from error
        for inner in reply.data.responses if isinstance(reply.data, BatchReply) else ():
            self._check(inner)
        return self._check(reply)

    def _check(self, reply: Reply) -> Reply:
        if not reply.is_error:
            return reply
        message = str(reply.data)
        if reply.status in {TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE}:
            raise Unreachable(f"status {reply.status}: {message}")
        if reply.status == 401:
            raise AuthenticationError(message)
        if reply.status == 403:
            raise PermissionDeniedError(f"{reply.kind}: {message}")
        if reply.status >= 500:
            raise ServerError(f"{reply.kind}: {message}", status=reply.status)
        return reply


def accepted(reply: Reply, cls: type[T]) -> T:
    """Return the data of a reply that should be no refusal.

    Raises:
        RequestRefusedError: it is one.
    """
    if reply.is_error:
        raise RequestRefusedError(str(reply.data), status=reply.status, kind=reply.kind)
    if not isinstance(reply.data, cls):
        raise TypeError(f"the reply to {reply.kind} is read as {type(reply.data).__name__}, not as {cls.__name__}")
    return reply.data


def promise_of(reply: Reply, id: str) -> Promise:
    """Return the promise of a reply to a request that names it by its id.

    Raises:
        PromiseNotFoundError: there is no such promise.
        RequestRefusedError: the request was refused for another reason.
    """
    if reply.status == 404:
        raise PromiseNotFoundError(id)
    return accepted(reply, PromiseReply).promise
