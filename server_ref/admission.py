"""What may reach the engine: requests within the limits, and within the rights of whoever sent them."""

import attrs

from resonate_trio.protocol import Batch, BatchedRequest, Envelope, Reply, ReplyHead, Request
from server_ref.limits import Limits
from server_ref.refusal import Refusal
from server_ref.rights import Rights


def admit(envelope: Envelope[Request], limits: Limits, rights: Rights) -> Envelope[Request]:
    """Return a request as the engine may see it. In a batch, what is refused is replaced by its refusal.

    The rights of a batch are those of all its requests; tokens that these carry themselves do not count.

    Raises:
        Refusal: it is not admitted.
    """
    limits.check(envelope.data)
    if isinstance(envelope.data, Batch):
        requests = [_admitted_or_refused(asked, limits, rights) for asked in envelope.data.requests]
        envelope = attrs.evolve(envelope, data=Batch(requests))
    return rights.admit(envelope)


def _admitted_or_refused(
    asked: Envelope[BatchedRequest] | Reply, limits: Limits, rights: Rights
) -> Envelope[BatchedRequest] | Reply:
    if isinstance(asked, Reply):
        return asked
    try:
        limits.check(asked.data)
        return rights.admit(asked)
    except Refusal as refusal:
        return Reply(asked.kind, ReplyHead(asked.head.corr_id, refusal.status), refusal.message)
