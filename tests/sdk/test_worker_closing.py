"""How a worker is closed: drained within a grace, whatever the reason."""

import signal

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from resonate_trio import (
    Context,
    Never,
    Resonate,
)
from resonate_trio.protocol import (
    Envelope,
    Head,
    TaskGet,
    TaskReply,
)

from .kit import Gauge, Recorder, World, in_virtual_time, register_run

pytestmark = in_virtual_time


async def test_drain_lets_running_functions_end_within_the_grace(world: World) -> None:
    """The block does not end before they have; what they return is stored."""
    app = world.resonate(grace=5)

    @app.register
    async def slow() -> str:
        await trio.sleep(3)
        return "done"

    async with app:
        await app.rfi("a", slow)
        await trio.sleep(1)
    assert trio.current_time() == pytest.approx(3, abs=0.1)
    assert (await world.promise("a")).state == "resolved"


async def test_drain_gives_the_rest_to_other_workers(world: World) -> None:
    """Beyond the grace a task is cancelled and released, and another worker executes it."""
    app, other = world.resonate("g", grace=5), world.resonate("g")
    gauges = [Gauge(), Gauge()]
    register_run(app, gauges[0])
    register_run(other, gauges[1])
    async with app:
        await app.rfi("a", "run", 20)
        await trio.sleep(1)
    assert trio.current_time() == pytest.approx(6, abs=0.1)
    assert (await world.task("a")).state == "pending"
    async with other:
        await (await other.get("a"))
    assert [gauge.total for gauge in gauges] == [1, 1]


async def test_drain_takes_nothing_new(world: World) -> None:
    """What is offered during the grace, or waits for a seat, is left to others."""
    app, gauge = world.resonate(capacity=1, grace=5), Gauge()
    register_run(app, gauge)
    async with app:
        await app.rfi("a", "run", 3)
        await app.rfi("b", "run", 3)
        await trio.sleep(1)
    assert gauge.total == 1
    assert (await world.task("b")).state == "pending"


async def test_drain_leaves_suspended_tasks_to_the_server(world: World, recorder: Recorder) -> None:
    """Parked executions leave memory, at once, and their tasks stay suspended."""
    app = world.resonate(instrument=recorder)

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.sleep(100)

    async with app:
        await app.rfi("a", flow)
        await trio.sleep(1)
    assert trio.current_time() == pytest.approx(1, abs=0.1)
    assert recorder.of("a") == ["started", "suspended", "dropped"]
    assert (await world.task("a")).state == "suspended"


async def test_function_that_is_suspended_during_the_grace_is_not_kept(world: World) -> None:
    """Its task is the server's then."""
    app = world.resonate(grace=10)

    @app.register
    async def flow(ctx: Context) -> None:
        await trio.sleep(3)
        await ctx.sleep(100)

    async with app:
        await app.rfi("a", flow)
        await trio.sleep(1)
    assert trio.current_time() == pytest.approx(3, abs=0.1)
    assert (await world.task("a")).state == "suspended"


async def test_task_that_is_acquired_too_late_is_released_without_being_run(world: World) -> None:
    """An acquisition whose reply comes when the worker is closing is no reason to begin."""
    world.wire.acquires = False
    app, gauge = world.resonate(grace=2), Gauge()
    register_run(app, gauge)
    gate = world.wire.gates["task.acquire"] = trio.Event()
    async with trio.open_nursery() as nursery, app:
        await app.rfi("a", "run", 100)
        await trio.sleep(1)
        nursery.start_soon(open_at, gate, 4)
    assert gauge.total == 0
    assert trio.current_time() == pytest.approx(4, abs=0.1)
    assert (await world.task("a")).state == "pending"


async def open_at(gate: trio.Event, instant: float) -> None:
    """Set an event at an instant."""
    await trio.sleep_until(instant)
    gate.set()


async def test_exit_by_an_exception_drains_too(world: World) -> None:
    """The application's own exception comes out as it is, after the worker was drained."""
    app = world.resonate(grace=5)

    @app.register
    async def slow() -> None:
        await trio.sleep(3)

    async def fail() -> None:
        async with app:
            await app.rfi("a", slow)
            await trio.sleep(1)
            raise ValueError("the application's own")

    with pytest.raises(ValueError, match="the application's own"):
        await fail()
    assert (await world.promise("a")).state == "resolved"


async def test_exit_by_cancellation_drains_too(world: World) -> None:
    """Ctrl-C, or a scope around the block, ends it as its end would."""
    app, gauge = world.resonate(grace=2), Gauge()
    register_run(app, gauge)
    with trio.move_on_after(1) as scope:
        async with app:
            await app.rfi("a", "run", 100)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(3, abs=0.1)
    assert (await world.task("a")).state == "pending"


async def test_closing_waits_for_cleanup_that_is_shielded(world: World) -> None:
    """As trio does: a task that shields itself is waited for."""
    app = world.resonate(grace=0)
    ended = trio.Event()

    @app.register(retry=Never())
    async def stubborn() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(4)
        ended.set()

    async with app:
        await app.rfi("a", stubborn)
        await trio.sleep(1)
    assert ended.is_set()
    assert trio.current_time() == pytest.approx(4, abs=0.1)


async def test_local_call_that_is_cancelled_leaves_no_task_behind(world: World) -> None:
    """Cancelled while it asks the server, it was either not begun, or the task it acquired is run."""
    app = world.resonate()
    register_run(app, Gauge())
    async with app:
        for n in range(5):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(app.lfi, f"a{n}", "run", 1)
                    for _ in range(n):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
            await trio.sleep(2)
        held = [promise for promise in ("a0", "a1", "a2", "a3", "a4") if await is_held(world, promise)]
    assert held == []


async def is_held(world: World, id: str) -> bool:
    """Tell whether a task exists and is held by somebody."""
    reply = await world.engine.perform(Envelope(Head("c"), TaskGet(id)))
    return isinstance(reply.data, TaskReply) and reply.data.task.state == "acquired"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_serve_executes_tasks_until_it_is_signalled_and_then_drains(
    world: World, number: signal.Signals
) -> None:
    """What runs ends within the grace, and its result is stored."""
    app, client = world.resonate(grace=5), world.resonate("client")

    @app.register
    async def slow() -> str:
        await trio.sleep(3)
        return "done"

    async with client, trio.open_nursery() as nursery:
        nursery.start_soon(app.serve)
        handle = await client.options(group="default").rfi("a", "slow")
        await wait_all_tasks_blocked(0.01)
        signal.raise_signal(number)
        assert await handle == "done"
    assert trio.current_time() == pytest.approx(3, abs=0.1)


async def test_functions_of_one_application_can_be_run_by_another(world: World) -> None:
    """As in a test: the same registry on another server."""
    app = world.resonate("elsewhere")

    @app.register
    async def one() -> int:
        return 1

    async with Resonate(engine=world.engine, registry=app.registry) as copy:
        assert await copy.rfc("a", one) == 1
