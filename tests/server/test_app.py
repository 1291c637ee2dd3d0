"""The HTTP interface: statuses, headers and bodies of everything but streams."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import orjson
import pytest
from anyio.lowlevel import checkpoint

from resonate_trio.protocol import PROTOCOL_VERSION, PromiseCreate
from server_ref.app import create_app
from server_ref.limits import Limits
from server_ref.store import StoreError

from .engine_kit import FAR, ProbedStore, an_engine, ask

pytestmark = pytest.mark.anyio

JSON = "application/json"
GET = {"kind": "promise.get", "head": {"corrId": "c1", "version": PROTOCOL_VERSION}, "data": {"id": "p"}}


@asynccontextmanager
async def a_client(store: ProbedStore | None = None, **options: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """Open an engine, and a client that talks to its application without a network."""
    async with an_engine(store) as engine:
        await ask(engine, PromiseCreate("p", FAR, {}))
        transport = httpx.ASGITransport(create_app(engine, **options))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            yield client


def check_error(answer: httpx.Response, status: int, *, kind: str = "", corr_id: str = "") -> str:
    """Check that an answer is an error in the form of a reply, and return its message."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == JSON
    reply = answer.json()
    head = {"corrId": corr_id, "status": status, "version": PROTOCOL_VERSION}
    assert (reply["kind"], reply["head"]) == (kind, head)
    assert isinstance(reply["data"], str)
    return reply["data"]


async def test_request_is_answered_with_the_reply_s_status() -> None:
    """A request is a POST of its envelope; the answer is the envelope of the reply."""
    async with a_client() as client:
        answer = await client.post("/", json=GET)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == JSON
    assert answer.json()["head"] == {"corrId": "c1", "status": 200, "version": PROTOCOL_VERSION}
    assert answer.json()["data"]["promise"]["id"] == "p"


async def test_refusal_has_its_status_and_its_message() -> None:
    """An error of the protocol is an answer of that status, with its message as data."""
    async with a_client() as client:
        answer = await client.post("/", json={**GET, "data": {"id": "none"}})
    check_error(answer, 404, kind="promise.get", corr_id="c1")


@pytest.mark.parametrize(
    ("body", "kind", "corr_id", "part"),
    [
        (b"no json", "", "", "JSON"),
        (b"[]", "", "", "object"),
        (orjson.dumps({**GET, "kind": "promise.eat"}), "promise.eat", "c1", "promise.eat"),
        (orjson.dumps({**GET, "data": {}}), "promise.get", "c1", "data.id"),
        (orjson.dumps({**GET, "head": {"version": "1"}}), "promise.get", "", "head.corrId"),
        (orjson.dumps({**GET, "head": {"corrId": "c1", "version": "1"}}), "promise.get", "c1", "head.version"),
    ],
    ids=["no json", "no object", "unknown kind", "missing field", "missing corrId", "unsupported version"],
)
async def test_malformed_request_is_refused_with_what_could_be_read(
    body: bytes, kind: str, corr_id: str, part: str
) -> None:
    """What is no request gets 400, says where it is wrong, and has kind and corrId as far as they are known."""
    async with a_client() as client:
        answer = await client.post("/", content=body)
    assert part in check_error(answer, 400, kind=kind, corr_id=corr_id)


async def test_body_at_the_limit_is_accepted() -> None:
    """The limit itself is not too large."""
    body = orjson.dumps(GET)
    async with a_client(limits=Limits(body_bytes=len(body))) as client:
        assert (await client.post("/", content=body)).status_code == 200


async def test_body_that_is_declared_too_large_is_refused() -> None:
    """A request that says it is too long is not read."""
    async with a_client(limits=Limits(body_bytes=10)) as client:
        assert "10 bytes" in check_error(await client.post("/", json=GET), 413)


async def test_body_that_turns_out_too_large_is_refused() -> None:
    """A body that comes in pieces is read up to the limit, even if it never ends."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await checkpoint()
        return {"type": "http.request", "body": b"12345", "more_body": True}

    async def send(part: Any) -> None:
        await checkpoint()
        sent.append(part)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    async with an_engine() as engine:
        with anyio.fail_after(5):
            await create_app(engine, limits=Limits(body_bytes=10))(scope, receive, send)
    assert sent[0]["status"] == 413


async def test_store_that_fails_is_a_503() -> None:
    """Nothing is acknowledged that is not stored."""
    store = ProbedStore()
    async with a_client(store) as client:
        store.failure = StoreError("the disk is full")
        check_error(await client.post("/", json=GET), 503, kind="promise.get", corr_id="c1")


async def test_health_is_ok_while_the_server_runs() -> None:
    """Liveness does not depend on the store."""
    store = ProbedStore()
    async with a_client(store) as client:
        store.failure = StoreError("the disk is full")
        assert (await client.get("/health")).status_code == 200


async def test_ready_follows_the_store() -> None:
    """Readiness is 200 while the store answers, else 503."""
    store = ProbedStore()
    async with a_client(store) as client:
        assert (await client.get("/ready")).status_code == 200
        store.failure = StoreError("the disk is full")
        check_error(await client.get("/ready"), 503)


@pytest.mark.parametrize("path", ["/promises", "/poll", "/health/x"])
async def test_unknown_path_says_what_there_is(path: str) -> None:
    """A path that does not exist is a 404 that names those that do."""
    async with a_client() as client:
        message = check_error(await client.get(path), 404)
    assert path in message
    assert "/poll/GROUP/PID" in message


@pytest.mark.parametrize("path", ["/poll/", "/poll/g", "/poll/g/", "/poll//p", "/poll/g/p/x", "/poll/g/%ff"])
async def test_poll_needs_group_and_pid(path: str) -> None:
    """A poll that does not name both, or not in UTF-8, is a 404 that says what is expected."""
    async with a_client() as client:
        assert "/poll/GROUP/PID" in check_error(await client.get(path), 404)


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/health"), ("POST", "/poll/g/p")])
async def test_wrong_method_is_refused(method: str, path: str) -> None:
    """A path that exists, but not with this method, is a 405."""
    async with a_client() as client:
        check_error(await client.request(method, path), 405)


async def test_poll_is_no_head() -> None:
    """Asking for the headers of a stream opens none."""
    async with a_client() as client:
        assert (await client.head("/poll/g/p")).status_code == 405


async def test_bug_is_a_500(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the application is answered in the form of every other error."""

    def broken(_: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("server_ref.posts.decode_request", broken)
    async with an_engine() as engine:
        transport = httpx.ASGITransport(create_app(engine), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            check_error(await client.post("/", json=GET), 500)


async def test_reply_is_what_published_clients_accept() -> None:
    """They check that kind and corrId are echoed, and that version and status are there with the right types."""
    async with a_client() as client:
        reply = (await client.post("/", json=GET)).json()
    assert (reply["kind"], reply["head"]["corrId"]) == ("promise.get", "c1")
    assert isinstance(reply["head"]["status"], int)
    assert isinstance(reply["head"]["version"], str)
    promise = reply["data"]["promise"]
    assert promise.keys() == {"id", "state", "param", "value", "tags", "timeoutAt", "createdAt"}
    assert (promise["param"], promise["value"], promise["tags"]) == ({}, {}, {})
