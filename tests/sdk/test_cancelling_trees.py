"""Cancelling what has called others, on several workers, whatever these are doing, and whoever asks."""

from collections.abc import Callable
from typing import Any

import pytest
import trio

from resonate_trio import Context, InvocationCancelled, Never, Resonate
from resonate_trio._codec import Call
from resonate_trio.protocol import PromiseCreate, PromiseReply, PromiseState, TaskHalt, TaskState, tags

from .kit import CODEC, EPOCH_MS, FAR_MS, World, in_virtual_time
from .tree_kit import Log, running, states, task_states

pytestmark = in_virtual_time

needs_cancel = pytest.mark.needs_extension("cancel")


# --- Every kind of descendant -------------------------------------------------------------------------


def register_tree(foo: Resonate, bar: Resonate, baz: Resonate, log: Log) -> None:
    """Register a tree of depth 5 over three groups: who calls, who sleeps, who waits, who computes."""

    @foo.register
    async def top(ctx: Context) -> None:
        with log.cleaning("top"):
            async with ctx.open_nursery() as nursery:
                nursery.options(group="bar").rfi("middle")
                nursery.options(group="nobody").rfi("never")
                nursery.lfi(beside)

    async def beside(ctx: Context) -> None:
        with log.cleaning("beside"):
            await ctx.lfc(deeper)

    async def deeper(ctx: Context) -> None:
        with log.cleaning("deeper"):
            await ctx.options(group="baz").rfc("sleeper")

    @bar.register
    async def middle(ctx: Context) -> None:
        with log.cleaning("middle"):
            async with ctx.open_nursery() as nursery:
                nursery.options(group="baz").rfi("low")
                await (await ctx.promise())

    @baz.register
    async def low(ctx: Context) -> None:
        with log.cleaning("low"):
            async with ctx.open_nursery() as nursery:
                nursery.rfi(leaf)
                nursery.lfi(leaf)
                nursery.rfi(sleeper)
                nursery.rfi(sleeper)

    @baz.register
    async def sleeper(ctx: Context) -> None:
        with log.cleaning("sleeper"):
            await ctx.sleep(500)

    @baz.register
    async def leaf() -> None:
        with log.cleaning("leaf"):
            await trio.sleep(500)


async def grow_by_hand(world: World) -> None:
    """Add what workers do not make: a halted task, one that is not due yet, and what that has called."""
    await world.ask(TaskHalt("a:1.1.4"), object)
    lineage = {tags.ORIGIN: "a", tags.PARENT: "a:2", tags.TARGET: "poll://any@baz"}
    delayed = {**lineage, tags.DELAY: str(EPOCH_MS + 400_000)}
    await world.ask(PromiseCreate("a:2.1", FAR_MS, delayed, CODEC.encode_call(Call("leaf"))), PromiseReply)
    lineage[tags.PARENT] = "a:2.1"
    await world.ask(PromiseCreate("a:2.1.1", FAR_MS, lineage, CODEC.encode_call(Call("sleeper"))), PromiseReply)


@pytest.mark.parametrize("max_parked", [10, 0], ids=["parked", "dropped"])
async def test_every_descendant_is_cancelled_whatever_it_is_doing(world: World, max_parked: int) -> None:
    """Suspended, running, sleeping, halted, waiting for a worker, or for its time: nothing of it is left."""
    foo, bar, baz = (world.resonate(group, max_parked=max_parked) for group in ("foo", "bar", "baz"))
    log = Log()
    register_tree(foo, bar, baz, log)
    async with running(bar, baz), foo:
        handle = await foo.rfi("a", "top")
        await trio.sleep(5)
        await grow_by_hand(world)
        await trio.sleep(1)
        before = await states(world)
        assert set(before.values()) == {PromiseState.PENDING}
        assert await task_states(world) == {
            TaskState.SUSPENDED,
            TaskState.PENDING,
            TaskState.ACQUIRED,
            TaskState.HALTED,
        }
        with trio.fail_after(60):
            assert await handle.cancel(reason="enough", budget=30)
        after = await states(world)
        assert after == dict.fromkeys(before, PromiseState.CANCELED)
        assert await task_states(world) == {TaskState.FULFILLED}
        with pytest.raises(InvocationCancelled, match="enough"):
            await handle


@needs_cancel
async def test_children_have_cleaned_up_before_their_callers_have(world: World) -> None:
    """From the bottom to the top, on all workers; nothing is left to the budget."""
    foo, bar, baz, nobody = (world.resonate(group) for group in ("foo", "bar", "baz", "nobody"))
    log = Log()
    register_tree(foo, bar, baz, log)

    @nobody.register
    async def never() -> None:
        await trio.sleep(500)

    async with running(bar, baz, nobody), foo:
        handle = await foo.rfi("a", "top")
        await trio.sleep(5)
        asked = trio.current_time()
        assert await handle.cancel()
        assert trio.current_time() - asked < 1
    assert sorted(log) == sorted([
        "leaf",
        "leaf",
        "sleeper",
        "sleeper",
        "low",
        "middle",
        "sleeper",
        "deeper",
        "beside",
        "top",
    ])
    assert log.index("low") > max(n for n, name in enumerate(log) if name == "leaf")
    assert [name for name in log if name in {"low", "middle", "top"}] == ["low", "middle", "top"]
    assert [name for name in log if name in {"deeper", "beside", "top"}] == ["deeper", "beside", "top"]


def register_chain(apps: list[Resonate], log: Log) -> None:
    """Register a function that calls itself, in turn locally and on the next worker, and sleeps at the bottom."""

    async def note(depth: int) -> None:
        log.append(str(depth))

    async def dig(ctx: Context, depth: int) -> None:
        try:
            if not depth:
                await ctx.sleep(1000)
            elif depth % 3 == 0:
                await ctx.lfc(dig, depth - 1)
            else:
                await ctx.options(group=f"g{depth % 2}").rfc("dig", depth - 1)
        finally:
            with ctx.shield(budget=1):
                await ctx.lfc(note, depth)  # unlike one that is cancelled, a frame that is dropped cannot do this

    for app in apps:
        app.register(name="dig")(dig)


@pytest.mark.parametrize("max_parked", [10, 0], ids=["parked", "dropped"])
async def test_chain_of_calls_ends_as_a_whole(world: World, max_parked: int) -> None:
    """Local calls and remote ones in turn, over two workers."""
    apps = [world.resonate(f"g{number}", max_parked=max_parked) for number in (0, 1)]
    register_chain(apps, Log())
    async with running(apps[1]), apps[0]:
        handle = await apps[0].rfi("a", "dig", 12)
        await trio.sleep(5)
        assert await handle.cancel()
        assert PromiseState.PENDING not in (await states(world)).values()
        assert [
            (await world.promise(f"a{':1' * bool(depth)}{'.1' * (depth - 1)}")).state for depth in range(14)
        ] == [PromiseState.CANCELED] * 14


@needs_cancel
@pytest.mark.parametrize("max_parked", [pytest.param(10, id="parked"), pytest.param(0, id="dropped")])
async def test_chain_of_calls_unwinds_from_its_end(world: World, max_parked: int) -> None:
    """As the frames of one process would, whether they are still in memory or not."""
    apps = [world.resonate(f"g{number}", max_parked=max_parked) for number in (0, 1)]
    log = Log()
    register_chain(apps, log)
    async with running(apps[1]), apps[0]:
        handle = await apps[0].rfi("a", "dig", 12)
        await trio.sleep(5)
        await handle.cancel()
    assert log == [str(depth) for depth in range(13)]


@pytest.mark.parametrize("max_parked", [10, 0], ids=["parked", "dropped"])
async def test_tree_of_local_invocations_is_cancelled_as_one_of_remote_ones(world: World, max_parked: int) -> None:
    """Each of them unwinds once what it has called has; leaves as trio does it, the others at their waits."""
    app = world.resonate(max_parked=max_parked)
    ended: list[str] = []
    log = Log()

    async def note(name: str) -> None:
        ended.append(name)

    async def leaf() -> None:
        with log.cleaning("leaf"):
            await trio.sleep(1000)

    async def branch(ctx: Context, name: str) -> None:
        try:
            async with ctx.open_nursery() as nursery:
                if len(name) < 4:
                    nursery.lfi(branch, name + "l")
                    nursery.lfi(branch, name + "r")
                else:
                    nursery.lfi(leaf)
                    nursery.rfi("rest")
        finally:
            with ctx.shield(budget=10):
                await ctx.lfc(note, name)

    @app.register
    async def rest(ctx: Context) -> None:
        await ctx.sleep(1000)

    @app.register
    async def flow(ctx: Context) -> None:
        with ctx.move_on_after(5):
            await ctx.lfc(branch, "t")

    async with app:
        await app.rfc("a", flow)
        after = await states(world)
    assert trio.current_time() == pytest.approx(5, abs=0.5)
    assert PromiseState.PENDING not in after.values()
    assert log == ["leaf"] * 8
    assert len(ended) == 15
    assert all(ended.index(name) < ended.index(name[:-1]) for name in ended if len(name) > 1)


# --- By whom ------------------------------------------------------------------------------------------


async def cancel_handle(ctx: Context) -> None:
    """Cancel one invocation, and wait for it."""
    handle = ctx.options(group="bar").rfi("dig", 5)
    await ctx.sleep(5)
    handle.cancel()
    with pytest.raises(InvocationCancelled):
        await handle


async def cancel_nursery(ctx: Context) -> None:
    """Cancel a nursery."""
    async with ctx.open_nursery() as nursery:
        nursery.options(group="bar").rfi("dig", 5)
        await ctx.sleep(5)
        nursery.cancel()


async def cancel_by_deadline(ctx: Context) -> None:
    """Let a deadline pass."""
    with ctx.move_on_after(5) as scope:
        await ctx.options(group="bar").rfc("dig", 5)
    assert scope.cancelled_caught


async def cancel_by_failure(ctx: Context) -> None:
    """Let another invocation fail beside it."""

    async def fail() -> None:
        raise ValueError

    try:
        async with ctx.open_nursery() as nursery:
            nursery.options(group="bar").rfi("dig", 5)
            await ctx.sleep(5)
            nursery.options(retry=Never()).lfi(fail)
    except* ValueError:
        pass


async def cancel_by_race(ctx: Context) -> None:
    """Lose a race."""
    async with ctx.open_nursery() as nursery:
        nursery.options(group="bar").rfi("dig", 5)
        nursery.options(group="bar").rfi("brief")
        assert await nursery.first() == "first"


@pytest.mark.parametrize(
    "how", [cancel_handle, cancel_nursery, cancel_by_deadline, cancel_by_failure, cancel_by_race]
)
@pytest.mark.parametrize("max_parked", [10, 0], ids=["parked", "dropped"])
async def test_nothing_of_a_subtree_is_left_where_the_flow_goes_on(
    world: World, how: Callable[[Context], Any], max_parked: int
) -> None:
    """Whoever cancels waits for all that the cancelled invocation has called."""
    foo, bar = world.resonate("foo", max_parked=max_parked), world.resonate("bar", max_parked=max_parked)
    found: list[dict[str, PromiseState]] = []

    @bar.register
    async def dig(ctx: Context, depth: int) -> None:
        if depth:
            await ctx.rfc(dig, depth - 1)
        await ctx.sleep(1000)

    @bar.register
    async def brief(ctx: Context) -> str:
        await ctx.sleep(5)
        return "first"

    async def look() -> None:
        found.append(await states(world, below="a:1"))

    @foo.register
    async def flow(ctx: Context) -> str:
        await how(ctx)
        await ctx.lfc(look)
        return "went on"

    async with running(bar), foo:
        with trio.fail_after(60):
            assert await foo.rfc("a", flow) == "went on"
    assert [PromiseState.PENDING in tree.values() for tree in found] == [False]


@needs_cancel
async def test_all_of_a_cancelled_nursery_clean_up_at_the_same_time(world: World) -> None:
    """What the block waits for, and the children that it does not wait for yet."""
    app = world.resonate()

    @app.register
    async def slow(ctx: Context) -> None:
        try:
            await ctx.sleep(1000)
        finally:
            with ctx.shield(budget=20):
                await ctx.sleep(10)

    @app.register
    async def flow(ctx: Context) -> None:
        with ctx.move_on_after(5):
            async with ctx.open_nursery() as nursery:
                nursery.rfi(slow)
                await ctx.rfc(slow)

    async with app:
        await app.rfc("a", flow)
        assert trio.current_time() == pytest.approx(15, abs=0.5)
