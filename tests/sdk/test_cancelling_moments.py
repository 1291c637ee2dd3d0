"""When an invocation is cancelled, how often, how long it may take, and what it may do meanwhile."""

from functools import partial
from typing import TYPE_CHECKING, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from resonate_trio import Context, InvocationCancelled, Never, Resonate
from resonate_trio._codec import Call
from resonate_trio.protocol import PromiseState, TaskState

from .kit import Recorder, World, in_virtual_time
from .tree_kit import Log, hold, running, states

if TYPE_CHECKING:
    from server_ref.engine import Engine

pytestmark = in_virtual_time

needs_cancel = pytest.mark.needs_extension("cancel")


# --- Budgets ------------------------------------------------------------------------------------------


@needs_cancel
async def test_server_ends_the_subtree_that_outlives_its_budget(world: World, recorder: Recorder) -> None:
    """A leaf ignores its cancellation: nobody waits for it any longer, and its result comes too late."""
    foo, bar = world.resonate("foo"), world.resonate("bar", instrument=recorder)
    ended: list[float] = []

    @bar.register
    async def stubborn() -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(100)
        ended.append(trio.current_time())
        return "too late"

    @bar.register
    async def middle(ctx: Context) -> None:
        async with ctx.open_nursery() as nursery:
            nursery.rfi(stubborn)
            nursery.lfi(stubborn)

    @foo.register
    async def flow(ctx: Context) -> None:
        await ctx.options(group="bar").rfc("middle")

    async with running(bar), foo:
        handle = await foo.rfi("a", flow)
        await trio.sleep(5)
        assert await handle.cancel(budget=10)
        assert trio.current_time() == pytest.approx(15, abs=1)
        assert set((await states(world)).values()) == {PromiseState.CANCELED}
        await trio.sleep(200)
    assert ended == pytest.approx([100, 100], abs=1)
    assert [event for event in recorder.events if event[0] in {"finished", "executed"}] == []
    assert set((await states(world)).values()) == {PromiseState.CANCELED}


@needs_cancel
async def test_late_writers_are_fenced_off(world: World) -> None:
    """A function that cleans up for longer than it may can do nothing durable any more."""
    app = world.resonate()
    written: list[str] = []

    async def write(what: str) -> None:
        written.append(what)

    @app.register
    async def flow(ctx: Context) -> None:
        try:
            await ctx.lfc(write, "before")
            await ctx.sleep(1000)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(20)
            with ctx.shield(budget=100):
                await ctx.lfc(write, "too late")
                await ctx.lfc(write, "never")

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(5)
        await handle.cancel(budget=10)
        await trio.sleep(100)
        assert sorted(await states(world)) == ["a", "a:1", "a:2"]
    assert "never" not in written


# --- Compensation -------------------------------------------------------------------------------------


@needs_cancel
@pytest.mark.parametrize("max_parked", [10, 0], ids=["parked", "dropped"])
async def test_compensation_runs_on_other_workers_while_a_flow_is_cancelled(world: World, max_parked: int) -> None:
    """What was reserved is released, in reverse order; then the flow ends as cancelled."""
    shop, stock = world.resonate("shop", max_parked=max_parked), world.resonate("stock", max_parked=max_parked)
    booked: list[str] = []

    @stock.register
    async def reserve(ctx: Context, name: str) -> None:
        await ctx.sleep(1)
        booked.append(name)

    @stock.register
    async def release(ctx: Context, name: str) -> None:
        await ctx.sleep(2)
        assert booked.pop() == name

    @shop.register
    async def order(ctx: Context) -> None:
        there = ctx.options(group="stock")
        done: list[str] = []
        try:
            for name in ("flight", "hotel"):
                await there.rfc("reserve", name)
                done.append(name)
            await ctx.sleep(1000)
        except trio.Cancelled:
            with ctx.shield(budget=20):
                for name in reversed(done):
                    await there.rfc("release", name)
            raise

    async with running(stock), shop:
        handle = await shop.rfi("a", order)
        await trio.sleep(5)
        assert booked == ["flight", "hotel"]
        await handle.cancel()
        assert trio.current_time() == pytest.approx(9, abs=0.5)
        ended = await states(world)
    assert booked == []
    assert [ended[id] for id in ("a", "a:3", "a:5", "a:6")] == [
        PromiseState.CANCELED,
        PromiseState.CANCELED,
        PromiseState.RESOLVED,
        PromiseState.RESOLVED,
    ]


@needs_cancel
async def test_compensation_that_a_crash_has_cut_is_completed_by_the_next_run(world: World) -> None:
    """Steps of it that are stored are not run again."""
    app = world.resonate()
    ran: list[str] = []

    async def step(name: str) -> None:
        ran.append(name)

    @app.register
    async def flow(ctx: Context) -> None:
        try:
            await ctx.lfc(step, "reserve")
            await ctx.sleep(1000)
        finally:
            with ctx.shield(budget=20):
                await ctx.lfc(step, "release")
                await ctx.sleep(1)
                if not crashed.is_set():
                    crashed.set()
                    await trio.sleep_forever()
                await ctx.lfc(step, "tell")

    crashed = trio.Event()
    other = Resonate(engine=cast("Engine", world.wire), registry=app.registry)
    async with trio.open_nursery() as nursery:
        await nursery.start(hold, app)
        handle = await app.rfi("a", flow)
        await trio.sleep(5)
        nursery.start_soon(partial(app.cancel, "a"))
        await crashed.wait()
        nursery.cancel_scope.cancel()
    async with other:
        with pytest.raises(InvocationCancelled):
            await (await other.get("a"))
    assert handle.id == "a"
    assert ran == ["reserve", "release", "tell"]


# --- Twice -----------------------------------------------------------------------------------------


async def test_asking_twice_changes_nothing(world: World) -> None:
    """The first to ask is who has cancelled it."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> None:
        try:
            await ctx.sleep(1000)
        finally:
            with ctx.shield(budget=20):
                await ctx.sleep(10)

    async with app, trio.open_nursery() as nursery:
        handle = await app.rfi("a", flow)
        await trio.sleep(5)
        nursery.start_soon(partial(app.cancel, "a", reason="first"))
        await trio.sleep(1)
        assert await app.cancel("a", reason="second")
        with pytest.raises(InvocationCancelled, match="first"):
            await handle


@needs_cancel
async def test_subtree_that_was_cancelled_by_its_caller_may_be_cancelled_with_it(world: World) -> None:
    """The two requests do not get in each other's way."""
    foo, bar = world.resonate("foo"), world.resonate("bar")
    log = Log()

    @bar.register
    async def slow(ctx: Context) -> None:
        with log.cleaning("slow"):
            try:
                await ctx.sleep(1000)
            finally:
                with ctx.shield(budget=20):
                    await ctx.sleep(10)

    @foo.register
    async def flow(ctx: Context) -> None:
        with log.cleaning("flow"):
            handle = ctx.options(group="bar").rfi("slow")
            await ctx.sleep(5)
            handle.cancel()
            await handle

    async with running(bar), foo:
        handle = await foo.rfi("a", flow)
        await trio.sleep(7)
        await handle.cancel()
    # What the flow had asked for itself is the outcome of its wait; it failed by that, as it does not expect it.
    assert log == ["slow"]
    assert trio.current_time() == pytest.approx(15, abs=1)


# --- When ---------------------------------------------------------------------------------------------


async def test_flow_whose_worker_is_dead_is_cancelled_when_it_is_replayed(world: World) -> None:
    """Its steps are not run again, and it goes no further than where it stood."""
    app = world.resonate()
    ran: list[str] = []
    log = Log()

    @app.register
    async def step(name: str) -> str:
        ran.append(name)
        return name

    @app.register
    async def flow(ctx: Context) -> None:
        with log.cleaning("flow"):
            await ctx.lfc(step, "one")
            await ctx.sleep(1000)
            await ctx.lfc(step, "two")

    task = await world.start_by_hand("a", Call("flow"))
    await world.step_by_hand(task, "a:1", "step", "one")
    async with world.resonate("client") as client, trio.open_nursery() as nursery:
        nursery.start_soon(partial(client.cancel, "a", reason="enough"))
        await trio.sleep(5)
        async with app:
            with pytest.raises(InvocationCancelled, match="enough"):
                await (await app.get("a"))
    assert ran == []


@pytest.mark.parametrize("max_parked", [10, 0], ids=["parked", "dropped"])
async def test_cancellation_may_come_while_the_task_is_being_suspended(world: World, max_parked: int) -> None:
    """The reply to the suspension is on its way: it is acted upon once the task is ours again."""
    app = world.resonate(max_parked=max_parked)
    gate = trio.Event()
    kind = "batch" if world.engine.extensions else "task.suspend"

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.sleep(1000)

    async with app, trio.open_nursery() as nursery:
        handle = await app.rfi("a", flow)
        world.wire.gates[kind] = world.wire.gates["task.suspend"] = gate
        await wait_all_tasks_blocked(0.1)
        assert (await world.task("a")).state is TaskState.SUSPENDED
        nursery.start_soon(app.cancel, "a")
        await trio.sleep(1)
        gate.set()
        with trio.fail_after(60), pytest.raises(InvocationCancelled):
            await handle
    assert set((await states(world)).values()) == {PromiseState.CANCELED}


@needs_cancel
async def test_invocation_that_was_cancelled_before_it_was_taken_is_never_run(world: World) -> None:
    """The first worker that takes it ends it."""
    foo, bar = world.resonate("foo"), world.resonate("bar")
    ran: list[int] = []

    @bar.register
    async def work() -> None:
        ran.append(1)

    @foo.register
    async def flow(ctx: Context) -> bool:
        with ctx.move_on_after(5) as scope:
            await ctx.options(group="bar").rfc("work")
        return scope.cancelled_caught

    async with foo:
        handle = await foo.rfi("a", flow)
        await trio.sleep(10)
        async with bar:
            assert await handle is True
        assert trio.current_time() == pytest.approx(10, abs=1)
    assert ran == []


@needs_cancel
async def test_blocking_leaf_is_left_behind_and_its_result_is_not_taken(world: World) -> None:
    """A plain function runs in a thread, which nobody can stop: it is not waited for."""
    foo, bar = world.resonate("foo"), world.resonate("bar")
    gate, began = trio.Event(), trio.Event()

    @bar.register(retry=Never())
    def block() -> str:
        trio.from_thread.run_sync(began.set)
        trio.from_thread.run(gate.wait)
        return "too late"

    @foo.register
    async def flow(ctx: Context) -> None:
        await ctx.options(group="bar").rfc("block")

    async with running(bar), foo:
        handle = await foo.rfi("a", flow)
        await began.wait()
        assert await handle.cancel()
        gate.set()
        await trio.sleep(1)
        assert set((await states(world)).values()) == {PromiseState.CANCELED}
