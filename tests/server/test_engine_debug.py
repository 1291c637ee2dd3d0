"""Debug mode: time at will, and a look inside."""

import anyio
import pytest

from resonate_trio.protocol import (
    DebugReset,
    DebugSnap,
    DebugStart,
    DebugStop,
    DebugTick,
    Empty,
    PromiseReply,
    PromiseState,
    Request,
    Snapshot,
    encode_reply,
)
from server_ref.clock import LoopClock
from server_ref.machine import Settings

from .engine_kit import EPOCH_MS, SettableClock, an_engine, ask, create, state_of, waits

pytestmark = pytest.mark.anyio

DEBUG_REQUESTS = [DebugStart(), DebugStop(), DebugReset(), DebugTick(1), DebugSnap()]


@pytest.mark.parametrize("request_", DEBUG_REQUESTS, ids=lambda request: request.kind)
async def test_debug_requests_need_debug_mode(request_: Request) -> None:
    """Without it each of them is refused, says how to get it, and does nothing."""
    async with an_engine() as engine:
        await ask(engine, create("p"))
        reply = await ask(engine, request_)
        assert (reply.status, await state_of(engine, "p")) == (403, PromiseState.PENDING)
    assert "--debug" in str(reply.data)


@pytest.mark.parametrize("request_", DEBUG_REQUESTS, ids=lambda request: request.kind)
async def test_debug_requests_are_performed_in_debug_mode(request_: Request) -> None:
    """With it each of them succeeds, and its reply can be written."""
    async with an_engine(debug=True) as engine:
        reply = await ask(engine, request_)
    assert reply.status == 200
    assert encode_reply(reply)


async def test_reset_empties_the_store() -> None:
    """Nothing is left."""
    async with an_engine(debug=True) as engine:
        await ask(engine, create("p"))
        assert (await ask(engine, DebugReset())).data == Empty()
        assert await state_of(engine, "p") is None


async def test_debug_time_is_the_now_of_its_operation() -> None:
    """It counts exactly as given, and for that operation alone."""
    async with an_engine(debug=True) as engine:
        early = await ask(engine, create("early"), debug_time=17)
        late = await ask(engine, create("late"))
    assert isinstance(early.data, PromiseReply)
    assert isinstance(late.data, PromiseReply)
    assert early.data.promise.created_at == 17
    assert late.data.promise.created_at == EPOCH_MS


async def test_debug_time_is_ignored_without_debug_mode() -> None:
    """A client cannot choose the time of a server in earnest."""
    async with an_engine() as engine:
        reply = await ask(engine, create("p"), debug_time=17)
    assert isinstance(reply.data, PromiseReply)
    assert reply.data.promise.created_at == EPOCH_MS


@waits
async def test_start_pauses_what_the_server_does_by_itself() -> None:
    """Between debug.start and debug.stop nothing is dispatched; afterwards it is done at once."""
    async with (
        an_engine(clock=LoopClock(EPOCH_MS), debug=True) as engine,
        engine.connect("g", "a") as connection,
    ):
        await ask(engine, DebugStart())
        await ask(engine, create("t", target="poll://any@g"))
        with anyio.move_on_after(3600) as scope:
            await anext(connection)
        assert scope.cancelled_caught
        await ask(engine, DebugStop())
        assert (await anext(connection)).kind == "execute"


async def test_tick_does_what_is_due_at_its_time() -> None:
    """It stores deadlines, and dispatches, as of the instant it names, also while all else is paused."""
    clock = SettableClock()
    async with an_engine(clock=clock, debug=True) as engine:
        await ask(engine, DebugStart())
        await ask(engine, create("p", timeout_at=EPOCH_MS + 5_000))
        await ask(engine, create("t", target="poll://any@g", delay=str(EPOCH_MS + 4_000)))
        reply = await ask(engine, DebugTick(EPOCH_MS + 5_000))
        assert reply.data == ()
        snap = (await ask(engine, DebugSnap())).data
    assert isinstance(snap, Snapshot)
    assert [timeout.id for timeout in snap.promise_timeouts] == ["t"]
    assert [message.message["kind"] for message in snap.messages] == ["execute"]


async def test_tick_is_not_bounded_by_the_batch_limit() -> None:
    """All that is due is done, however much it is."""
    async with an_engine(debug=True, settings=Settings(batch_limit=2)) as engine:
        await ask(engine, DebugStart())
        for n in range(7):
            await ask(engine, create(f"p{n}", timeout_at=EPOCH_MS + 5_000))
        await ask(engine, DebugTick(EPOCH_MS + 5_000))
        snap = (await ask(engine, DebugSnap())).data
    assert isinstance(snap, Snapshot)
    assert snap.promise_timeouts == []
