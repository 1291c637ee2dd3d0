"""Deadlines of scopes and invocations: fixed once, kept through suspension, crashes and replays, and inherited."""

import pytest
import trio

from resonate_trio import Context, InvocationCancelled, InvocationTimedOut, Never
from resonate_trio._codec import Call
from resonate_trio._context._frame import CANCEL_BUDGET, SLACK
from resonate_trio.protocol import PromiseCreate, PromiseState, Task, tags

from .kit import CODEC, EPOCH_MS, Recorder, World, in_virtual_time
from .tree_kit import running, states

pytestmark = in_virtual_time

either_memory = pytest.mark.parametrize("max_parked", [10, 0], ids=["parked", "dropped"])

CLEANUP_MS = round((CANCEL_BUDGET + SLACK) * 1000)
"""How much longer than its scope an invocation may take, to clean up."""


# --- Kept ---------------------------------------------------------------------------------------------


@either_memory
async def test_deadline_holds_while_the_task_is_suspended_and_replayed(world: World, max_parked: int) -> None:
    """It is measured from when the function came there first, however often it comes there again."""
    app = world.resonate(max_parked=max_parked)

    @app.register
    async def flow(ctx: Context) -> list[bool]:
        with ctx.move_on_after(10) as scope:
            for _ in range(7):
                await ctx.sleep(2)
        await ctx.sleep(1)
        return [scope.cancelled_caught, scope.cancel_called]

    async with app:
        assert await app.rfc("a", flow) == [True, False]
        assert trio.current_time() == pytest.approx(11, abs=0.2)


async def begin_deadline(world: World, task: Task, id: str, seconds: int) -> None:
    """Store a deadline as a worker that is about to die, at the beginning of time."""
    lineage = {tags.ORIGIN: task.id, tags.BRANCH: id, tags.PARENT: task.id, tags.SCOPE: tags.GLOBAL}
    instant = EPOCH_MS + seconds * 1000
    param = CODEC.encode_call(Call("deadline"))
    await world.fence_by_hand(task, PromiseCreate(id, instant, {**lineage, tags.TIMER: "true"}, param))


@pytest.mark.parametrize(("starts", "ends"), [(4, 10), (20, 20)], ids=["before it", "after it"])
async def test_deadline_survives_the_worker(world: World, starts: float, ends: float) -> None:
    """A replay elsewhere is cut at the instant that was fixed, or at once; what was stored by then is given."""
    app = world.resonate()
    ran: list[str] = []

    @app.register
    async def step(name: str) -> str:
        ran.append(name)
        return name

    @app.register
    async def flow(ctx: Context) -> list[str]:
        got: list[str] = []
        with ctx.move_on_after(10):
            got.append(await ctx.lfc(step, "stored"))
            await ctx.sleep(500)
            got.append(await ctx.lfc(step, "never"))
        got.append(await ctx.lfc(step, "after"))
        return got

    task = await world.start_by_hand("a", Call("flow"))
    await begin_deadline(world, task, "a:1", 10)
    await world.step_by_hand(task, "a:2", "step", "stored")
    await trio.sleep(starts)
    async with app:
        assert await (await app.get("a")) == ["stored", "after"]
        assert trio.current_time() == pytest.approx(ends, abs=0.5)
    assert ran == ["after"]
    assert await states(world, below="a:") == {
        "a:1": PromiseState.RESOLVED,
        "a:2": PromiseState.RESOLVED,
        "a:3": PromiseState.CANCELED,
        "a:4": PromiseState.RESOLVED,
    }


async def test_what_a_replay_invokes_ends_by_the_deadline_of_the_first_run(world: World) -> None:
    """Not by one that is counted from the replay."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> None:
        with ctx.move_on_after(10):
            await ctx.options(group="nobody").rfc("never")

    task = await world.start_by_hand("a", Call("flow"))
    await begin_deadline(world, task, "a:1", 10)
    await trio.sleep(4)
    async with app:
        await trio.sleep(1)
    assert (await world.promise("a:2")).timeout_at == EPOCH_MS + 10_000 + CLEANUP_MS


@either_memory
async def test_deadline_of_a_local_invocation_is_kept_too(world: World, max_parked: int) -> None:
    """Those of several bodies of one task do not get in each other's way."""
    app = world.resonate(max_parked=max_parked)

    async def within(ctx: Context, seconds: float) -> bool:
        with ctx.move_on_after(seconds) as scope:
            await ctx.sleep(10)
        return scope.cancelled_caught

    @app.register
    async def flow(ctx: Context) -> list[bool]:
        handles = [ctx.lfi(within, seconds) for seconds in (20, 5, 15, 8)]
        return [await handle for handle in handles]

    async with app:
        assert await app.rfc("a", flow) == [False, True, False, True]
        assert trio.current_time() == pytest.approx(10, abs=0.2)


async def test_no_time_at_all_cuts_the_first_wait(world: World) -> None:
    """The block itself is entered."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> list[str]:
        seen = ["before"]
        with ctx.move_on_after(0) as scope:
            seen.append("inside")
            await ctx.sleep(5)
            seen.append("never")
        assert scope.cancelled_caught
        return seen

    async with app:
        assert await app.rfc("a", flow) == ["before", "inside"]
        assert trio.current_time() == pytest.approx(0, abs=0.2)


# --- Nested -------------------------------------------------------------------------------------------


@either_memory
@pytest.mark.parametrize(
    ("outer", "inner", "caught", "ends"),
    [
        (20, 5, [False, True], 6),
        (5, 20, [True, False], 5),
        (5, 5, [True, False], 5),
        (20, 5.5, [False, True], 6.5),
        (5.5, 5, [True, True], 5.5),
    ],
)
async def test_each_scope_catches_its_own_deadline(
    world: World, max_parked: int, outer: float, inner: float, caught: list[bool], ends: float
) -> None:
    """The outermost that is over wins, as in trio."""
    app = world.resonate(max_parked=max_parked)

    @app.register
    async def flow(ctx: Context) -> list[bool]:
        with ctx.move_on_after(outer) as around:
            with ctx.move_on_after(inner) as scope:
                await ctx.sleep(100)
            await ctx.sleep(1)
        return [around.cancelled_caught, scope.cancelled_caught]

    async with app:
        assert await app.rfc("a", flow) == caught
        assert trio.current_time() == pytest.approx(ends, abs=0.2)
    assert PromiseState.PENDING not in (await states(world)).values()


async def test_fail_after_inside_move_on_after_tells_which_was_too_slow(world: World) -> None:
    """The inner one raises only if it was its own time that was over."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context, outer: float, inner: float) -> str:
        with ctx.move_on_after(outer):
            try:
                with ctx.fail_after(inner):
                    await ctx.sleep(100)
            except trio.TooSlowError:
                return "inner"
        return "outer"

    async with app:
        assert await app.rfc("a", flow, 10, 5) == "inner"
        assert await app.rfc("b", flow, 5, 10) == "outer"


# --- Inherited ----------------------------------------------------------------------------------------


async def test_deadline_is_the_least_of_those_around_it(world: World) -> None:
    """Own, the caller's, and that of its scope with the time to clean up; over workers, and local calls."""
    foo, bar = world.resonate("foo"), world.resonate("bar")

    @bar.register
    async def far(ctx: Context) -> None:
        await ctx.options(timeout=5000).lfc(near)

    async def near(ctx: Context) -> None:
        await ctx.options(group="nobody", timeout=7).rfc("brief")

    @foo.register
    async def flow(ctx: Context) -> None:
        there = ctx.options(group="bar", timeout=500)
        there.rfi("far")
        with ctx.move_on_after(20):
            there.rfi("far")
            with ctx.fail_after(40):
                there.rfi("far")
                await ctx.sleep(3000)

    async with running(bar), foo:
        await foo.options(timeout=100).rfi("a", flow)
        await trio.sleep(1)
        found = {
            id: (await world.promise(id)).timeout_at - EPOCH_MS
            for id in ("a", "a:1", "a:1.1", "a:1.1.1", "a:2", "a:3", "a:3.1", "a:4", "a:5", "a:6")
        }
    scope = 20_000 + CLEANUP_MS
    assert found == pytest.approx(
        {
            "a": 100_000,
            "a:1": 100_000,  # the caller's
            "a:1.1": 100_000,
            "a:1.1.1": 7_000,  # its own
            "a:2": 20_000,  # the first scope
            "a:3": scope,
            "a:3.1": scope,
            "a:4": 40_000,  # the second scope, which ends with the one around it
            "a:5": scope,
            "a:6": scope,
        },
        abs=200,
    )


@pytest.mark.parametrize("kind", ["rfc", "lfc"])
async def test_timeout_of_a_call_is_its_end(world: World, kind: str, recorder: Recorder) -> None:
    """The caller hears that it has timed out, and goes on."""
    app = world.resonate(instrument=recorder)

    @app.register(retry=Never())
    async def slow() -> None:
        await trio.sleep(100)

    @app.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(InvocationTimedOut):
            await getattr(ctx.options(timeout=10), kind)(slow)
        return "went on"

    async with app:
        assert await app.rfc("a", flow) == "went on"
        assert trio.current_time() == pytest.approx(10, abs=0.5)
    assert (await world.promise("a:1")).state is PromiseState.TIMEDOUT


@pytest.mark.needs_extension("cancel")
@either_memory
async def test_deadline_over_a_chain_ends_all_of_it(world: World, max_parked: int) -> None:
    """Every function on the way cleans up, from the far end on, before the block is left."""
    foo, bar = world.resonate("foo", max_parked=max_parked), world.resonate("bar", max_parked=max_parked)
    ended: list[str] = []

    async def note(name: str) -> None:
        ended.append(name)

    @bar.register
    async def link(ctx: Context, depth: int) -> None:
        try:
            if depth:
                await ctx.rfc(link, depth - 1)
            await ctx.sleep(1000)
        finally:
            with ctx.shield(budget=5):
                await ctx.lfc(note, str(depth))

    @foo.register
    async def flow(ctx: Context) -> bool:
        with ctx.move_on_after(10) as scope:
            await ctx.options(group="bar").rfc("link", 4)
        await ctx.lfc(note, "left")
        return scope.cancelled_caught

    async with running(bar), foo:
        assert await foo.rfc("a", flow) is True
        assert trio.current_time() == pytest.approx(10, abs=0.5)
    assert ended == ["0", "1", "2", "3", "4", "left"]


async def test_who_is_cancelled_by_a_deadline_can_tell_it_from_others(world: World) -> None:
    """A child that the scope has cancelled is stored with the scope's name."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> None:
        with ctx.move_on_after(5):
            await (await ctx.promise())

    async with app:
        await app.rfc("a", flow)
        with pytest.raises(InvocationCancelled) as caught:
            await (await app.get("a:2"))
    assert caught.value.by is not None
    assert caught.value.by.startswith("a")
