"""Requests that are ready together travel together."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self, final

import pytest
import trio
import trio.testing

from resonate_trio._sources import Source, Terms
from resonate_trio._transport import BatchingTransport, Unreachable
from resonate_trio.protocol import (
    Batch,
    BatchReply,
    Envelope,
    Head,
    PromiseGet,
    Reply,
    ReplyHead,
    Request,
    extensions,
)
from server_ref.clock import LoopClock

if TYPE_CHECKING:
    from resonate_trio._clock import Clock

pytestmark = pytest.mark.trio


@final
class Recorder:
    """A transport that answers everything with 404, when it is let, and notes what travelled together."""

    name: str = "the recorder"
    shares_fate: bool = False

    def __init__(self) -> None:
        self.clock: Clock = LoopClock(0)
        self.extensions: frozenset[str] = frozenset({extensions.BATCH})
        self.sent: list[list[str]] = []
        self.gate = trio.Event()
        self.batch_status = 200

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    def source(self, group: str, pid: str, terms: Terms | None = None) -> Source:
        """Have none."""
        raise AssertionError

    async def send(self, request: Envelope[Request]) -> Reply:
        """Note the ids of a request, and answer it."""
        inner = request.data.requests if isinstance(request.data, Batch) else [request]
        self.sent.append([each.data.id for each in inner])  # type: ignore[attr-defined]
        await self.gate.wait()
        if self.batch_status == 0:
            raise Unreachable("the line is cut")
        if isinstance(request.data, Batch) and self.batch_status != 200:
            return Reply(Batch.kind, ReplyHead(request.head.corr_id, self.batch_status), "no")
        if isinstance(request.data, Batch):
            return Reply(Batch.kind, ReplyHead(request.head.corr_id, 200), BatchReply([_answer(e) for e in inner]))
        return _answer(request)


def _answer(request: Envelope[Request] | Reply) -> Reply:
    assert isinstance(request, Envelope)
    return Reply(request.kind, ReplyHead(request.head.corr_id, 404), "no")


def get(id: str) -> Envelope[Request]:
    """Return a request that can be told by its id."""
    return Envelope(Head(id), PromiseGet(id))


async def ask(recorder: Recorder, ids: str) -> Sequence[str]:
    """Ask one after the other, while nothing is answered; return who has got an answer of his own."""
    answered: list[str] = []

    async def one(transport: BatchingTransport, id: str) -> None:
        try:
            answered.append((await transport.send(get(id))).head.corr_id)
        except Unreachable:
            answered.append("-")

    async with BatchingTransport(recorder) as transport, trio.open_nursery() as nursery:
        for id in ids:
            nursery.start_soon(one, transport, id)
            await trio.testing.wait_all_tasks_blocked()
        recorder.gate.set()
    return sorted(answered)


async def test_lone_request_leaves_as_it_is() -> None:
    """Nobody is waited for."""
    recorder = Recorder()
    assert await ask(recorder, "a") == ["a"]
    assert recorder.sent == [["a"]]


async def test_what_gathers_while_two_are_under_way_travels_as_one() -> None:
    """Everybody gets the reply to his own request."""
    recorder = Recorder()
    assert await ask(recorder, "abcdef") == list("abcdef")
    assert recorder.sent == [["a"], ["b"], ["c", "d", "e", "f"]]


async def test_without_the_extension_each_travels_for_itself() -> None:
    """At once, however many there are."""
    recorder = Recorder()
    recorder.extensions = frozenset()
    assert await ask(recorder, "abc") == list("abc")
    assert recorder.sent == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize("status", [400, 413, 501])
async def test_batch_that_is_refused_as_such_is_sent_one_by_one(status: int) -> None:
    """Too large, say, for this server."""
    recorder = Recorder()
    recorder.batch_status = status
    assert await ask(recorder, "abcd") == list("abcd")
    assert recorder.sent == [["a"], ["b"], ["c", "d"], ["c"], ["d"]]


@pytest.mark.parametrize("status", [400, 413, 501])
async def test_lone_batch_that_is_refused_as_such_is_sent_one_by_one(status: int) -> None:
    """Its caller does not see the difference."""
    recorder = Recorder()
    recorder.batch_status = status
    recorder.gate.set()
    async with BatchingTransport(recorder) as transport:
        reply = await transport.send(Envelope(Head("all"), Batch([get("a"), get("b")])))  # type: ignore[list-item]
    assert (reply.head.corr_id, reply.status) == ("all", 200)
    assert isinstance(reply.data, BatchReply)
    assert [inner.head.corr_id for inner in reply.data.responses] == ["a", "b"]
    assert recorder.sent == [["a", "b"], ["a"], ["b"]]


async def test_line_that_is_cut_is_told_to_everybody() -> None:
    """Each decides for himself whether to try again."""
    recorder = Recorder()
    recorder.batch_status = 0
    assert await ask(recorder, "abcd") == ["-", "-", "-", "-"]


async def test_caller_that_gives_up_leaves_the_others_alone() -> None:
    """What waited behind a request that is cancelled is sent."""
    recorder = Recorder()
    async with BatchingTransport(recorder) as transport, trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(transport.send, get("b"))
            nursery.start_soon(trio.lowlevel.checkpoint)
            scope.cancel()
            await transport.send(get("a"))
        assert scope.cancelled_caught
        recorder.gate.set()
    assert ["b"] in recorder.sent
