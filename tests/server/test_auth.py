"""Tokens at the HTTP interface: where they are taken from, what needs an admin, and that none reaches a log."""

import logging
from typing import Any

import orjson
import pytest

from resonate_trio.protocol import (
    DebugReset,
    DebugSnap,
    DebugStart,
    DebugStop,
    DebugTick,
    Envelope,
    Head,
    PromiseGet,
    Request,
    TaskCreate,
    encode_request,
)
from server_ref.auth import TokenVerifier, VerifyingKey

from .auth_kit import a_door, a_key, a_token, claims, inner
from .engine_kit import FAR, ask, create

pytestmark = pytest.mark.anyio

TARGET = "poll://any@g"

# --- Authentication -------------------------------------------------------------------------------


async def test_token_is_taken_from_the_head_or_from_the_header() -> None:
    """Both ways are as good; the one in the head comes first."""
    good, bad = a_token(), a_token(number=1)
    async with a_door() as door:
        assert (await door.ask(create("p"), good)).status_code == 200
        assert (await door.ask(create("p"), bearer=good)).status_code == 200
        assert (await door.ask(create("p"), good, bearer=bad)).status_code == 200
        assert (await door.ask(create("p"), bad, bearer=good)).status_code == 401


@pytest.mark.parametrize("header", ["Basic eDp5", "Bearer", "Bearer ", "bearer x", "", "Token x", "Bearer  "])
async def test_header_that_holds_no_token_is_a_401(header: str) -> None:
    """Other schemes are not understood."""
    async with a_door() as door:
        answer = await door.client.post(
            "/", content=encode_request(inner(create("p"))), headers={"authorization": header}
        )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_scheme_is_read_in_any_case() -> None:
    """As HTTP demands."""
    async with a_door() as door:
        answer = await door.client.post(
            "/", content=encode_request(inner(create("p"))), headers={"authorization": f"bEARER   {a_token()} "}
        )
    assert answer.status_code == 200


async def test_request_without_a_token_is_a_401_that_changes_nothing() -> None:
    """The answer has the form of every other: clients recognise their request in it."""
    async with a_door() as door:
        answer = await door.ask(create("p"))
        assert answer.json()["kind"] == "promise.create"
        assert answer.json()["head"] == {"corrId": "c", "status": 401, "version": "2026-04-01"}
        assert (await ask(door.engine, PromiseGet("p"))).status == 404


async def test_malformed_request_is_a_400_with_or_without_a_token() -> None:
    """Whoever sends no JSON is told so."""
    async with a_door() as door:
        assert (await door.client.post("/", content=b"no json")).status_code == 400


async def test_poll_without_a_token_is_a_401() -> None:
    """In the form of every other error; a poll has no head, so its token is in the header."""
    async with a_door() as door:
        assert (await door.client.get("/poll/g/a")).status_code == 401
        answer = await door.client.get("/poll/g/a", headers={"authorization": f"Bearer {a_token(number=1)}"})
    assert answer.status_code == 401
    assert answer.json()["head"]["status"] == 401


async def test_health_and_readiness_are_open() -> None:
    """Who watches a server needs no token."""
    async with a_door() as door:
        assert (await door.client.get("/health")).status_code == 200
        assert (await door.client.get("/ready")).status_code == 200


async def test_tokens_of_inner_requests_mean_nothing() -> None:
    """The outer token counts, whatever those inside are."""
    request = TaskCreate("w", 1000, Envelope(Head("i", auth=a_token(role="admin")), create("t", target=TARGET)))
    async with a_door() as door:
        assert (await door.ask(request)).status_code == 401
        assert (await door.ask(request, a_token(prefix="other"))).status_code == 403
        assert (await door.ask(request, a_token(prefix="t"))).status_code == 200


# --- Debug ----------------------------------------------------------------------------------------

DEBUG = [DebugStart(), DebugStop(), DebugReset(), DebugTick(1), DebugSnap()]


@pytest.mark.parametrize("request_", DEBUG, ids=lambda request: request.kind)
async def test_debug_needs_an_admin(request_: Request) -> None:
    """Any other token gets a 403, limited by a prefix or not."""
    async with a_door(debug=True) as door:
        assert (await door.ask(request_, a_token())).status_code == 403
        assert (await door.ask(request_, a_token(prefix=""))).status_code == 403
        assert (await door.ask(request_, a_token(role="user"))).status_code == 403
        assert (await door.ask(request_, a_token(role="admin"))).status_code == 200


async def test_admin_needs_debug_mode() -> None:
    """A token does not switch it on."""
    async with a_door() as door:
        assert (await door.ask(DebugSnap(), a_token(role="admin"))).status_code == 403


async def test_debug_time_is_an_admin_s() -> None:
    """Who is none goes by the server's clock."""
    async with a_door(debug=True) as door:
        await ask(door.engine, create("p"))
        shown = await door.ask(PromiseGet("p"), a_token(), debug_time=FAR)
        assert shown.json()["data"]["promise"]["state"] == "pending"
        shown = await door.ask(PromiseGet("p"), a_token(role="admin"), debug_time=FAR)
        assert shown.json()["data"]["promise"]["state"] == "rejected_timedout"


# --- Logs -----------------------------------------------------------------------------------------


async def test_no_token_reaches_a_log_or_an_answer(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any level, accepted or refused, from head or header, within a request, and when the server fails."""
    caplog.set_level(logging.DEBUG)
    good, expired, foreign = a_token(prefix="a"), a_token(exp=1), a_token(number=1)
    shown = []
    async with a_door() as door:
        for token in (good, expired, foreign, "x" + good):
            for request in (create("a"), create("b"), DebugSnap()):
                answers = [await door.ask(request, token), await door.ask(request, bearer=token)]
                shown += [answer.text for answer in answers]
            nested = TaskCreate("w", 1000, Envelope(Head("i", auth=token), create("a-1", target=TARGET)))
            shown.append((await door.ask(nested, token)).text)
            body = orjson.loads(encode_request(Envelope(Head("c", auth=token), create("a"))))
            shown.append((await door.client.post("/", json={**body, "data": {"id": []}})).text)

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("server_ref.engine._turn.perform", broken)
        shown.append((await door.ask(create("a-9"), good)).text)
    for text in (caplog.text, *shown):
        for token in (good, expired, foreign):
            assert token not in text
            assert token.rpartition(".")[2] not in text
    assert "ZeroDivisionError" in caplog.text


def test_rights_are_not_shown_with_their_token() -> None:
    """What is kept of a token does not print it."""
    public: Any = a_key("ed25519").public_key()
    verifier = TokenVerifier([VerifyingKey(public, ("EdDSA",))])
    token = a_token()
    rights = verifier.rights_of(token)
    assert token not in repr(verifier) + repr(rights) + repr(Head("c", auth=token)) + repr(claims())
