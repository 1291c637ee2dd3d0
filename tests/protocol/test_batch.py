"""Batches and tasks that come acquired, as they travel."""

import orjson
import pytest

from resonate_trio.protocol import (
    Acquired,
    Batch,
    BatchReply,
    Envelope,
    Execute,
    Head,
    Promise,
    PromiseGet,
    PromiseReply,
    PromiseState,
    ProtocolError,
    Reply,
    ReplyHead,
    Task,
    TaskState,
    decode_message,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    message_to_wire,
)

PROMISE = Promise("a", PromiseState.PENDING, 5, 1)
BATCH = Envelope(Head("b"), Batch([Envelope(Head("0"), PromiseGet("a")), Envelope(Head("1"), PromiseGet("b"))]))
FOUND = Reply("promise.get", ReplyHead("0", 200), PromiseReply(PROMISE))
MISSING = Reply("promise.get", ReplyHead("1", 404), "the promise 'b' does not exist")


def answer(*responses: Reply) -> Reply:
    """Return the reply to the batch."""
    return Reply("batch", ReplyHead("b", 200), BatchReply(list(responses)))


def test_batch_and_its_reply_survive_a_round_trip() -> None:
    """Refused requests within it included."""
    assert decode_request(encode_request(BATCH)) == BATCH
    reply = answer(FOUND, MISSING)
    assert decode_reply(encode_reply(reply), BATCH) == reply


def test_malformed_request_of_a_batch_is_read_as_its_refusal() -> None:
    """It spoils no other, and says what could be read of it."""
    wire = orjson.loads(encode_request(BATCH))
    wire["data"]["requests"].insert(1, {"kind": "promise.get", "head": {"corrId": "m"}, "data": {"id": "a"}})
    batch = decode_request(orjson.dumps(wire)).data
    assert isinstance(batch, Batch)
    malformed = Reply("promise.get", ReplyHead("m", 400), "missing field head.version")
    assert batch.requests == [BATCH.data.requests[0], malformed, BATCH.data.requests[1]]


@pytest.mark.parametrize("responses", [[FOUND], [MISSING, FOUND], [FOUND, MISSING, MISSING]], ids=len)
def test_reply_to_another_batch_is_none(responses: list[Reply]) -> None:
    """There is one response to each request, in order."""
    with pytest.raises(ProtocolError, match=r"batch of 2|another request"):
        decode_reply(encode_reply(answer(*responses)), BATCH)


def test_task_that_comes_acquired_survives_a_round_trip() -> None:
    """Its data is that of the reply to task.acquire; the version is that of the task."""
    task = Task("a", TaskState.ACQUIRED, 3, ttl=1000, pid="w", cancelled_at=7)
    message = Execute("a", 3, "http://s", 7, Acquired(task, PROMISE, [PROMISE]))
    wire = message_to_wire(message)
    assert decode_message(orjson.dumps(wire)) == message
    assert wire["data"]["promise"]["id"] == "a"  # type: ignore[index]
    assert wire["head"] == {"serverUrl": "http://s"}


def test_task_that_comes_acquired_and_is_malformed_is_refused() -> None:
    """As every message."""
    wire = {"kind": "execute", "head": {}, "data": {"task": {"id": "a", "version": 1}, "promise": {}}}
    with pytest.raises(ProtocolError, match="malformed"):
        decode_message(orjson.dumps(wire))
