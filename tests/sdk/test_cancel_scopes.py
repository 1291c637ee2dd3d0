"""Nurseries and scopes that are cancelled: what their blocks see, what becomes of children, what is stored."""

import pytest
import trio

from resonate_trio import Context, InvocationCancelled, Never
from resonate_trio.protocol import TaskState

from .kit import World, in_virtual_time

pytestmark = in_virtual_time


# --- Failure cancels siblings -------------------------------------------------------------------------


@pytest.mark.needs_extension("cancel")
async def test_failure_of_a_child_cancels_its_remote_siblings(world: World) -> None:
    """The nursery ends as soon as they have ended, and raises the failure only."""
    app = world.resonate("foo")
    ended = []

    @app.register(retry=Never())
    async def fail() -> None:
        await trio.sleep(1)
        raise ValueError("failed")

    @app.register
    async def last() -> None:
        try:
            await trio.sleep(1000)
        finally:
            ended.append(trio.current_time())

    @app.register
    async def flow(ctx: Context) -> float:
        start = ctx.now()
        with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="failed")):
            async with ctx.open_nursery() as nursery:
                nursery.rfi(last)
                nursery.rfi(fail)
                nursery.rfi(last)
        return (ctx.now() - start).total_seconds()

    async with app:
        assert await app.rfc("a", flow) == pytest.approx(1, abs=0.1)
    assert ended == pytest.approx([1, 1], abs=0.1)
    assert [(await world.promise(f"a:{n}")).state for n in (1, 2, 3)] == [
        "rejected_canceled",
        "rejected",
        "rejected_canceled",
    ]


async def test_failure_of_a_child_cuts_the_block_of_its_nursery(world: World) -> None:
    """The block stands at another invocation; that is cancelled, and raises trio's Cancelled."""
    app = world.resonate("foo")
    seen = []

    @app.register(retry=Never())
    async def fail() -> None:
        await trio.sleep(1)
        raise ValueError("failed")

    @app.register
    async def flow(ctx: Context) -> str:
        with pytest.RaisesGroup(ValueError):
            async with ctx.open_nursery() as nursery:
                nursery.rfi(fail)
                try:
                    await ctx.sleep(1000)
                except trio.Cancelled:
                    seen.append("cancelled")
                    raise
        return "caught"

    async with app:
        assert await app.rfc("a", flow) == "caught"
    assert seen == ["cancelled"]
    assert (await world.promise("a:2")).state == "rejected_canceled"


async def test_failure_of_a_local_child_cancels_local_siblings(world: World) -> None:
    """A leaf is cancelled at once."""
    app = world.resonate("foo")

    async def fail() -> None:
        await trio.sleep(1)
        raise ValueError("failed")

    async def last() -> None:
        await trio.sleep(1000)

    @app.register
    async def flow(ctx: Context) -> float:
        start = trio.current_time()
        with pytest.RaisesGroup(ValueError):
            async with ctx.open_nursery() as nursery:
                nursery.options(retry=Never()).lfi(fail)
                nursery.lfi(last)
        return trio.current_time() - start

    async with app:
        assert await app.rfc("a", flow) == pytest.approx(1, abs=0.1)
    assert (await world.promise("a:2")).state == "rejected_canceled"


async def test_nursery_that_is_not_fail_fast_waits_for_all(world: World) -> None:
    """Nothing is cancelled."""
    app = world.resonate("foo")

    @app.register(retry=Never())
    async def run(seconds: float, fails: bool) -> float:
        await trio.sleep(seconds)
        if fails:
            raise ValueError(str(seconds))
        return seconds

    @app.register
    async def flow(ctx: Context) -> float:
        with pytest.RaisesGroup(ValueError):
            async with ctx.open_nursery(fail_fast=False) as nursery:
                nursery.rfi(run, 1.0, fails=True)
                other = nursery.rfi(run, 50.0, fails=False)
        return other.value

    async with app:
        assert await app.rfc("a", flow) == pytest.approx(50)


async def test_exception_of_the_block_cancels_the_children(world: World) -> None:
    """As in trio. The group holds that exception."""
    app = world.resonate("foo")

    @app.register
    async def last() -> None:
        await trio.sleep(1000)

    @app.register
    async def flow(ctx: Context) -> None:
        with pytest.RaisesGroup(KeyError):
            async with ctx.open_nursery() as nursery:
                nursery.rfi(last)
                await ctx.sleep(1)
                raise KeyError("block")

    async with app:
        await app.rfc("a", flow)
    assert (await world.promise("a:1")).state == "rejected_canceled"


async def test_cancelled_nursery_ends_without_an_error(world: World) -> None:
    """nursery.cancel(): the block is cut at its next wait, children end, nothing is raised."""
    app = world.resonate("foo")

    @app.register
    async def last() -> None:
        await trio.sleep(1000)

    @app.register
    async def flow(ctx: Context) -> str:
        async with ctx.open_nursery() as nursery:
            handle = nursery.rfi(last)
            nursery.lfi(last)
            nursery.cancel()
            await ctx.sleep(1)
            raise AssertionError("the wait should be cut")
        with pytest.raises(InvocationCancelled):
            _ = handle.value
        return "went on"

    async with app:
        assert await app.rfc("a", flow) == "went on"


async def test_cancelled_handle_is_no_failure_of_its_nursery(world: World) -> None:
    """handle.cancel() ends one child; awaiting it raises InvocationCancelled; the others go on."""
    app = world.resonate("foo")

    @app.register
    async def last(seconds: float) -> float:
        await trio.sleep(seconds)
        return seconds

    @app.register
    async def flow(ctx: Context) -> float:
        async with ctx.open_nursery() as nursery:
            first, second = nursery.rfi(last, 1000.0), nursery.rfi(last, 5.0)
            first.cancel()
            with pytest.raises(InvocationCancelled):
                await first
        return second.value

    async with app:
        assert await app.rfc("a", flow) == pytest.approx(5)


async def test_child_cancelled_from_outside_is_a_failure(world: World) -> None:
    """It is not what the flow has asked for."""
    app = world.resonate("foo")

    @app.register
    async def last() -> None:
        await trio.sleep(1000)

    @app.register
    async def flow(ctx: Context) -> None:
        with pytest.RaisesGroup(InvocationCancelled):
            async with ctx.open_nursery() as nursery:
                nursery.rfi(last)
                nursery.rfi(last)

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(5)
        await app.cancel("a:1", reason="by hand")
        await handle
    assert (await world.promise("a:2")).state == "rejected_canceled"


# --- Deadlines ----------------------------------------------------------------------------------------


@pytest.mark.needs_extension("cancel")
async def test_move_on_after_cuts_a_remote_call(world: World) -> None:
    """The called function is cancelled, and has ended when the block is left."""
    app = world.resonate("foo")
    ended = []

    @app.register
    async def last() -> None:
        try:
            await trio.sleep(1000)
        finally:
            ended.append(trio.current_time())

    @app.register
    async def flow(ctx: Context) -> bool:
        with ctx.move_on_after(5) as scope:
            await ctx.rfc(last)
        assert len(ended) == 1
        return scope.cancelled_caught

    async with app:
        assert await app.rfc("a", flow) is True
    assert ended == pytest.approx([5], abs=0.2)


async def test_deadline_in_time_leaves_nothing_behind(world: World) -> None:
    """The block was quick: its timer is settled, cancelled_caught is false."""
    app = world.resonate("foo")

    @app.register
    async def flow(ctx: Context) -> bool:
        with ctx.move_on_after(500) as scope:
            await ctx.sleep(1)
        return scope.cancelled_caught

    async with app:
        assert await app.rfc("a", flow) is False
    assert (await world.promise("a:1")).state == "rejected_canceled"


async def test_fail_after_raises_too_slow(world: World) -> None:
    """As in trio."""
    app = world.resonate("foo")

    @app.register
    async def flow(ctx: Context) -> str:
        try:
            with ctx.fail_after(5):
                await ctx.sleep(50)
        except trio.TooSlowError:
            return "too slow"
        return "in time"

    async with app:
        assert await app.rfc("a", flow) == "too slow"


async def test_deadline_cuts_a_local_leaf(world: World) -> None:
    """By the clock of the worker, while the task is held."""
    app = world.resonate("foo")

    async def last() -> None:
        await trio.sleep(1000)

    @app.register
    async def flow(ctx: Context) -> float:
        start = trio.current_time()
        with ctx.move_on_after(5):
            await ctx.lfc(last)
        return trio.current_time() - start

    async with app:
        assert await app.rfc("a", flow) == pytest.approx(5, abs=0.2)


async def test_nursery_with_a_timeout_raises_too_slow(world: World) -> None:
    """Its children are cancelled."""
    app = world.resonate("foo")

    @app.register
    async def last() -> None:
        await trio.sleep(1000)

    @app.register
    async def flow(ctx: Context) -> str:
        try:
            async with ctx.open_nursery(timeout=5) as nursery:
                nursery.rfi(last)
        except trio.TooSlowError:
            return "too slow"
        return "in time"

    async with app:
        assert await app.rfc("a", flow) == "too slow"
    assert (await world.promise("a:2")).state == "rejected_canceled"


# --- Cancelling a whole tree --------------------------------------------------------------------------


@pytest.mark.needs_extension("cancel")
async def test_cancelling_a_root_cancels_the_whole_tree(world: World) -> None:
    """Three levels over two groups; each runs its finally before the one above has ended."""
    foo, bar = world.resonate("foo"), world.resonate("bar")
    ended = []

    @foo.register
    async def top(ctx: Context) -> None:
        try:
            await ctx.options(group="bar").rfc("middle")
        finally:
            ended.append("top")

    @bar.register
    async def middle(ctx: Context) -> None:
        try:
            async with ctx.open_nursery() as nursery:
                nursery.rfi(leaf)
                nursery.lfi(leaf)
        finally:
            ended.append("middle")

    @bar.register
    async def leaf() -> None:
        try:
            await trio.sleep(1000)
        finally:
            ended.append("leaf")

    async with foo, bar:
        handle = await foo.rfi("a", top)
        await trio.sleep(5)
        await foo.cancel("a", reason="enough")
        with pytest.raises(InvocationCancelled, match="enough"):
            await handle
        assert trio.current_time() < 7
    assert ended == ["leaf", "leaf", "middle", "top"]


@pytest.mark.needs_extension("cancel")
async def test_shield_lets_compensation_run(world: World) -> None:
    """Durable calls inside it are made although the function is cancelled."""
    app = world.resonate("foo")
    undone = []

    async def undo() -> None:
        undone.append("undone")

    @app.register
    async def flow(ctx: Context) -> None:
        try:
            await ctx.sleep(1000)
        except trio.Cancelled:
            with ctx.shield(budget=10):
                await ctx.sleep(1)
                await ctx.lfc(undo)
            raise

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(5)
        await app.cancel("a")
        with pytest.raises(InvocationCancelled):
            await handle
    assert undone == ["undone"]


@pytest.mark.needs_extension("cancel")
async def test_shield_ends_with_its_budget(world: World) -> None:
    """What takes longer is cut."""
    app = world.resonate("foo")

    @app.register
    async def flow(ctx: Context) -> None:
        try:
            await ctx.sleep(1000)
        finally:
            with ctx.shield(budget=10):
                await ctx.sleep(500)

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(5)
        await app.cancel("a")
        with pytest.raises(InvocationCancelled):
            await handle
        assert trio.current_time() == pytest.approx(15, abs=1)


async def test_task_that_was_cancelled_before_it_began_never_runs(world: World) -> None:
    """It is settled without a run of its function."""
    bar = world.resonate("bar")
    ran = []

    @bar.register(name="work")
    async def work() -> None:
        ran.append(1)

    foo = world.resonate("foo")
    async with foo:
        handle = await foo.options(group="bar").rfi("a", "work")
        with trio.move_on_after(1):
            await foo.cancel("a")
        async with bar:
            with pytest.raises(InvocationCancelled):
                await handle
    assert ran == []
    assert (await world.task("a")).state is TaskState.FULFILLED


@pytest.mark.needs_extension("cancel")
async def test_result_that_came_just_before_wins(world: World) -> None:
    """The function comes to no durable wait any more: what it returns is its outcome."""
    app = world.resonate("foo")

    async def step() -> str:
        return "stored"

    @app.register
    async def flow(ctx: Context) -> str:
        done = await ctx.lfc(step)
        await trio.sleep(10)
        return done

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(5)
        await app.cancel("a")
        assert await handle == "stored"


# --- Races --------------------------------------------------------------------------------------------


async def test_first_success_wins_and_the_others_are_cancelled(world: World) -> None:
    """A failure before it does not matter."""
    app = world.resonate("foo")

    @app.register(retry=Never())
    async def run(seconds: float, fails: bool = False) -> float:
        await trio.sleep(seconds)
        if fails:
            raise ValueError("slow")
        return seconds

    @app.register
    async def flow(ctx: Context) -> object:
        async with ctx.open_nursery() as nursery:
            nursery.rfi(run, 1.0, fails=True)
            nursery.rfi(run, 100.0)
            nursery.rfi(run, 5.0)
            winner = await nursery.first()
            await ctx.sleep(1)
        return winner

    async with app:
        assert await app.rfc("a", flow) == pytest.approx(5)
        assert trio.current_time() < 10
    assert (await world.promise("a:2")).state == "rejected_canceled"


async def test_race_that_all_lose_raises_all_failures(world: World) -> None:
    """In order of creation."""
    app = world.resonate("foo")

    @app.register(retry=Never())
    async def run(seconds: float) -> float:
        await trio.sleep(seconds)
        raise ValueError(seconds)

    @app.register
    async def flow(ctx: Context) -> list[str]:
        errors: list[str] = []
        async with ctx.open_nursery() as nursery:
            nursery.rfi(run, 5.0)
            nursery.options(retry=Never()).lfi(run, 1.0)
            try:
                await nursery.first()
            except* ValueError as group:
                errors = [str(error) for error in group.exceptions]
        return errors

    async with app:
        assert await app.rfc("a", flow) == ["5.0", "1.0"]


@pytest.mark.needs_extension("cancel")
@pytest.mark.parametrize("kind", ["lfi", "lfc"])
async def test_remote_failure_is_heard_while_a_local_step_runs(world: World, kind: str) -> None:
    """The step is cut, and the remote sibling cancelled, long before the step would have ended by itself."""
    app = world.resonate("foo")

    @app.register(retry=Never())
    async def fail() -> None:
        await trio.sleep(2)
        raise ValueError("failed")

    @app.register
    async def last() -> None:
        await trio.sleep(1000)

    @app.register
    async def flow(ctx: Context) -> float:
        with pytest.RaisesGroup(ValueError):
            async with ctx.open_nursery() as nursery:
                nursery.rfi(fail)
                nursery.rfi(last)
                if kind == "lfi":
                    nursery.lfi(last)
                else:
                    await nursery.lfc(last)
        return trio.current_time()

    async with app:
        assert await app.rfc("a", flow) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("kind", ["sleep", "rfc"])
async def test_wait_is_over_in_time_while_a_local_step_runs_beside_it(world: World, kind: str) -> None:
    """The task is held all the while, so it is not woken: the worker listens."""
    app = world.resonate("foo")

    @app.register
    async def last(seconds: float) -> None:
        await trio.sleep(seconds)

    @app.register
    async def flow(ctx: Context) -> float:
        step = ctx.lfi(last, 100.0)
        if kind == "sleep":
            await ctx.sleep(5)
        else:
            await ctx.rfc(last, 5.0)
        ended = trio.current_time()
        await step
        return ended

    async with app:
        assert await app.rfc("a", flow) == pytest.approx(5, abs=0.5)
