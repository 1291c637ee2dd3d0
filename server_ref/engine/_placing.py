"""Tasks that a turn makes due, and acquires for their workers in the same commit."""

from collections.abc import Iterable, Sequence
from typing import Final, final

from attrs import frozen

from resonate_trio.protocol import Acquired, Envelope, Head, Reply, ReplyHead, Request
from server_ref.delivery import Allotment, Places, Seat
from server_ref.machine import Draft, Extensions, Outgoing, perform

OWN: Final = Head("server")
"""The head of the server's own requests."""


@final
@frozen
class Placed:
    """A task that was acquired: the message and who gets it; and the request and its reply, as if it had asked."""

    outgoing: Outgoing
    seat: Seat
    request: Envelope[Request]
    reply: Reply


def place(
    messages: Iterable[Outgoing], draft: Draft, now: int, allotment: Allotment, offered: Extensions
) -> Sequence[Placed]:
    """Acquire the tasks that a turn has messages about, as far as it is known for whom.

    To be called at the end of the turn. After a reset nothing is known of anybody.
    """
    if not allotment.seats or draft.changes.reset:
        return ()
    placed = []
    places: Places | None = None
    for message in messages:
        places = places or Places.after(draft.changes, allotment)
        wanted = places.find(message)
        if wanted is None:
            continue
        outcome = perform(wanted.request, now, draft, offered)
        if isinstance(outcome.data, Acquired):
            request: Envelope[Request] = Envelope(OWN, wanted.request)
            reply = Reply(request.kind, ReplyHead(OWN.corr_id, outcome.status), outcome.data)
            placed.append(Placed(wanted.with_reply(outcome.data), wanted.seat, request, reply))
    return placed
