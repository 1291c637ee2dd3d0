"""Batches: many requests in one, each with its own outcome, all stored by one commit."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from typing import Any

import anyio
import httpx
import orjson
import pytest

from resonate_trio.protocol import (
    Batch,
    BatchedRequest,
    BatchReply,
    Envelope,
    Head,
    PromiseGet,
    PromiseSettle,
    PromiseState,
    Reply,
    ReplyHead,
    Request,
    TaskAcquire,
    TaskFence,
    TaskFulfill,
)
from server_ref.app import create_app
from server_ref.engine import Engine
from server_ref.limits import Limits
from server_ref.machine import Draft, Extensions, Outcome, Settings, perform
from server_ref.store import StoreError
from server_ref.trace import open_trace

from .auth_kit import a_door, a_token
from .engine_kit import ProbedStore, an_engine, ask, create, state_of

pytestmark = pytest.mark.anyio

RESOLVED = PromiseState.RESOLVED
TARGET = "poll://any@g"
REFUSED = Reply("promise.get", ReplyHead("x", 400), "no")
CREATE = {"id": "a", "timeoutAt": 2**60, "tags": {}}


def batch(*requests: BatchedRequest) -> Batch:
    """Put requests into a batch, numbered from 0."""
    return Batch([Envelope(Head(str(number)), request) for number, request in enumerate(requests)])


async def responses(engine: Engine, *requests: BatchedRequest) -> list[Reply]:
    """Have a batch performed, and return the replies in it."""
    reply = await ask(engine, batch(*requests))
    assert (reply.kind, reply.head.corr_id, reply.status) == ("batch", "c", 200)
    assert isinstance(reply.data, BatchReply)
    return list(reply.data.responses)


def wire(kind: str, data: object, corr_id: str = "i") -> dict[str, object]:
    """Return an envelope as it travels."""
    return {"kind": kind, "head": {"corrId": corr_id, "version": "2026-04-01"}, "data": data}


@asynccontextmanager
async def a_client(limits: Limits | None = None, **options: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """Open a server, and a client that needs no network."""
    async with an_engine(**options) as engine:
        transport = httpx.ASGITransport(create_app(engine, limits=limits or Limits()))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            yield client


async def post(client: httpx.AsyncClient, *inner: object) -> tuple[int, Any]:
    """Send a batch as it travels, and return the status and the data of the reply."""
    response = await client.post("/", content=orjson.dumps(wire("batch", {"requests": inner}, "b")))
    assert (response.json()["kind"], response.json()["head"]["corrId"]) == ("batch", "b")
    return response.status_code, response.json()["data"]


# --- Outcomes -------------------------------------------------------------------------------------


async def test_requests_of_a_batch_are_performed_in_order() -> None:
    """Each sees what those before it did, and has its own reply, with its kind and corrId."""
    async with an_engine() as engine:
        fence = TaskFence("t", 1, Envelope(Head("f"), create("t:1", origin="t", branch="t", parent="t")))
        fulfill = TaskFulfill("t", 1, Envelope(Head("f"), PromiseSettle("t", RESOLVED)))
        found = await responses(engine, create("t", target=TARGET), TaskAcquire("t", 0, "w", 1000), fence, fulfill)
    assert [reply.status for reply in found] == [200, 200, 200, 200]
    assert [reply.head.corr_id for reply in found] == ["0", "1", "2", "3"]
    assert [reply.kind for reply in found] == ["promise.create", "task.acquire", "task.fence", "task.fulfill"]


async def test_refused_request_leaves_the_others_of_its_batch_alone() -> None:
    """Those before it stay done, and those after it are done."""
    async with an_engine() as engine:
        found = await responses(engine, create("a"), PromiseGet("missing"), create("b"))
        assert [reply.status for reply in found] == [200, 404, 200]
        assert await state_of(engine, "a") is await state_of(engine, "b") is PromiseState.PENDING


async def test_batch_is_one_transaction() -> None:
    """However many requests it has, more than a turn takes of single ones too."""
    store = ProbedStore()
    async with an_engine(store) as engine:
        before = store.transactions
        found = await responses(engine, *(create(f"p{number}") for number in range(1_000)))
        assert store.transactions - before == 1
    assert {reply.status for reply in found} == {200}


async def test_empty_batch_has_no_responses() -> None:
    """It is no error."""
    async with an_engine() as engine:
        assert await responses(engine) == []


async def test_batches_and_single_requests_of_one_turn_get_their_own_replies() -> None:
    """What came in while a turn was committed is one turn, whatever it came in."""
    kept: dict[str, list[str]] = {}
    async with an_engine() as engine:

        async def send(name: str, request: Request) -> None:
            reply = await ask(engine, request)
            inner = reply.data.responses if isinstance(reply.data, BatchReply) else [reply]
            kept[name] = [one.data.promise.id for one in inner]  # type: ignore[attr-defined]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, "first", batch(create("a"), create("b")))
            tasks.start_soon(send, "single", create("c"))
            tasks.start_soon(send, "none", batch())
            tasks.start_soon(send, "last", batch(create("d")))
    assert kept == {"first": ["a", "b"], "single": ["c"], "none": [], "last": ["d"]}


async def test_failing_store_stores_nothing_of_a_batch() -> None:
    """Each request is answered with 503."""
    store = ProbedStore()
    async with an_engine(store) as engine:
        store.failure = StoreError("the disk is full")
        assert [reply.status for reply in await responses(engine, create("a"), create("b"))] == [503, 503]
        store.failure = None
        assert await state_of(engine, "a") is None


async def test_bug_in_one_request_of_a_batch_is_that_request_s_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets 500 and leaves nothing behind; the others of its batch, and of its turn, are stored."""

    def broken(request: Request, now: int, draft: Draft, extensions: Extensions) -> Outcome:
        outcome = perform(request, now, draft, extensions)
        if getattr(request, "id", "").startswith("bad"):
            raise ZeroDivisionError
        return outcome

    async with an_engine() as engine:
        with monkeypatch.context() as patch:
            patch.setattr("server_ref.engine._turn.perform", broken)
            found = await responses(engine, create("a"), create("bad1"), create("b"), create("bad2"))
        assert [reply.status for reply in found] == [200, 500, 200, 500]
        assert [reply.head.corr_id for reply in found] == ["0", "1", "2", "3"]
        assert await state_of(engine, "b") is PromiseState.PENDING
        assert await state_of(engine, "bad1") is None


async def test_batch_is_not_offered_without_its_extension() -> None:
    """It is answered with 501, and nothing of it is done; the header names what is offered."""
    async with an_engine(settings=Settings(extensions=frozenset())) as engine:
        assert (await ask(engine, batch(create("a")))).status == 501
        assert await state_of(engine, "a") is None
    async with a_client(settings=Settings(extensions=frozenset())) as client:
        assert (await post(client))[0] == 501
        assert "resonate-extensions" not in (await client.get("/health")).headers
    async with a_client(settings=Settings(extensions=frozenset({"lost", "batch"}))) as client:
        for response in (await client.get("/health"), await client.get("/nowhere"), await client.post("/")):
            assert response.headers["resonate-extensions"] == "batch, lost"


async def test_trace_has_a_line_for_each_request_of_a_batch(tmp_path: Any) -> None:
    """But none for one that was refused unread."""
    with closing(open_trace(tmp_path / "trace")) as trace:
        async with an_engine(trace=trace) as engine:
            await ask(engine, Batch([*batch(create("a"), PromiseGet("b")).requests, REFUSED]))
    lines = [orjson.loads(line) for line in (tmp_path / "trace").read_bytes().splitlines()]
    assert [(line["kind"], line["res"]["head"]["status"]) for line in lines] == [
        ("promise.create", 200),
        ("promise.get", 404),
    ]


# --- By HTTP --------------------------------------------------------------------------------------


async def test_malformed_request_of_a_batch_has_its_own_400() -> None:
    """At its place, with what could be read of kind and corrId, and what is wrong with it."""
    async with a_client() as client:
        status, data = await post(
            client, wire("promise.create", CREATE), wire("promise.get", {}, "m"), 17, wire("no", {}, "n")
        )
    assert status == 200
    ok, missing, number, unknown = data["responses"]
    assert ok["data"]["promise"]["id"] == "a"
    assert (missing["kind"], missing["head"]["corrId"], missing["head"]["status"]) == ("promise.get", "m", 400)
    assert missing["data"] == "missing field data.id"
    assert (number["kind"], number["head"]["status"]) == ("", 400)
    assert (unknown["head"]["corrId"], unknown["head"]["status"]) == ("n", 400)


@pytest.mark.parametrize("kind", ["batch", "debug.start", "debug.snap"])
async def test_batch_within_a_batch_and_debug_are_refused(kind: str) -> None:
    """In debug mode too: they are about more than their place in a batch."""
    async with a_client(debug=True) as client:
        _, data = await post(client, wire(kind, {"requests": []}))
    assert data["responses"] == [
        {**wire(kind, f"kind: {kind!r} cannot be part of a batch"), "head": data["responses"][0]["head"]}
    ]
    assert data["responses"][0]["head"]["status"] == 400


async def test_batch_without_a_list_of_requests_is_malformed() -> None:
    """That is an error of the whole."""
    async with a_client() as client:
        for data in (dict[str, object](), {"requests": 1}):
            assert (await client.post("/", content=orjson.dumps(wire("batch", data)))).status_code == 400


async def test_batch_of_too_many_requests_is_refused_as_a_whole() -> None:
    """With 413; as many as are allowed are performed."""
    async with a_client(Limits(batch=2)) as client:
        status, message = await post(client, *[wire("promise.create", CREATE)] * 3)
        assert (status, message) == (413, "data.requests: 3 requests, at most 2 are accepted")
        assert (await post(client, *[wire("promise.create", CREATE)] * 2))[0] == 200


async def test_limits_hold_for_each_request_of_a_batch() -> None:
    """What exceeds them is refused at its place."""
    async with a_client(Limits(tags=1)) as client:
        many = wire("promise.create", {**CREATE, "tags": {"a": "1", "b": "2"}})
        _, data = await post(client, many, wire("promise.create", CREATE))
    assert [one["head"]["status"] for one in data["responses"]] == [400, 200]


# --- Rights ---------------------------------------------------------------------------------------


async def test_token_of_a_batch_counts_for_all_its_requests() -> None:
    """What lies outside its rights is refused at its place; tokens within do not matter."""
    theirs = a_token(prefix="b-")
    async with a_door() as door:
        request = Batch([Envelope(Head("0", auth=theirs), PromiseGet("b-1")), *batch(create("a-1")).requests])
        assert (await door.ask(request)).status_code == 401
        reply = await door.ask(request, a_token(prefix="a-"))
    assert reply.status_code == 200
    assert [one["head"]["status"] for one in reply.json()["data"]["responses"]] == [403, 200]


async def test_batch_shows_no_promises_that_its_token_may_not_see() -> None:
    """What replies within it send ahead is filtered as that of a single reply."""
    async with a_door() as door:
        for id in ("r", "r:1", "r:2", "r:2.1"):
            await ask(door.engine, create(id, target=TARGET, branch="r"))
        reply = await door.ask(batch(TaskAcquire("r:2", 0, "w", 60_000)), a_token(prefix="r:2"))
    (acquired,) = reply.json()["data"]["responses"]
    assert [promise["id"] for promise in acquired["data"]["preload"]] == ["r:2.1"]
