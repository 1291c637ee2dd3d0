"""What the bearer of a token may do."""

import math
from collections.abc import Callable
from typing import Final, TypeVar, final

import attrs
from attrs import frozen

from resonate_trio.protocol import (
    Acquired,
    BatchReply,
    DebugRequest,
    Envelope,
    Fenced,
    PromiseSearch,
    Reply,
    Request,
    ScheduleSearch,
    Suspended,
    TaskSearch,
    quoted,
)
from server_ref.contents import ids_of
from server_ref.refusal import Refusal

RequestT = TypeVar("RequestT", bound=Request)

NOT_ADMIN: Final = "debug.* needs an admin: a token whose claim role is admin"


@final
@frozen
class Rights:
    """The rights that a token gives.

    A request is within them if all ids that it names begin with the prefix. Of what it did not name (search
    results, promises sent ahead, messages to workers) it gets what begins with the prefix.

    Attributes:
        is_admin: whether `debug.*` and `resonate:debug_time` are honoured, where debug mode is on.
        prefix: what ids must begin with, empty for no limit.
        expires_at: the instant (Unix time, seconds) at which they end.
    """

    is_admin: bool = False
    prefix: str = ""
    expires_at: float = math.inf

    def admit(self, envelope: Envelope[RequestT]) -> Envelope[RequestT]:
        """Return the request as the engine may see it: without its token, and searching within the prefix.

        Raises:
            Refusal: it is not within the rights (status 403).
        """
        request = envelope.data
        if isinstance(request, DebugRequest) and not self.is_admin:
            raise Refusal(403, NOT_ADMIN)
        head = envelope.head
        if head.auth is None and head.debug_time is None and not self.prefix:
            return envelope
        if head.auth is not None:
            head = attrs.evolve(head, auth=None)
        if head.debug_time is not None and not self.is_admin:
            head = attrs.evolve(head, debug_time=None)
        if self.prefix:
            request = self._within(request)
        return Envelope(head, request)

    def _within(self, request: RequestT) -> RequestT:
        for where, id in ids_of(request):
            if not id.startswith(self.prefix):
                raise self._beyond(f"data.{where}", id)
        if isinstance(request, PromiseSearch | TaskSearch | ScheduleSearch):
            wanted = request.prefix or ""
            if self.prefix.startswith(wanted):
                return attrs.evolve(request, prefix=self.prefix)
            if not wanted.startswith(self.prefix):
                raise self._beyond("data.prefix", wanted)
        return request

    def _beyond(self, where: str, id: str) -> Refusal:
        return Refusal(403, f"{where}: {quoted(id)} does not begin with the token's prefix {quoted(self.prefix)}")

    def visible(self, reply: Reply) -> Reply:
        """Return a reply without promises sent ahead that the bearer may not see."""
        data = reply.data
        if self.prefix and isinstance(data, BatchReply):
            return attrs.evolve(reply, data=BatchReply([self.visible(response) for response in data.responses]))
        if not self.prefix or not isinstance(data, Acquired | Fenced | Suspended) or not data.preload:
            return reply
        preload = [promise for promise in data.preload if promise.id.startswith(self.prefix)]
        return attrs.evolve(reply, data=attrs.evolve(data, preload=preload))


EVERYTHING: Final = Rights(is_admin=True)
"""The rights of everybody where auth is off."""
RightsOf = Callable[[str | None], Rights]
"""Tells what the bearer of a token may do, or without one, who came without. Raises Refusal (status 401)."""
