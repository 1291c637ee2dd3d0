"""Waiting for promises from outside durable functions."""

from typing import TYPE_CHECKING

import pytest
import trio

from resonate_trio import Context, PromiseNotFoundError, RequestRefusedError, ServerError
from resonate_trio._listeners import Listeners
from resonate_trio._transport import EmbeddedTransport, Link
from resonate_trio.protocol import (
    EMPTY,
    PollAddress,
    PromiseCreate,
    PromiseRegisterListener,
    PromiseReply,
    Request,
)

from .kit import FAR_MS, World, in_virtual_time

if TYPE_CHECKING:
    from resonate_trio.protocol import (
        Promise,
    )

pytestmark = in_virtual_time


@pytest.fixture
def listeners(world: World) -> Listeners:
    """Listeners that no source brings any messages to."""
    link = Link(EmbeddedTransport(world.wire))  # type: ignore[arg-type]  # it has all that is used of an engine
    return Listeners(link, PollAddress("uni", "clients", "me"))


async def external(world: World, id: str) -> None:
    """Create a promise that somebody settles."""
    await world.ask(PromiseCreate(id, FAR_MS, {}, EMPTY), PromiseReply)


async def test_wait_ends_with_the_news(world: World, listeners: Listeners) -> None:
    """An `unblock` wakes all that wait for its promise, and nobody else."""
    await external(world, "p")
    await external(world, "q")
    told: list[str] = []

    async def wait(id: str) -> None:
        told.append((await listeners.wait(id)).id)

    async with trio.open_nursery() as nursery:
        for id in "ppq":
            nursery.start_soon(wait, id)
        await trio.testing.wait_all_tasks_blocked()
        await world.resolve("p")
        listeners.settle(await world.promise("p"))
        listeners.settle(await world.promise("q"))  # still pending: no news
        await trio.testing.wait_all_tasks_blocked()
        assert told == ["p", "p"]
        nursery.cancel_scope.cancel()
    assert repr(listeners).endswith("0 waiting>")


async def test_news_may_overtake_the_reply(world: World, listeners: Listeners) -> None:
    """An `unblock` that arrives before the registration is confirmed is not lost."""
    await external(world, "p")
    gate = world.wire.gates["promise.register_listener"] = trio.Event()
    told: list[Promise] = []

    async def wait() -> None:
        told.append(await listeners.wait("p"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await world.resolve("p")
        listeners.settle(await world.promise("p"))
        gate.set()
    assert told[0].state == "resolved"


async def test_settled_promise_is_its_own_notice(world: World, listeners: Listeners) -> None:
    """Nothing is waited for."""
    await external(world, "p")
    await world.resolve("p")
    assert (await listeners.wait("p")).state == "resolved"


async def create(listeners: Listeners, told: list["Promise"]) -> None:
    """Create a promise, and note it once it is settled."""
    told.append(await listeners.create(PromiseCreate("p", FAR_MS, {}, EMPTY)))


async def test_created_and_waited_for_in_one_round_trip(world: World, listeners: Listeners) -> None:
    """The news wake the caller, whatever comes first; a promise that is settled already needs none."""
    told: list[Promise] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(create, listeners, told)
        await trio.testing.wait_all_tasks_blocked()
        assert [request.kind for request in world.wire.requests] == [
            "promise.create",
            "promise.register_listener",
        ]
        await world.resolve("p")
        listeners.settle(await world.promise("p"))
    await create(listeners, told)
    assert [promise.state for promise in told] == ["resolved", "resolved"]


async def test_what_is_only_being_created_is_not_missed(world: World, listeners: Listeners) -> None:
    """A connection that comes meanwhile does not make the server be asked for what it cannot have yet."""
    world.wire.lost_requests["promise.create"] = 1
    told: list[Promise] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(create, listeners, told)
        await trio.testing.wait_all_tasks_blocked()
        await listeners.refresh()
        await trio.sleep(10)
        await world.resolve("p")
        await listeners.refresh()
    assert [promise.state for promise in told] == ["resolved"]


async def test_news_that_are_lost_before_the_reply_are_asked_for(world: World, listeners: Listeners) -> None:
    """The connection that they were sent to is replaced while the reply is on its way."""
    gate = world.wire.gates["promise.register_listener"] = trio.Event()
    told: list[Promise] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(create, listeners, told)
        await trio.testing.wait_all_tasks_blocked()
        await world.resolve("p")
        await listeners.refresh()
        gate.set()
    assert [promise.state for promise in told] == ["resolved"]


async def test_what_is_not_created_is_not_waited_for(world: World, listeners: Listeners) -> None:
    """The refusal is raised."""
    world.wire.answer = lambda request: (400, "no") if isinstance(request, PromiseCreate) else None
    with pytest.raises(RequestRefusedError, match="no"):
        await listeners.create(PromiseCreate("p", FAR_MS, {}, EMPTY))


async def test_promise_that_does_not_exist_is_named(world: World, listeners: Listeners) -> None:
    """Waiting for it raises at once."""
    with pytest.raises(PromiseNotFoundError, match="'p'"):
        await listeners.wait("p")


async def test_cancelled_wait_leaves_the_others(world: World, listeners: Listeners) -> None:
    """Each waits for itself."""
    await external(world, "p")
    told: list[str] = []

    async def wait() -> None:
        told.append(str((await listeners.wait("p")).state))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        with trio.move_on_after(5):
            await listeners.wait("p")
        await world.resolve("p")
        listeners.settle(await world.promise("p"))
    assert told == ["resolved"]


async def test_refresh_finds_what_was_missed(world: World, listeners: Listeners) -> None:
    """After a connection was lost, all that is waited for is asked for again."""
    await external(world, "p")
    told: list[str] = []

    async def wait() -> None:
        told.append(str((await listeners.wait("p")).state))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await world.resolve("p")
        await listeners.refresh()
    assert told == ["resolved"]


async def test_refresh_tells_of_a_promise_that_is_gone(world: World, listeners: Listeners) -> None:
    """A server that lost its memory ends the wait by PromiseNotFoundError, one that fails by its failure."""
    for id in "pq":
        await external(world, id)
    told: dict[str, str] = {}

    async def wait(id: str) -> None:
        try:
            await listeners.wait(id)
        except (PromiseNotFoundError, ServerError) as error:
            told[id] = type(error).__name__

    def answer(request: Request) -> tuple[int, object] | None:
        if not isinstance(request, PromiseRegisterListener):
            return None
        return (404, "none") if request.awaited == "p" else (500, "failed")

    async with trio.open_nursery() as nursery:
        for id in "pq":
            nursery.start_soon(wait, id)
        await trio.testing.wait_all_tasks_blocked()
        world.wire.answer = answer
        await listeners.refresh()
    assert told == {"p": "PromiseNotFoundError", "q": "ServerError"}


async def test_refresh_has_patience_without_end(world: World, listeners: Listeners) -> None:
    """While the server is away the wait goes on, however long that is."""
    await external(world, "p")
    told: list[str] = []

    async def wait() -> None:
        told.append(str((await listeners.wait("p")).state))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await world.resolve("p")
        world.wire.lost_requests["promise.register_listener"] = 300
        await listeners.refresh()
    assert told == ["resolved"]
    assert trio.current_time() > 60


async def test_application_that_waits_survives_a_server_that_lost_its_memory(world: World) -> None:
    """Only the wait fails, not the application."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.sleep(1000)

    async with app:
        handle = await app.rfi("a", flow)
        errors: list[str] = []

        async def wait() -> None:
            try:
                await handle
            except PromiseNotFoundError as error:
                errors.append(error.id)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.sleep(1)
            world.wire.answer = lambda request: (404, "none") if request.kind.endswith("listener") else None
            await app._require_running().roots.listeners.refresh()
    assert errors == ["a"]
