"""The outbox: messages that wait for their delivery.

It is keyed, not a log: at most one `execute` a task (its newest version), and one `unblock` a promise and
address.
"""

from collections.abc import Iterable
from operator import itemgetter
from typing import final

from attrs import frozen

from resonate_trio.protocol import Execute, Unblock

from ._draft import Draft
from ._view import Changes, Dispatch, View, existing

OutgoingKey = tuple[str, str, int] | tuple[str, str, str]
"""("execute", task, version) or ("unblock", promise, address)."""


@final
@frozen
class Outgoing:
    """A message that waits, where to, and the key under which its delivery is reported."""

    key: OutgoingKey
    address: str
    message: Execute | Unblock


def outgoing(changes: Changes, view: View) -> list[Outgoing]:
    """Return what a turn put into the outbox, given the view after the turn."""
    executes = [(id, dispatch) for id, dispatch in changes.executes.items() if dispatch is not None]
    unblocks = [pair for pair, present in changes.unblocks.items() if present]
    return _messages(view, executes, unblocks)


def waiting(view: View) -> list[Outgoing]:
    """Return the whole outbox."""
    return _messages(view, sorted(view.executes(), key=itemgetter(0)), view.unblocks())


def handed_over(keys: Iterable[OutgoingKey], draft: Draft) -> None:
    """Take messages out of the outbox. A newer `execute` for the same task stays."""
    for kind, id, rest in keys:
        if kind == Execute.kind:
            dispatch = draft.execute(id)
            if dispatch is not None and dispatch.version == rest:
                draft.remove_execute(id)
        else:
            draft.remove_unblock(id, str(rest))


def _messages(
    view: View, executes: Iterable[tuple[str, Dispatch]], unblocks: Iterable[tuple[str, str]]
) -> list[Outgoing]:
    messages = []
    for id, dispatch in executes:
        key = (Execute.kind, id, dispatch.version)
        messages.append(
            Outgoing(key, dispatch.address, Execute(id, dispatch.version, cancelled_at=dispatch.cancelled_at))
        )
    for id, address in unblocks:
        message = Unblock(existing(view.promise(id), id))
        messages.append(Outgoing((Unblock.kind, id, address), address, message))
    return messages
