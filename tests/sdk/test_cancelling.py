"""Cancelling an invocation from outside: by the server where it can, else by ourselves."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import pytest
import trio

from resonate_trio import (
    Context,
    InvocationCancelled,
    PromiseNotFoundError,
    Resonate,
    UsageError,
)
from resonate_trio._cancelling import cancel
from resonate_trio._clock import FOREVER_MS
from resonate_trio._codec import Call
from resonate_trio._outcome import Cancellation
from resonate_trio._transport import EmbeddedTransport, Link
from resonate_trio.protocol import (
    EMPTY,
    Promise,
    PromiseCancel,
    PromiseCreate,
    PromisePage,
    PromiseReply,
    PromiseSearch,
    PromiseSettle,
    PromiseState,
    Request,
    TaskHalt,
    TaskState,
    Value,
    extensions,
    tags,
)
from server_ref.clock import LoopClock
from server_ref.engine import open_engine
from server_ref.machine import OFFERED, Settings
from server_ref.store import MemoryStore

from .kit import CODEC, EPOCH_MS, FAR_MS, World, in_virtual_time, root_tags

if TYPE_CHECKING:
    from server_ref.engine import Engine

pytestmark = in_virtual_time

WHY = Cancellation("client", "no more money").encode(CODEC)


@pytest.fixture
def plain(world: World) -> World:
    """A world whose server offers no extension."""
    world.wire.offers = frozenset()
    return world


def link_of(world: World) -> Link:
    """Return a way to the engine, over the wire."""
    return Link(EmbeddedTransport(cast("Engine", world.wire)))


async def states(world: World) -> dict[str, PromiseState]:
    """Return the state of every promise."""
    page = await world.ask(PromiseSearch(limit=1000), PromisePage)
    return {promise.id: promise.state for promise in page.promises}


async def create(world: World, id: str, parent: str, **other: str) -> None:
    """Create a promise below another."""
    wire_tags = {
        tags.ORIGIN: "a",
        tags.PARENT: parent,
        **{f"resonate:{key}": value for key, value in other.items()},
    }
    await world.ask(PromiseCreate(id, FAR_MS, wire_tags), PromiseReply)


async def grow(world: World) -> None:
    """Make an invocation with all kinds of descendants."""
    await world.ask(PromiseCreate("a", FAR_MS, root_tags("a", "g")), PromiseReply)
    await create(world, "a:1", "a", target="poll://any@h")
    await create(world, "a:1.1", "a:1", scope="local")
    await create(world, "a:1.1.1", "a:1.1", target="poll://any@h")
    await create(world, "a:1.1.1.1", "a:1.1.1", external="true")
    await create(world, "a:2", "a", timer="true")
    await create(world, "a:3", "a", target="poll://any@h", detached="true")
    await create(world, "a:3.1", "a:3", target="poll://any@h")
    await create(world, "a:d0f", "a", target="poll://any@h")
    await create(world, "a:4", "a", target="poll://any@h")
    await world.resolve("a:4")
    await create(world, "a:4.1", "a:4", target="poll://any@h")


CANCELLED = ["a", "a:1", "a:1.1", "a:1.1.1", "a:1.1.1.1", "a:2"]
LEFT_ALONE = ["a:3", "a:3.1", "a:4.1", "a:d0f"]

# --- On a server that cannot be asked -------------------------------------------------------------


async def test_subtree_is_settled_and_what_is_detached_left_alone(plain: World) -> None:
    """Whatever its tasks are doing; what has ended, or belongs to what has ended, is not touched."""
    await grow(plain)
    promise = await cancel(link_of(plain), "a", value=WHY, budget_ms=1000)
    assert (promise.id, promise.state, promise.value) == ("a", PromiseState.CANCELED, WHY)
    expected = dict.fromkeys(CANCELLED, PromiseState.CANCELED) | dict.fromkeys(LEFT_ALONE, PromiseState.PENDING)
    assert await states(plain) == {**expected, "a:4": PromiseState.RESOLVED}


async def test_what_has_ended_is_left_alone_with_what_it_called(plain: World) -> None:
    """Nothing but the question is sent."""
    await grow(plain)
    promise = await cancel(link_of(plain), "a:4", value=WHY, budget_ms=1000)
    assert (promise.state, (await plain.promise("a:4.1")).state) == (PromiseState.RESOLVED, PromiseState.PENDING)
    assert [request.kind for request in plain.wire.requests] == ["promise.get"]


async def test_children_are_settled_before_their_parents(plain: World) -> None:
    """So a parent that is pending may have more to be done below it, and one that is settled has not."""
    await grow(plain)
    await cancel(link_of(plain), "a", value=WHY, budget_ms=1000)
    settled = [request.id for request in plain.wire.requests if isinstance(request, PromiseSettle)]
    assert sorted(settled) == sorted(CANCELLED)
    assert all(
        settled.index(child) < settled.index(parent)
        for parent in settled
        for child in settled
        if child != parent and child.startswith(parent)
    )


@pytest.mark.parametrize("done", range(14))
async def test_what_a_crash_has_cut_is_completed_by_asking_again(plain: World, done: int) -> None:
    """After any number of requests, of which the undisturbed way takes 14."""
    await grow(plain)

    def answer(_: Request) -> None:
        if len(plain.wire.requests) > done:
            raise KeyboardInterrupt

    plain.wire.answer = answer
    with pytest.raises(KeyboardInterrupt):
        await cancel(link_of(plain), "a", value=WHY, budget_ms=1000)
    plain.wire.answer = lambda _: None
    promise = await cancel(link_of(plain), "a", value=WHY, budget_ms=1000)
    assert promise.state is PromiseState.CANCELED
    ended = await states(plain)
    assert [id for id in CANCELLED if ended[id] is not PromiseState.CANCELED] == []
    assert [id for id in LEFT_ALONE if ended[id] is not PromiseState.PENDING] == []


async def test_holder_of_the_task_can_write_no_more(plain: World) -> None:
    """It is halted before its children are looked for, so it makes no others behind our back."""
    task = await plain.start_by_hand("a", Call("f"))
    before = await plain.task("a")
    await cancel(link_of(plain), "a", value=WHY, budget_ms=1000)
    kinds = [type(request) for request in plain.wire.requests]
    assert (before.state, (await plain.task("a")).state) == (TaskState.ACQUIRED, TaskState.FULFILLED)
    assert kinds.index(TaskHalt) < kinds.index(PromiseSearch)
    with pytest.raises(AssertionError, match="409"):
        await plain.invoke_by_hand(task, "a:1", Call("g"), group="g")


async def test_tree_may_be_deep(plain: World) -> None:
    """As deep as ids allow, in one program that does not call itself."""
    await plain.ask(PromiseCreate("a", FAR_MS, root_tags("a", "g")), PromiseReply)
    id = "a"
    while len(id) < 1000:
        parent, id = id, f"{id}:1" if id == "a" else f"{id}.1"
        await create(plain, id, parent, target="poll://any@h")
    await cancel(link_of(plain), "a", value=WHY, budget_ms=1000)
    assert set((await states(plain)).values()) == {PromiseState.CANCELED}


async def test_tree_may_be_wide(plain: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The children come in pages."""
    monkeypatch.setattr("resonate_trio._cancelling.PAGE", 3)
    await plain.ask(PromiseCreate("a", FAR_MS, root_tags("a", "g")), PromiseReply)
    for number in range(1, 12):
        await create(plain, f"a:{number}", "a", external="true")
    await cancel(link_of(plain), "a", value=WHY, budget_ms=1000)
    assert set((await states(plain)).values()) == {PromiseState.CANCELED}


async def test_flow_that_is_under_way_ends(plain: World) -> None:
    """With its parked children, without running any further; those who await it hear who did it, and why."""
    app = plain.resonate()
    ran: list[str] = []

    @app.register
    async def leaf(ctx: Context) -> None:
        await ctx.sleep(100)
        ran.append("leaf")

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.rfc(leaf)
        ran.append("flow")

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(10)
        assert await handle.cancel(reason="no more money")
        with pytest.raises(InvocationCancelled, match=r"'a' was cancelled by a client: no more money") as caught:
            await handle
        await trio.sleep(200)
    assert (caught.value.by, caught.value.reason, ran) == ("client", "no more money", [])


# --- On a server that offers it -------------------------------------------------------------------


def asked(world: World, cancelled: list[PromiseCancel], promise: Promise) -> None:
    """Have requests to cancel kept, and answered with the promise."""
    world.wire.offers = frozenset({extensions.CANCEL})

    def answer(request: Request) -> tuple[int, object] | None:
        if isinstance(request, PromiseCancel):
            cancelled.append(request)
            return 200, PromiseReply(promise)
        return None

    world.wire.answer = answer


async def test_server_is_asked_and_the_end_waited_for(world: World) -> None:
    """The call returns once the worker has cleaned up."""
    app = world.resonate()
    cancelled: list[PromiseCancel] = []
    async with app, trio.open_nursery() as nursery:
        await app.options(group="far").rfi("a", "f")
        asked(world, cancelled, await world.promise("a"))

        async def clean_up() -> None:
            await trio.sleep(7)
            await world.ask(PromiseSettle("a", PromiseState.CANCELED, WHY), PromiseReply)

        nursery.start_soon(clean_up)
        started = trio.current_time()
        assert await app.cancel("a", budget=12.5, reason="no more money")
        assert trio.current_time() == started + 7
    assert cancelled == [PromiseCancel("a", 12_500, WHY)]


async def test_result_that_comes_first_wins(world: World) -> None:
    """Cancelling is asking."""
    app = world.resonate()
    async with app, trio.open_nursery() as nursery:
        handle = await app.options(group="far").rfi("a", "f")
        asked(world, [], await world.promise("a"))
        nursery.start_soon(world.resolve, "a", 5)
        assert not await handle.cancel()
        assert await handle == 5


async def test_wait_that_is_cut_leaves_the_request_standing(world: World) -> None:
    """Whoever gives up waiting takes nothing back."""
    app = world.resonate()
    cancelled: list[PromiseCancel] = []
    async with app:
        handle = await app.options(group="far").rfi("a", "f")
        asked(world, cancelled, await world.promise("a"))
        with trio.move_on_after(3) as scope:
            await handle.cancel()
    assert (scope.cancelled_caught, len(cancelled)) == (True, 1)


async def test_offer_is_looked_for_before_it_is_done_without(world: World) -> None:
    """What a server offers is known from its first reply on, so a reply is asked for."""
    await world.ask(PromiseCreate("a", FAR_MS, root_tags("a", "g")), PromiseReply)
    cancelled: list[PromiseCancel] = []
    asked(world, cancelled, await world.promise("a"))
    wire, answer = world.wire, world.wire.answer
    wire.offers = frozenset()

    def answer_and_offer(request: Request) -> tuple[int, object] | None:
        wire.offers = frozenset({extensions.CANCEL})
        return answer(request)

    wire.answer = answer_and_offer
    await cancel(link_of(world), "a", value=WHY, budget_ms=1000)
    assert cancelled == [PromiseCancel("a", 1000, WHY)]
    assert [request.kind for request in wire.requests] == ["promise.get", "promise.cancel"]


@pytest.mark.parametrize(
    ("offered", "cleaned"),
    [(OFFERED, ["busy", "flow", "leaf"]), (frozenset(), [])],
    ids=["with the extension", "without any"],
)
async def test_flow_that_is_under_way_cleans_up_if_its_server_lets_it(
    offered: frozenset[str], cleaned: list[str]
) -> None:
    """Sleeping and running children and the flow itself; on other servers it ends where it stands."""
    unwound: list[str] = []
    async with (
        open_engine(MemoryStore(), clock=LoopClock(EPOCH_MS), settings=Settings(extensions=offered)) as engine,
        Resonate(engine=engine) as app,
    ):

        @app.register
        async def leaf(ctx: Context) -> None:
            with on_cancelled(unwound, "leaf"):
                await ctx.sleep(100)

        @app.register
        async def busy() -> None:
            with on_cancelled(unwound, "busy"):
                await trio.sleep(100)

        @app.register
        async def flow(ctx: Context) -> None:
            with on_cancelled(unwound, "flow"):
                ctx.rfi(leaf)
                ctx.rfi(busy)
                await ctx.sleep(1000)

        handle = await app.rfi("a", flow)
        await trio.sleep(5)
        assert await handle.cancel(reason="no more money")
        ended = list(unwound)
        states = [(await app.promises.get(id)).state for id in ("a", "a:1", "a:2", "a:3")]
    assert (sorted(ended), states) == (cleaned, [PromiseState.CANCELED] * 4)


@contextmanager
def on_cancelled(unwound: list[str], name: str) -> Generator[None]:
    """Note that a block was cancelled."""
    try:
        yield
    except trio.Cancelled:
        unwound.append(name)
        raise


# --- On both --------------------------------------------------------------------------------------


@pytest.fixture(params=["asked", "alone"])
def either(world: World, request: pytest.FixtureRequest) -> World:
    """A world whose server offers the extension, and one whose server does not."""
    world.wire.offers = frozenset({extensions.CANCEL} if request.param == "asked" else ())
    if request.param == "asked":
        world.wire.answer = lambda sent: (404, "no such promise") if isinstance(sent, PromiseCancel) else None
    return world


async def test_unknown_invocation_is_not_found(either: World) -> None:
    """It cannot be cancelled before it exists."""
    async with either.resonate() as app:
        with pytest.raises(PromiseNotFoundError, match="'nowhere'"):
            await app.cancel("nowhere")


async def test_finished_invocation_stays_as_it_is(plain: World) -> None:
    """Its result too."""
    app = plain.resonate()

    @app.register
    async def five() -> int:
        return 5

    async with app:
        handle = await app.rfi("a", five)
        assert await handle == 5
        assert not await app.cancel("a")
        assert not await handle.cancel()
        assert await handle == 5


async def test_local_invocation_is_cancelled_with_its_task_only(either: World) -> None:
    """Settled from outside, its function would run on, and nobody know."""
    app = either.resonate()
    is_over = trio.Event()

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.lfc(is_over.wait)

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(1)
        with pytest.raises(UsageError, match=r"'a:1' is a local invocation, a part of 'a'"):
            await app.cancel("a:1")
        is_over.set()
        await handle


@pytest.mark.parametrize("budget", [0, -1, float("nan"), "1", None, True])
async def test_budget_is_a_number_of_seconds(world: World, budget: float) -> None:
    """What cannot be meant is refused before anything is asked."""
    async with world.resonate() as app:
        with pytest.raises(UsageError, match="budget="):
            await app.cancel("a", budget=budget)
    assert world.wire.requests == []


@pytest.mark.parametrize(("seconds", "ms"), [(0.0001, 1), (1.5, 1500), (float("inf"), FOREVER_MS)])
async def test_budget_travels_in_milliseconds(world: World, seconds: float, ms: int) -> None:
    """At least one; without end as far as the protocol can say it."""
    async with world.resonate() as app:
        await app.options(group="far").rfi("a", "f")
        cancelled: list[PromiseCancel] = []
        asked(world, cancelled, await world.promise("a"))
        with trio.move_on_after(1):
            await app.cancel("a", budget=seconds)
    assert [request.budget for request in cancelled] == [ms]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (EMPTY, "'a' was cancelled"),
        (Value(data="%%%"), "'a' was cancelled"),
        (CODEC.encode([1]), "'a' was cancelled"),
        (CODEC.encode({"by": 1, "reason": {}}), "'a' was cancelled"),
        (Cancellation("client").encode(CODEC), "'a' was cancelled by a client"),
        (Cancellation("b:1#2", "too late").encode(CODEC), "'a' was cancelled by the invocation 'b:1': too late"),
    ],
)
async def test_error_says_who_and_why_if_that_is_known(world: World, value: Value, message: str) -> None:
    """Other clients may have stored anything, or nothing."""
    async with world.resonate() as app:
        handle = await app.options(group="far").rfi("a", "f")
        await world.ask(PromiseSettle("a", PromiseState.CANCELED, value), PromiseReply)
        with pytest.raises(InvocationCancelled) as caught:
            await handle
    assert str(caught.value) == f"the invocation {message}"


async def test_promise_that_is_cancelled_says_who_and_why_too(world: World) -> None:
    """Also one that an application settles itself."""
    await world.ask(PromiseCreate("a", FAR_MS, {}), PromiseReply)
    async with world.resonate() as app:
        await app.promises.cancel("a", reason="out of stock")
        with pytest.raises(InvocationCancelled, match=r"by a client: out of stock"):
            await (await app.get("a"))
