"""One turn: requests, what was handed over, and what is due, in one transaction. Pure, as the machine is."""

from collections.abc import Sequence
from typing import final

from attrs import evolve, frozen

from resonate_trio.protocol import (
    DebugRequest,
    DebugStart,
    DebugStop,
    DebugTick,
    Empty,
    Envelope,
    Reply,
    ReplyHead,
    Request,
)
from server_ref.delivery import NOBODY, Allotment
from server_ref.machine import (
    Changes,
    Draft,
    Outcome,
    Outgoing,
    OutgoingKey,
    Settings,
    fire_due,
    handed_over,
    outgoing,
    perform,
)

from ._placing import Placed, place

Asked = Envelope[Request] | Reply
"""A request, or the reply to one that is not to be performed."""

NO_DEBUG = Outcome(403, "debug.* needs debug mode: start the server with --debug")


@final
class RequestCrashedError(Exception):
    """The machine failed on one request of a turn. The cause is the error that it raised."""

    def __init__(self, index: int, kind: str) -> None:
        super().__init__(f"{kind} failed")
        self.index = index


@final
class BackgroundCrashedError(Exception):
    """The machine failed on what is due. The cause is the error that it raised."""


@final
@frozen
class TurnResult:
    """What a turn came to. It counts only once it is committed.

    Attributes:
        replies: one for each request, in order.
        changes: what was stored.
        messages: what was put into the outbox, and is still there.
        placed: tasks that were due and were acquired for workers at once.
        is_paused: whether background work is paused from here on.
        more: whether more is due already.
    """

    replies: Sequence[Reply]
    changes: Changes
    messages: Sequence[Outgoing]
    placed: Sequence[Placed]
    is_paused: bool
    more: bool


@final
@frozen
class Turn:
    """What is to be done in one transaction, at one instant.

    Attributes:
        requests: performed in order; each sees what those before it did. A reply among them is passed on.
        handed: keys of messages that leave the outbox.
        now: the instant (ms).
        settings: those of the machine.
        debug: whether `debug.*` and `resonate:debug_time` are honoured.
        is_paused: whether background work is paused.
        fires: whether what is due is done, unless it is paused.
        allotment: the workers for which tasks are acquired as soon as they are due.
    """

    requests: Sequence[Asked]
    handed: Sequence[OutgoingKey]
    now: int
    settings: Settings
    debug: bool = False
    is_paused: bool = False
    fires: bool = True
    allotment: Allotment = NOBODY

    def run(self, draft: Draft) -> TurnResult:
        """Do it. Running it again on a fresh draft is harmless.

        Raises:
            RequestCrashedError: the machine has a bug that one of the requests met.
            BackgroundCrashedError: it has one that background work met.
        """
        handed_over(self.handed, draft)
        is_paused = self.is_paused
        replies = []
        for index, envelope in enumerate(self.requests):
            if isinstance(envelope, Reply):
                replies.append(envelope)
                continue
            try:
                outcome = self._perform(envelope, draft)
            except Exception as error:
                raise RequestCrashedError(index, envelope.kind) from error
            if outcome.status == 200 and isinstance(envelope.data, DebugStart | DebugStop):
                is_paused = isinstance(envelope.data, DebugStart)
            replies.append(reply_to(envelope, outcome))
        more = self.fires and not is_paused and self._fire_due(draft)
        draft.changes.now = self.now
        messages = outgoing(draft.changes, draft)
        placed = self._place(messages, draft)
        if placed:
            keys = {one.outgoing.key for one in placed}
            messages = [message for message in messages if message.key not in keys]
        return TurnResult(replies, draft.changes, messages, placed, is_paused, more)

    def without(self, index: int, outcome: Outcome) -> "Turn":
        """Return the turn with one request not performed, but answered with `outcome`."""
        requests = list(self.requests)
        requests[index] = refusal(requests[index], outcome)
        return evolve(self, requests=requests)

    def instant_of(self, envelope: Envelope[Request]) -> int:
        """Return the instant (ms) at which a request is performed."""
        debug_time = envelope.head.debug_time
        return debug_time if self.debug and debug_time is not None else self.now

    def _perform(self, envelope: Envelope[Request], draft: Draft) -> Outcome:
        request = envelope.data
        if isinstance(request, DebugRequest) and not self.debug:
            return NO_DEBUG
        match request:
            case DebugStart() | DebugStop():
                return Outcome(200, Empty())
            case DebugTick(time=time):
                while fire_due(time, draft, self.settings):
                    pass
                return Outcome(200, ())
        return perform(request, self.instant_of(envelope), draft, self.settings.extensions)

    def _fire_due(self, draft: Draft) -> bool:
        try:
            return fire_due(self.now, draft, self.settings)
        except Exception as error:
            raise BackgroundCrashedError from error

    def _place(self, messages: Sequence[Outgoing], draft: Draft) -> Sequence[Placed]:
        try:
            return place(messages, draft, self.now, self.allotment, self.settings.extensions)
        except Exception as error:
            raise BackgroundCrashedError from error


def refusal(asked: Asked, outcome: Outcome) -> Reply:
    """Put an outcome into the reply to what is not performed, unless it has one."""
    return asked if isinstance(asked, Reply) else reply_to(asked, outcome)


def reply_to(envelope: Envelope[Request], outcome: Outcome) -> Reply:
    """Put an outcome into the reply to a request."""
    return Reply(envelope.kind, ReplyHead(envelope.head.corr_id, outcome.status), outcome.data)
