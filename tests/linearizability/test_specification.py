"""Histories of the protocol that a server must never produce, and that the check of real ones would find."""

from collections.abc import Sequence

import pytest

from resonate_trio.protocol import PROTOCOL_VERSION
from tests.model.model import Model
from tests.model.shapes import Wire

from .checker import Call, NotLinearizableError, check
from .player import FAR_MS, TARGET
from .specification import DEBUG_TIME, ORIGIN, RETRY_INTERVAL_MS, ModelSpecification, Operation, by_origin

NOW = 1_000


def asked(kind: str, *, now: int = NOW, origin: str | None = "o", **data: object) -> Wire:
    """Write a request."""
    head: Wire = {"corrId": kind, "version": PROTOCOL_VERSION, DEBUG_TIME: now}
    return {"kind": kind, "head": head if origin is None else {**head, ORIGIN: origin}, "data": data}


CREATE = asked("promise.create", id="o", timeoutAt=FAR_MS, tags=TARGET)
GET = asked("promise.get", id="o")
GET_TASK = asked("task.get", id="o")
SETTLE = asked("promise.settle", id="o", state="resolved", value={"data": "mine"})
REJECT = asked("promise.settle", id="o", state="rejected", value={"data": "yours"})
ACQUIRE = asked("task.acquire", id="o", version=0, pid="a", ttl=100)
ACQUIRE_TOO = asked("task.acquire", id="o", version=0, pid="b", ttl=100)
RELEASE = asked("task.release", id="o", version=1)
FENCE = asked("task.fence", id="o", version=1, action=asked("promise.create", id="o:1", timeoutAt=FAR_MS, tags={}))


def answered(*requests: Wire) -> list[Operation]:
    """Return what a server answers to requests that come one after the other."""
    model = Model(RETRY_INTERVAL_MS)
    return [Operation(request, model.perform(request, request["head"][DEBUG_TIME])) for request in requests]


def last(*requests: Wire) -> Operation:
    """Return the last of requests that come one after the other."""
    return answered(*requests)[-1]


def one_by_one(operations: Sequence[Operation]) -> list[Call[Operation]]:
    """Return a history in which each operation returned before the next one was called."""
    return [Call(operation, 2 * place, 2 * place + 1) for place, operation in enumerate(operations)]


def at_once(operations: Sequence[Operation]) -> list[Call[Operation]]:
    """Return a history in which all operations were called before any returned."""
    return [Call(operation, place, 100 + place) for place, operation in enumerate(operations)]


def test_what_the_model_answers_is_accepted() -> None:
    """One by one, and also if everything was called at once, in whatever order it is written down."""
    operations = answered(CREATE, GET_TASK, ACQUIRE, FENCE, ACQUIRE_TOO, RELEASE, SETTLE, GET)
    assert check(one_by_one(operations), ModelSpecification()) == operations
    assert check(at_once(operations[::-1]), ModelSpecification())


BAD = {
    "two acquirers": [*answered(CREATE, ACQUIRE), last(CREATE, ACQUIRE_TOO)],
    "two outcomes": [*answered(CREATE, SETTLE), last(CREATE, REJECT)],
    "a promise that is created twice": [
        last(CREATE),
        last(asked("promise.create", id="o", timeoutAt=FAR_MS + 1, tags=TARGET)),
    ],
}
BAD_ONE_BY_ONE = {
    "a write through a fence that was lifted": [*answered(CREATE, ACQUIRE, RELEASE), last(CREATE, ACQUIRE, FENCE)],
    "a lost create": [last(CREATE), last(GET)],
    "a lost settle": [*answered(CREATE, SETTLE), last(CREATE, GET)],
    "a stale task": [*answered(CREATE, ACQUIRE), last(CREATE, GET_TASK)],
    "a version that goes back": [*answered(CREATE, ACQUIRE, RELEASE), last(CREATE, GET_TASK)],
    "a refused write that was done": [
        *answered(CREATE, FENCE),
        last(CREATE, ACQUIRE, FENCE, asked("promise.get", id="o:1")),
    ],
}


@pytest.mark.parametrize("operations", (BAD | BAD_ONE_BY_ONE).values(), ids=BAD | BAD_ONE_BY_ONE)
def test_contradiction_is_rejected(operations: list[Operation]) -> None:
    """No order of operations explains both of two facts that exclude each other."""
    with pytest.raises(NotLinearizableError):
        check(one_by_one(operations), ModelSpecification())


@pytest.mark.parametrize("operations", BAD.values(), ids=BAD)
def test_contradiction_is_rejected_whenever_it_was_called(operations: list[Operation]) -> None:
    """Nor does it help that everything was called at once."""
    with pytest.raises(NotLinearizableError):
        check(at_once(operations), ModelSpecification())


def test_request_without_reply_may_have_been_performed() -> None:
    """It explains what others saw, if something has to."""
    seen = last(CREATE, SETTLE, GET)
    history = [*one_by_one(answered(CREATE)), Call(Operation(SETTLE, None), 2, None), Call(seen, 3, 4)]
    assert [operation.request["kind"] for operation in check(history, ModelSpecification())] == [
        "promise.create",
        "promise.settle",
        "promise.get",
    ]


def test_request_without_reply_is_not_undone() -> None:
    """Once seen, it has happened."""
    settled, pending = last(CREATE, SETTLE, GET), last(CREATE, GET)
    lost = Call(Operation(SETTLE, None), 2, None)
    history = [*one_by_one(answered(CREATE)), lost, Call(settled, 3, 4), Call(pending, 5, 6)]
    with pytest.raises(NotLinearizableError):
        check(history, ModelSpecification())


def test_instants_decide_what_is_seen() -> None:
    """A promise is settled at its deadline, and a task is taken back by what is done at an instant."""
    mortal = asked("task.create", pid="a", ttl=100, action=CREATE)
    tick = asked("debug.tick", time=NOW + 100, origin=None)
    late = asked("task.acquire", id="o", version=1, pid="b", ttl=100, now=NOW + 100)
    operations = answered(mortal, tick, late)
    assert operations[-1].reply is not None
    assert operations[-1].reply["head"]["status"] == 200
    assert check(one_by_one(operations), ModelSpecification()) == operations
    with pytest.raises(NotLinearizableError):
        check(one_by_one([operations[0], operations[2]]), ModelSpecification())


def test_origins_are_checked_one_by_one() -> None:
    """Each with the ticks that came while it was looked at."""
    tick = Operation(asked("debug.tick", time=5, origin=None), None)
    ours, theirs = Operation(GET, None), Operation(asked("promise.get", id="p", origin="p"), None)
    history = [Call(tick, 0, 1), Call(ours, 2, 5), Call(tick, 3, 4), Call(theirs, 6, 9), Call(tick, 7, 8)]
    assert by_origin(history) == {"o": history[2:3] + history[1:2], "p": history[4:5] + history[3:4]}
