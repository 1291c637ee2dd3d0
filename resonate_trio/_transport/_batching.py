"""Requests that are ready together travel together, as one batch.

A lone request leaves at once, as it is. While as many requests are under way as may be, the others gather, so the
more is going on, the fewer round trips (and commits of the server) each of them costs.
"""

import itertools
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Self, final

import anyio
import anyio.lowlevel

from resonate_trio._services import open_services
from resonate_trio._sources import Source, Terms
from resonate_trio.protocol import Batch, BatchReply, Envelope, Head, Reply, ReplyHead, Request, extensions

from ._base import Transport, Unreachable

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

MAX_BATCH: Final = 256
"""How many requests travel together; one that is a batch itself is not divided."""
MAX_UNDER_WAY: Final = 2
"""How many batches are under way at a time: one is performed while the next is written."""
GATHERING_TICKS: Final = 3
"""For how many turns of the event loop a batch waits for others that are ready at the same time."""
NOT_AS_A_BATCH: Final = frozenset({400, 413, 501})
"""Statuses that may concern the batch as such: its requests are sent one by one."""


@final
class _Call:
    """Requests that belong together, and the one who waits for their replies."""

    def __init__(self, requests: Sequence[Envelope[Request]]) -> None:
        self.requests = requests
        self.is_done = anyio.Event()
        self._replies: Sequence[Reply] = ()
        self._error: Exception | None = None

    def answer(self, replies: Sequence[Reply]) -> None:
        """Wake the caller with its replies."""
        self._replies = replies
        self.is_done.set()

    def fail(self, error: Exception) -> None:
        """Wake the caller with an error."""
        self._error = error
        self.is_done.set()

    async def replies(self) -> Sequence[Reply]:
        """Wait for the replies. Raises what the transport has raised."""
        await self.is_done.wait()
        if self._error is not None:
            raise self._error
        return self._replies


@final
class BatchingTransport:
    """A transport over another one, to a server that takes batches; to any other it changes nothing."""

    def __init__(self, transport: Transport) -> None:
        self.name = transport.name
        self.clock = transport.clock
        self.shares_fate = transport.shares_fate
        self._transport = transport
        self._queue: deque[_Call] = deque()
        self._under_way = 0
        self._numbers = itertools.count(1)
        self._tasks: TaskGroup | None = None
        self._exit = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<BatchingTransport over {self._transport!r}>"

    @property
    def extensions(self) -> frozenset[str]:
        """The extensions of the protocol that the server offers."""
        return self._transport.extensions

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._transport)
            self._tasks = await stack.enter_async_context(open_services())
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._tasks = None
        await self._exit.__aexit__(*exc)  # type: ignore[arg-type]

    def source(self, group: str, pid: str, terms: Terms | None = None) -> Source:
        """Return the source of messages for this process."""
        return self._transport.source(group, pid, terms)

    async def send(self, request: Envelope[Request]) -> Reply:
        """Send one request, together with others that are ready; wait for the reply. Raises Unreachable.

        A caller that is cancelled does not wait any longer; its request may travel nevertheless.
        """
        if self._tasks is None:
            raise RuntimeError(f"{self!r} is not open")
        if extensions.BATCH not in self.extensions:
            return await self._transport.send(request)
        if not self._under_way:
            return await self._send_alone(request)
        call = _Call(_parts(request))
        self._queue.append(call)
        self._start_sending()
        return _reply_to(request, await call.replies())

    async def _send_alone(self, request: Envelope[Request]) -> Reply:
        """Send a lone request, in the caller's task, which costs least."""
        self._under_way += 1
        try:
            reply = await self._transport.send(request)
        finally:
            self._under_way -= 1
            self._start_sending()
        if isinstance(request.data, Batch) and reply.status in NOT_AS_A_BATCH:
            return _reply_to(request, await self._send_one_by_one(_parts(request)))
        return reply

    def _start_sending(self) -> None:
        if self._queue and self._under_way < MAX_UNDER_WAY and self._tasks is not None:
            self._under_way += 1
            self._tasks.start_soon(self._send_queued)

    async def _send_queued(self) -> None:
        try:
            while self._queue:
                await self._gather()
                calls = self._next_calls()
                if calls:
                    await self._send_together(calls)
        finally:
            self._under_way -= 1

    async def _gather(self) -> None:
        """Let those add their requests that are ready as well."""
        for _ in range(GATHERING_TICKS):
            before = len(self._queue)
            await anyio.lowlevel.checkpoint()
            if len(self._queue) == before:
                return

    def _next_calls(self) -> list[_Call]:
        calls: list[_Call] = []
        room = MAX_BATCH
        while self._queue and (not calls or len(self._queue[0].requests) <= room):
            calls.append(self._queue.popleft())
            room -= len(calls[-1].requests)
        return calls

    async def _send_together(self, calls: Sequence[_Call]) -> None:
        requests = [request for call in calls for request in call.requests]
        try:
            replies = iter(await self._perform(requests))
        except Exception as error:  # each caller decides for itself whether to try again
            for call in calls:
                call.fail(_copied(error))
        else:
            for call in calls:
                call.answer(list(itertools.islice(replies, len(call.requests))))

    async def _perform(self, requests: Sequence[Envelope[Request]]) -> Sequence[Reply]:
        if len(requests) == 1:
            return [await self._transport.send(requests[0])]
        head = Head(f"batch-{next(self._numbers)}", auth=requests[0].head.auth)
        reply = await self._transport.send(Envelope(head, Batch(requests)))  # type: ignore[arg-type]
        if isinstance(reply.data, BatchReply):
            return reply.data.responses
        if reply.status in NOT_AS_A_BATCH:
            return await self._send_one_by_one(requests)
        return [
            Reply(request.kind, ReplyHead(request.head.corr_id, reply.status), reply.data) for request in requests
        ]

    async def _send_one_by_one(self, requests: Sequence[Envelope[Request]]) -> Sequence[Reply]:
        return [await self._transport.send(request) for request in requests]


def _parts(request: Envelope[Request]) -> Sequence[Envelope[Request]]:
    """Return the requests of a batch, or one that is none as it is."""
    parts = request.data.requests if isinstance(request.data, Batch) else [request]
    return [part for part in parts if isinstance(part, Envelope)]


def _reply_to(request: Envelope[Request], replies: Sequence[Reply]) -> Reply:
    """Return the reply to a request, given those to its parts."""
    if isinstance(request.data, Batch):
        return Reply(Batch.kind, ReplyHead(request.head.corr_id, 200), BatchReply(replies))
    return replies[0]


def _copied(error: Exception) -> Exception:
    """Return an error for one of several callers: one object, raised in all, would gather their tracebacks."""
    if isinstance(error, Unreachable):
        copy = Unreachable(*error.args)
        copy.__cause__ = error.__cause__
        return copy
    return error
