"""What a token allows: the ids that each may touch, find, and hear of."""

from typing import Any

import anyio
import pytest

from resonate_trio.protocol import (
    DebugSnap,
    PromiseGet,
    PromiseRegisterCallback,
    PromiseRegisterListener,
    PromiseSearch,
    PromiseSettle,
    PromiseState,
    Request,
    ScheduleCreate,
    ScheduleDelete,
    ScheduleGet,
    ScheduleSearch,
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskSearch,
    TaskSuspend,
)
from server_ref.app import create_app
from server_ref.rights import Rights

from .auth_kit import a_door, a_token, inner
from .engine_kit import an_engine, ask, create, waits

pytestmark = pytest.mark.anyio

TARGET = "poll://any@g"
RESOLVED = PromiseState.RESOLVED


# --- Prefixes -------------------------------------------------------------------------------------

OUR, THEIR = "a-1", "b-1"


def requests_about(id: str) -> list[Request]:
    """Return requests that are about one id."""
    task = create(id, target=TARGET)
    return [
        PromiseGet(id),
        create(id),
        PromiseSettle(id, RESOLVED),
        PromiseRegisterListener(id, TARGET),
        TaskGet(id),
        TaskCreate("w", 1000, inner(task)),
        TaskAcquire(id, 0, "w", 1000),
        TaskRelease(id, 1),
        TaskHalt(id),
        TaskContinue(id),
        ScheduleGet(id),
        ScheduleDelete(id),
    ]


def requests_that_mix() -> list[Request]:
    """Return requests that name one of our ids, and one that is not ours at a place of its own."""
    return [
        PromiseRegisterCallback(OUR, THEIR),
        PromiseRegisterCallback(THEIR, OUR),
        TaskFence(OUR, 1, inner(create(THEIR))),
        TaskFence(THEIR, 1, inner(create(OUR))),
        TaskFence(OUR, 1, inner(PromiseSettle(THEIR, RESOLVED))),
        TaskHeartbeat("w", [TaskRef(OUR, 1), TaskRef(THEIR, 1)]),
        TaskSuspend(
            OUR, 1, [inner(PromiseRegisterCallback(OUR, OUR)), inner(PromiseRegisterCallback(THEIR, OUR))]
        ),
        TaskSuspend(OUR, 1, [inner(PromiseRegisterCallback(OUR, THEIR))]),
        TaskSuspend(THEIR, 1, [inner(PromiseRegisterCallback(OUR, OUR))]),
        TaskFulfill(OUR, 1, inner(PromiseSettle(THEIR, RESOLVED))),
        TaskFulfill(THEIR, 1, inner(PromiseSettle(OUR, RESOLVED))),
        ScheduleCreate(OUR, "* * * * *", THEIR, 1, {"resonate:target": TARGET}),
        ScheduleCreate(OUR, "* * * * *", "{{.timestamp}}", 1, {"resonate:target": TARGET}),
        ScheduleCreate(THEIR, "* * * * *", OUR, 1, {"resonate:target": TARGET}),
        ScheduleCreate(THEIR, "* * * * *", "{{.id}}", 1, {"resonate:target": TARGET}),
    ]


FOREIGN = requests_about(THEIR) + requests_that_mix()


@pytest.mark.parametrize("request_", FOREIGN, ids=[f"{n} {request.kind}" for n, request in enumerate(FOREIGN)])
async def test_request_about_a_foreign_id_is_a_403(request_: Request) -> None:
    """Wherever the id is; it exists or not, which is not told; and nothing has changed."""
    async with a_door(debug=True) as door:
        await ask(door.engine, create(THEIR, target=TARGET))
        before = await ask(door.engine, DebugSnap())
        answer = await door.ask(request_, a_token(prefix="a-"))
        assert answer.status_code == 403
        assert "does not begin with the token's prefix 'a-'" in answer.json()["data"]
        assert (await ask(door.engine, DebugSnap())).data == before.data


@pytest.mark.parametrize("request_", requests_about(OUR), ids=lambda request: request.kind)
async def test_request_about_an_own_id_is_performed(request_: Request) -> None:
    """Within the prefix a token allows all."""
    async with a_door() as door:
        assert (await door.ask(request_, a_token(prefix="a-"))).status_code not in {401, 403}


@pytest.mark.parametrize("prefix", ["a-1", "a-", "a", ""])
async def test_prefix_is_compared_as_text(prefix: str) -> None:
    """It needs no separator at its end, nor regards one."""
    async with a_door() as door:
        assert (await door.ask(create("a-1:2"), a_token(prefix=prefix))).status_code == 200


@pytest.mark.parametrize("template", ["a-{{.timestamp}}", "{{.id}}", "{{.id}}.{{.timestamp}}"])
async def test_template_within_the_prefix_is_accepted(template: str) -> None:
    """All ids that it can give begin with the prefix."""
    schedule = ScheduleCreate(OUR, "* * * * *", template, 1, {"resonate:target": TARGET})
    async with a_door() as door:
        assert (await door.ask(schedule, a_token(prefix="a-"))).status_code == 200


async def test_searches_find_what_is_within_the_prefix() -> None:
    """All of it, page by page, and nothing else: no id of others is shown, not even as a cursor."""
    ids = ["a", "a,", "a-", "a-1", "a-2", "a-3", "a-\U0010ffff", "a.", "b-1"]
    async with a_door() as door:
        for id in ids:
            await ask(door.engine, create(id, target=TARGET))
            await ask(door.engine, ScheduleCreate(id, "* * * * *", "x", 1, {"resonate:target": TARGET}))
        ours = [id for id in ids if id.startswith("a-")]
        for limit in (1, 2, 5, 100):
            for search in (PromiseSearch(limit=limit), TaskSearch(limit=limit), ScheduleSearch(limit=limit)):
                assert await door.ids(search, a_token(prefix="a-")) == ours
                assert await door.ids(search, a_token()) == ids


async def test_search_is_narrowed_by_both_prefixes() -> None:
    """That of the request and that of the token: if none is within the other, it is a 403."""
    async with a_door() as door:
        for id in ("a-1", "a-2", "b-1"):
            await ask(door.engine, create(id))
        token = a_token(prefix="a-")
        assert await door.ids(PromiseSearch(prefix="a-2"), token) == ["a-2"]
        assert await door.ids(PromiseSearch(prefix="a"), token) == ["a-1", "a-2"]
        assert (await door.ask(PromiseSearch(prefix="b"), token)).status_code == 403


async def test_search_by_foreign_tags_or_cursor_finds_nothing_foreign() -> None:
    """Whatever is asked for, what is found begins with the prefix."""
    async with a_door() as door:
        await ask(door.engine, create("a-1", origin="a-1"))
        await ask(door.engine, create("b-1", origin="b-1"))
        token = a_token(prefix="a-")
        assert await door.ids(PromiseSearch(tags={"resonate:origin": "b-1"}), token) == []
        assert await door.ids(PromiseSearch(cursor="b"), token) == []
        assert await door.ids(PromiseSearch(cursor="0"), token) == ["a-1"]


async def test_promises_sent_ahead_are_within_the_prefix() -> None:
    """A prefix that is longer than a branch shows a part of it."""
    async with a_door() as door:
        for id in ("r", "r:1", "r:2", "r:2.1"):
            await ask(door.engine, create(id, target=TARGET, branch="r"))
        acquire = TaskAcquire("r:2", 0, "w", 60_000)
        data = (await door.ask(acquire, a_token(prefix="r:2"))).json()["data"]
        assert [promise["id"] for promise in data["preload"]] == ["r:2.1"]
        fence = TaskFence("r:2", 1, inner(create("r:2.2")))
        data = (await door.ask(fence, a_token(prefix="r:2"))).json()["data"]
        assert [promise["id"] for promise in data["preload"]] == ["r:2.1"]
        await ask(door.engine, PromiseSettle("r:2.1", RESOLVED))
        suspend = TaskSuspend("r:2", 1, [inner(PromiseRegisterCallback("r:2.1", "r:2"))])
        answer = await door.ask(suspend, a_token(prefix="r:2"))
        assert answer.status_code == 300
        assert [promise["id"] for promise in answer.json()["data"]["preload"]] == ["r:2.1"]


async def test_worker_gets_messages_within_its_prefix() -> None:
    """Workers of one group, with different tokens, each get what they may acquire."""
    async with an_engine() as engine, engine.connect("g", "a", prefix="a-") as ours:
        await ask(engine, create("b-1", target=TARGET))
        await ask(engine, create("b-2", target="poll://uni@g/a"))
        await ask(engine, create("a-1", target=TARGET))
        assert getattr(await anext(ours), "id", None) == "a-1"
        async with engine.connect("g", "b", prefix="b-") as theirs:
            assert getattr(await anext(theirs), "id", None) == "b-1"


async def test_notice_goes_to_who_may_see_it() -> None:
    """The promise in a notice is shown to no worker that could not read it."""
    async with an_engine() as engine, engine.connect("g", "a", prefix="a-") as ours:
        for id in ("b-1", "a-1"):
            await ask(engine, create(id))
            await ask(engine, PromiseRegisterListener(id, "poll://any@g/a"))
            await ask(engine, PromiseSettle(id, RESOLVED))
        message: Any = await anext(ours)
        assert message.promise.id == "a-1"


@waits
async def test_stream_ends_when_its_token_expires() -> None:
    """A worker that has lost its rights gets no further messages."""
    async with an_engine() as engine:
        rights = Rights(expires_at=engine.clock.now_ms() / 1000 + 90)
        app = create_app(engine, rights_of=lambda _: rights)
        sent: list[Any] = []

        async def send(part: Any) -> None:
            await anyio.lowlevel.checkpoint()
            sent.append(part)

        async def receive() -> Any:
            await anyio.sleep_forever()

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "headers": [],
            "query_string": b"",
            "path": "/poll/g/a",
            "raw_path": b"/poll/g/a",
        }
        began = anyio.current_time()
        await app(scope, receive, send)
        assert anyio.current_time() - began == 90
    assert sent[0]["status"] == 200
    assert sent[-1]["more_body"] is False
