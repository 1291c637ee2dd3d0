"""The engine: turns, and how it begins and ends."""

from typing import TYPE_CHECKING

import anyio
import pytest

from resonate_trio.protocol import (
    Envelope,
    Head,
    PromiseGet,
    PromiseSettle,
    PromiseState,
)

from .engine_kit import ProbedStore, an_engine, ask, create, hand_in, state_of

if TYPE_CHECKING:
    from resonate_trio.protocol import (
        Reply,
    )


pytestmark = pytest.mark.anyio


async def test_reply_echoes_kind_and_corr_id() -> None:
    """A reply belongs to its request."""
    async with an_engine() as engine:
        reply = await engine.perform(Envelope(Head("mine"), create("p")))
    assert (reply.kind, reply.head.corr_id, reply.status) == ("promise.create", "mine", 200)


async def test_refused_request_has_its_status_and_message() -> None:
    """A request that is refused is answered, not raised."""
    async with an_engine() as engine:
        reply = await ask(engine, PromiseGet("none"))
    assert reply.status == 404
    assert isinstance(reply.data, str)
    assert "none" in reply.data


async def test_requests_at_the_same_time_share_one_transaction() -> None:
    """What came in together is stored by one commit."""
    store = ProbedStore()
    async with an_engine(store) as engine:
        await ask(engine, create("first"))
        before = store.transactions
        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(ask, engine, create(f"p{n}"))
        assert store.transactions == before + 1
        assert await state_of(engine, "p49") is PromiseState.PENDING


async def test_turn_takes_a_bounded_number_of_requests() -> None:
    """Many requests are cut into turns of at most 256."""
    store = ProbedStore()
    async with an_engine(store) as engine:
        await ask(engine, create("first"))
        before = store.transactions
        async with anyio.create_task_group() as tasks:
            for n in range(300):
                tasks.start_soon(ask, engine, create(f"p{n}"))
        assert store.transactions == before + 2


async def test_request_of_a_caller_that_is_cancelled_is_performed() -> None:
    """Giving up waiting harms nobody: the turn goes on, and so does the engine."""
    async with an_engine() as engine:
        async with anyio.create_task_group() as tasks:
            await tasks.start(hand_in, engine, create("p"), [])
            tasks.cancel_scope.cancel()
        assert await state_of(engine, "p") is PromiseState.PENDING


async def test_requests_of_one_turn_are_performed_in_order() -> None:
    """Each request sees what those before it did."""
    async with an_engine() as engine:
        replies: list[Reply] = []
        async with anyio.create_task_group() as tasks:
            await tasks.start(hand_in, engine, create("p"), replies)
            await tasks.start(hand_in, engine, PromiseSettle("p", PromiseState.RESOLVED), replies)
        assert [reply.status for reply in replies] == [200, 200]
        assert await state_of(engine, "p") is PromiseState.RESOLVED


async def test_error_of_the_block_comes_out_bare() -> None:
    """Who opens an engine does not see that it has tasks inside."""
    with pytest.raises(ZeroDivisionError):
        async with an_engine():
            raise ZeroDivisionError


async def test_requests_that_were_handed_in_are_answered_before_the_end() -> None:
    """Closing the engine waits for what it has taken in, and refuses what comes after."""
    replies: list[Reply] = []
    async with anyio.create_task_group() as tasks, an_engine() as engine:
        await tasks.start(hand_in, engine, create("p"), replies)
    assert replies[0].status == 200
    assert (await ask(engine, create("q"))).status == 503


async def test_cancelled_engine_leaves_nobody_waiting() -> None:
    """Whoever still waits when the engine is cancelled is told that nothing happened."""
    replies: list[Reply] = []
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            async with an_engine() as engine:
                await tasks.start(hand_in, engine, create("p"), replies)
                scope.cancel()
    assert replies[0].status in {200, 503}
