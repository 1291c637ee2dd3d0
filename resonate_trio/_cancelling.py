"""Cancelling an invocation: a request to the server, or where that cannot be asked, done by ourselves.

A server with the extension `cancel` keeps the request, tells the worker, and ends what outlives the budget. On
others we end the invocation and all that it has called ourselves, in an order that a crash may cut:

1. From the top down, each task is halted before its children are looked for: its holder can write no more, so it
   has no children beside those that are found.
2. From the bottom up, each promise is settled. The root comes last, so as long as it is pending there may be work
   left, and doing it all again finds and completes it.
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import Final

from ._clock import FOREVER_MS
from ._errors import UsageError
from ._options import is_number
from ._transport import Link, accepted, promise_of
from .protocol import (
    Promise,
    PromiseCancel,
    PromiseGet,
    PromisePage,
    PromiseSearch,
    PromiseSettle,
    PromiseState,
    TaskHalt,
    Value,
    extensions,
    origin_of,
    tags,
)

PAGE: Final = 1000
_DETACHED: Final = re.compile(r"d[0-9a-f]+", re.IGNORECASE)
"""The first segment below the origin, as some clients write it for what they detach."""


async def cancel(link: Link, id: str, *, value: Value, budget_ms: int) -> Promise:
    """Ask that the promise `id` end as cancelled, and return it as it is then: settled, or still pending.

    It may be asked again, and must be if it was interrupted (by a crash, an error, a cancellation): then it may
    have taken effect or not, and without the extension `cancel` in part.

    Args:
        link: the way to the server.
        id: the promise.
        value: who asks, and why; stored with the outcome.
        budget_ms: how long the worker may take to clean up (ms). Without the extension it gets no time.

    Raises:
        UsageError: it is a local invocation, which its task executes: only with that can it be cancelled.
        PromiseNotFoundError: there is no such promise.
        ServerUnreachableError: no server answered.
    """
    promise = promise_of(await link.ask(PromiseGet(id), origin=origin_of(id)), id)
    if not promise.is_pending:
        return promise
    if promise.tags.get(tags.SCOPE) == tags.LOCAL:
        raise UsageError(
            f"{id!r} is a local invocation, a part of {promise.tags.get(tags.BRANCH)!r}, and its function would "
            f"run on: cancel that one, or have its caller cancel this one (`handle.cancel()`)"
        )
    if not link.offers(extensions.CANCEL):
        return await _settle_subtree(link, promise, value)
    request = PromiseCancel(id, budget_ms, value)
    return promise_of(await link.ask(request, origin=origin_of(id)), id)


def check_budget(seconds: float) -> int:
    """Return a budget in milliseconds. Raises UsageError if it is no number of seconds."""
    if not is_number(seconds) or seconds <= 0:
        raise UsageError(f"budget={seconds!r}: a budget is a number of seconds greater than 0")
    return FOREVER_MS if seconds >= FOREVER_MS / 1000 else max(1, round(seconds * 1000))


async def _settle_subtree(link: Link, root: Promise, value: Value) -> Promise:
    below: list[str] = []
    waiting = deque([root])
    while waiting:
        promise = waiting.popleft()
        if tags.has_task(promise.tags):
            await _halt(link, promise.id)
        if _may_have_called(promise):
            children = await _called_by(link, promise.id)
            below.extend(child.id for child in children)
            waiting.extend(children)
    for id in reversed(below):
        await _settle(link, id, value)
    return await _settle(link, root.id, value)


def _may_have_called(promise: Promise) -> bool:
    """Tell whether code runs, or has run, in the name of the promise."""
    return tags.TARGET in promise.tags or promise.tags.get(tags.SCOPE) == tags.LOCAL


async def _called_by(link: Link, id: str) -> Sequence[Promise]:
    """Return the pending children of an invocation, without those that it detached."""
    children: list[Promise] = []
    cursor = None
    while True:
        search = PromiseSearch(PromiseState.PENDING, {tags.PARENT: id}, limit=PAGE, cursor=cursor)
        page = accepted(await link.ask(search, origin=origin_of(id)), PromisePage)
        others = (promise for promise in page.promises if promise.id != id)  # a root is its own parent
        children.extend(promise for promise in others if not _is_detached(promise))
        cursor = page.cursor
        if cursor is None:
            return children


def _is_detached(promise: Promise) -> bool:
    if promise.tags.get(tags.DETACHED) == "true":
        return True
    below = promise.id.removeprefix(tags.promise_origin(promise.id, promise.tags))
    return below != promise.id and _DETACHED.fullmatch(re.split(r"[:.]", below)[1]) is not None


async def _halt(link: Link, id: str) -> None:
    reply = await link.ask(TaskHalt(id), origin=origin_of(id))
    if reply.status not in {404, 409}:  # it never had a task, or that is fulfilled: nobody writes in its name
        accepted(reply, object)


async def _settle(link: Link, id: str, value: Value) -> Promise:
    request = PromiseSettle(id, PromiseState.CANCELED, value)
    return promise_of(await link.ask(request, origin=origin_of(id)), id)
