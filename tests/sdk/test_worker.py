"""The worker: seats, offers, leases, and hooks to watch it by."""

import pytest
import trio

from resonate_trio import (
    Context,
    Instrument,
    UsageError,
)
from resonate_trio.protocol import (
    Execute,
    Request,
    TaskFence,
)

from .kit import Gauge, Recorder, World, in_virtual_time, register_run

pytestmark = in_virtual_time


# --- Seats and offers ---------------------------------------------------------------------------------


async def test_worker_runs_no_more_than_its_capacity(world: World) -> None:
    """All the others wait for a seat, and none is run twice although the server offers them again."""
    app, gauge = world.resonate(capacity=3), Gauge()
    register_run(app, gauge)
    async with app:
        handles = [await app.rfi(f"a{n}", "run", 20) for n in range(9)]
        for handle in handles:
            await handle
        assert trio.current_time() == pytest.approx(60, abs=0.1)
    assert (gauge.most, gauge.total) == (3, 9)


async def test_resumed_task_waits_for_a_seat(world: World) -> None:
    """Coming back from a suspension is no way around the capacity."""
    app, gauge = world.resonate(capacity=1), Gauge()

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.sleep(10)
        await gauge.run(5)

    async with app:
        handles = [await app.rfi(f"a{n}", flow) for n in range(3)]
        for handle in handles:
            await handle
        assert trio.current_time() == pytest.approx(25, abs=0.1)
    assert gauge.most == 1


async def test_local_call_of_an_application_needs_no_seat(world: World) -> None:
    """Whoever calls locally waits here already: it is run at once."""
    app, gauge = world.resonate(capacity=1), Gauge()
    register_run(app, gauge)
    async with app:
        await app.rfi("a", "run", 20)
        await trio.sleep(1)
        await app.lfc("b", "run", 5)
        assert trio.current_time() == pytest.approx(6, abs=0.1)


async def test_task_that_is_offered_twice_is_run_once(world: World) -> None:
    """Messages may come again: before, while and after the task is acquired."""
    app, gauge = world.resonate(), Gauge()
    register_run(app, gauge)
    async with app:
        receive = app._require_running().worker.receive
        handle = await app.rfi("a", "run", 20)
        for _ in range(3):
            receive(Execute("a", 0))
            receive(Execute("a", 0))
            await trio.sleep(1)
        await handle
        receive(Execute("a", 0))
        receive(Execute("none", 0))
        await trio.sleep(1)
    assert gauge.total == 1


async def test_two_workers_share_the_load(world: World) -> None:
    """The server gives the next task to the one with less to do."""
    apps, gauges = [world.resonate("g"), world.resonate("g")], [Gauge(), Gauge()]
    for app, gauge in zip(apps, gauges, strict=True):
        register_run(app, gauge)
    async with apps[0], apps[1]:
        handles = [await apps[0].rfi(f"a{n}", "run", 20) for n in range(10)]
        for handle in handles:
            await handle
    assert [gauge.most for gauge in gauges] == [5, 5]


# --- Leases -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("finite_leases")
async def test_execution_ends_when_the_server_is_away_for_its_lease(world: World, recorder: Recorder) -> None:
    """Somebody else may have the task by then."""
    world.wire.acquires = False
    app = world.resonate(lease=10, instrument=recorder)

    @app.register
    async def flow(ctx: Context) -> str:
        await ctx.lfc(trio.sleep, 0)
        return "done"

    async with app:
        handle = await app.rfi("a", flow)
        world.wire.lost_requests["task.fence"] = 10**6
        await trio.sleep(9)
        assert recorder.of("a") == ["started"]
        await trio.sleep(2)
        assert recorder.of("a")[:2] == ["started", "dropped"]
        world.wire.lost_requests.clear()
        assert await handle == "done"


@pytest.mark.usefixtures("finite_leases")
async def test_execution_ends_with_its_lease(world: World, recorder: Recorder) -> None:
    """Without a heartbeat that arrives, the execution is dropped when its lease is over; another worker goes on.

    What its frames still do on their way out is not durable.
    """
    world.wire.acquires = False
    app = world.resonate("g", lease=10, instrument=recorder)
    other = world.resonate("g", lease=10)
    trace: list[str] = []

    @app.register(name="flow")
    async def unlucky(ctx: Context) -> str:
        try:
            await trio.sleep(25)
        finally:
            trace.append(f"cut at {trio.current_time():.0f}")
            with trio.CancelScope(shield=True):
                try:
                    await ctx.lfc(trio.sleep, 0)
                except BaseException as error:
                    trace.append(type(error).__name__)
                    raise
        return "unlucky"

    @other.register(name="flow")
    async def lucky() -> str:
        return "lucky"

    async with app:
        handle = await app.rfi("a", "flow")
        await trio.sleep(5)
        async with other:
            assert await handle == "lucky"
    assert trace == ["cut at 10", "ExecutionDropped"]
    assert recorder.of("a") == ["started", "dropped"]


async def test_execution_ends_when_the_server_says_that_the_task_is_lost(world: World, recorder: Recorder) -> None:
    """A fence that is refused with 409 means that somebody else may run it: nothing of it goes on."""
    app = world.resonate(instrument=recorder)
    trace: list[str] = []

    def refuse_fences(request: Request) -> tuple[int, object] | None:
        return (409, "not held") if isinstance(request, TaskFence) else None

    world.wire.answer = refuse_fences

    @app.register
    async def flow(ctx: Context) -> None:
        try:
            await ctx.lfc(trio.sleep, 0)
        except Exception:
            trace.append("an exception")
        finally:
            trace.append("finally")

    async with app:
        await app.rfi("a", flow)
        await trio.sleep(1)
    assert trace == ["finally"]
    assert ("dropped", "a", "not held") in recorder.events


async def test_failing_cleanup_of_a_dropped_execution_harms_nobody(world: World) -> None:
    """Whatever a function raises on its way out, the worker goes on."""
    app = world.resonate(max_parked=0)

    async def clean_up_badly() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("bad cleanup")

    @app.register
    async def flow(ctx: Context) -> object:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clean_up_badly)
            await ctx.sleep(10)
            nursery.cancel_scope.cancel()
        return "never"

    @app.register
    async def good() -> str:
        return "good"

    async with app:
        await app.rfi("a", flow)
        await trio.sleep(5)
        assert await app.rfc("b", good) == "good"


async def test_step_is_not_started_when_its_lease_is_over_by_the_clock(world: World) -> None:
    """Nobody has noticed yet; the step must not run nevertheless."""
    app = world.resonate()
    runs: list[str] = []

    async def step() -> None:
        runs.append("run")

    @app.register
    async def flow(ctx: Context) -> None:
        ctx._frame.execution.held.lease.until = trio.current_time()
        await ctx.lfc(step)

    async with app:
        await app.rfi("a", flow)
        await trio.sleep(1)
    assert runs == []


async def test_short_outage_of_the_server_is_sat_out(world: World) -> None:
    """As long as the lease lasts, requests are tried again."""
    app = world.resonate()
    world.wire.lost_requests["task.fence"] = 5

    @app.register
    async def flow(ctx: Context) -> int:
        async with ctx.open_nursery() as nursery:
            handles = [nursery.lfi(one), nursery.lfi(one)]
        return sum(handle.value for handle in handles)

    async def one() -> int:
        return 1

    async with app:
        assert await app.rfc("a", flow) == 2


# --- Hooks --------------------------------------------------------------------------------------------


async def test_hook_that_fails_ends_the_application(world: World) -> None:
    """It is a bug of the application, and must not be lost. Nothing hangs."""

    class Faulty(Instrument):
        def task_suspended(self, id: str) -> None:
            raise ValueError(f"bad hook for {id}")

    app = world.resonate(instrument=Faulty())

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.sleep(1)

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="bad hook for a")):
        async with app:
            await app.rfc("a", flow)


async def test_hooks_tell_of_invocations(world: World) -> None:
    """Each durable call is told, with its kind, its name and its caller."""
    told: list[tuple[str, str, str, str]] = []

    class Watch(Instrument):
        def invoked(self, id: str, kind: str, name: str, parent: str) -> None:
            told.append((id, kind, name, parent))

    app = world.resonate(instrument=Watch())

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.promise()
        await ctx.sleep(0)
        ctx.detached("nobody")
        await ctx.lfc(trio.sleep, 0)
        with pytest.raises(UsageError):
            await ctx.options(group="g").lfc(trio.sleep, 0)

    async with app:
        await app.rfc("a", flow)
    assert told == [
        ("a:1", "external", "promise", "a"),
        ("a:2", "timer", "sleep", "a"),
        ("a:3", "detached", "nobody", "a"),
        ("a:4", "local", "sleep", "a"),
    ]
