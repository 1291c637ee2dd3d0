"""Suspension and parking: a task that waits is given back, and goes on where it was."""

from collections.abc import Sequence

import pytest
import trio

from resonate_trio import Context, Resonate
from resonate_trio._codec import Call
from resonate_trio.protocol import Request, TaskSuspend

from .kit import Recorder, World, in_virtual_time

pytestmark = in_virtual_time


def register_bar(bar: Resonate, seconds: float = 1) -> None:
    """Register a service that takes its time."""

    @bar.register(name="bar")
    async def work(n: int) -> int:
        await trio.sleep(seconds)
        return n


def register_chain(foo: Resonate) -> None:
    """Register a flow that calls bar several times, one after the other."""

    @foo.register
    async def chain(ctx: Context, n: int) -> int:
        total = 0
        for i in range(n):
            total += await ctx.rfc("bar", i)
        return total


def register_fan_out(foo: Resonate) -> None:
    """Register a flow that calls bar several times at once."""

    @foo.register
    async def fan_out(ctx: Context, n: int) -> int:
        async with ctx.open_nursery() as nursery:
            handles = [nursery.rfi("bar", i) for i in range(n)]
        return sum(handle.value for handle in handles)


# --- Parking ------------------------------------------------------------------------------------------


async def test_parked_execution_goes_on_without_replay(world: World, recorder: Recorder) -> None:
    """n calls in a row start the function once, and resume it n times."""
    foo, bar = world.resonate("foo", instrument=recorder), world.resonate("bar")
    register_chain(foo)
    register_bar(bar)
    async with foo, bar:
        assert await foo.rfc("a", "chain", 3) == 3
        assert await foo.lfc("b", "chain", 3) == 3
    expected = ["started", *["suspended", "resumed"] * 3, "finished"]
    assert recorder.of("a") == expected
    assert recorder.of("b") == expected


async def test_oldest_parked_execution_is_dropped_beyond_the_limit(world: World, recorder: Recorder) -> None:
    """With more suspended than max_parked, the one that waits longest leaves memory, and is replayed later."""
    foo, bar = world.resonate("foo", instrument=recorder, max_parked=2), world.resonate("bar")
    register_chain(foo)
    register_bar(bar, seconds=10)
    async with foo, bar:
        handles = []
        for id in "abc":
            handles.append(await foo.rfi(id, "chain", 1))
            await trio.sleep(1)
        assert [await handle for handle in handles] == [0, 0, 0]
    assert recorder.of("a") == ["started", "suspended", "dropped", "started", "finished"]
    assert recorder.of("b") == recorder.of("c") == ["started", "suspended", "resumed", "finished"]


async def test_frames_of_a_dropped_execution_can_do_nothing_durable(world: World) -> None:
    """Only when an execution is dropped do its frames unwind, and then every durable call in them fails."""
    foo = world.resonate("foo", max_parked=0)
    unwound: list[str] = []

    @foo.register
    async def flow(ctx: Context) -> None:
        try:
            await ctx.rfc("nobody")
        finally:
            try:
                await ctx.lfc(abs, -1)
            except BaseException as error:
                unwound.append(type(error).__name__)
                raise

    async with foo:
        await foo.rfi("a", flow)
        await trio.sleep(1)
        assert unwound == ["ExecutionDropped"]
    assert world.wire.count("task.fence") == 1


async def test_parked_execution_keeps_its_frames(world: World) -> None:
    """Suspending is not cancelling: no finally block runs."""
    foo, bar = world.resonate("foo"), world.resonate("bar")
    register_bar(bar)
    trace: list[str] = []

    @foo.register
    async def flow(ctx: Context) -> None:
        try:
            await ctx.rfc("bar", 1)
            trace.append("body")
        finally:
            trace.append("finally")

    async with foo, bar:
        await foo.rfc("a", flow)
    assert trace == ["body", "finally"]


async def test_parked_execution_gives_way_when_the_task_went_elsewhere(world: World, recorder: Recorder) -> None:
    """At another version than the one it was left at, the function is run from its start."""
    world.wire.acquires = False
    foo = world.resonate("foo", instrument=recorder)

    @foo.register
    async def flow(ctx: Context) -> list[object]:
        promise = await ctx.promise()
        return [await promise, await ctx.rfc("bar", 2)]

    async with foo:
        handle = await foo.rfi("a", flow)
        await trio.sleep(1)
        # While foo is cut off, somebody else takes the task, and dies.
        world.wire.lost_requests["task.acquire"] = 10**6
        await world.resolve("a:1", "x")
        task = await world.acquire_by_hand("a")
        await trio.sleep(2)
        world.wire.lost_requests.clear()
        bar = world.resonate("bar")
        register_bar(bar)
        async with bar:
            assert await handle == ["x", 2]
    assert task.version == 2
    assert recorder.of("a").count("started") == 2
    assert ("dropped", "a", "the task went on elsewhere") in recorder.events


async def test_parked_root_is_resumed_by_a_local_call(world: World, recorder: Recorder) -> None:
    """An application that calls its own parked task when it is due goes on with it, and leaves nothing behind."""
    world.wire.acquires = False
    foo = world.resonate("foo", instrument=recorder)

    @foo.register
    async def flow(ctx: Context) -> object:
        return await (await ctx.promise())

    async with foo:
        await foo.rfi("a", flow)
        await trio.sleep(1)
        world.wire.lost_requests["task.acquire"] = 10**6
        await world.resolve("a:1", "x")
        assert await foo.lfc("a", flow) == "x"
    assert recorder.of("a") == ["started", "suspended", "resumed", "finished"]
    assert trio.current_time() < 30


# --- What is asked of the server ----------------------------------------------------------------------


@pytest.mark.parametrize("acquires", [True, False])
async def test_call_in_a_row_costs_a_constant_number_of_requests(world: World, acquires: bool) -> None:
    """The caller of n remote calls creates and suspends n times, and fulfils once. It acquires if it has to."""
    world.wire.acquires = acquires
    foo, bar = world.resonate("foo"), world.resonate("bar")
    register_chain(foo)
    register_bar(bar)
    async with foo, bar:
        await foo.rfc("a", "chain", 20)
    counts = [world.wire.count(f"task.{kind}") for kind in ("fence", "suspend", "acquire", "fulfill")]
    comes_acquired = acquires and "acquired" in world.wire.extensions
    assert counts == [20, 20, 0 if comes_acquired else 1 + 20 + 20, 1 + 20]
    assert world.wire.count("promise.get") == 0


async def test_fan_out_waits_with_a_handful_of_requests(world: World, recorder: Recorder) -> None:
    """Whatever the width, waiting for all costs a constant number of requests beyond the creations."""
    foo, bar = world.resonate("foo", instrument=recorder), world.resonate("bar", capacity=1000)
    register_fan_out(foo)
    register_bar(bar)
    async with foo, bar:
        assert await foo.rfc("a", "fan_out", 300) == sum(range(300))
    assert recorder.of("a").count("started") == 1
    assert world.wire.count("task.suspend") <= 4
    assert world.wire.count("promise.get") == 0
    assert sum(len(r.actions) for r in suspensions(world.wire.requests)) <= 2 * 300


async def test_fan_out_whose_children_end_in_any_order_is_complete(world: World) -> None:
    """Children that settle last to first, or first to last, are all waited for."""
    foo, bar = world.resonate("foo"), world.resonate("bar", capacity=100)

    @foo.register
    async def fan_out(ctx: Context, seconds: list[float]) -> list[float]:
        async with ctx.open_nursery() as nursery:
            handles = [nursery.rfi("bar", s) for s in seconds]
        return [handle.value for handle in handles]

    @bar.register(name="bar")
    async def work(seconds: float) -> float:
        await trio.sleep(seconds)
        return seconds

    async with foo, bar:
        for id, order in enumerate([[1.0, 2, 3, 4, 5], [5.0, 4, 3, 2, 1], [3.0, 1, 5, 2, 4]]):
            assert await foo.rfc(f"a{id}", fan_out, order) == order


async def test_what_settled_before_the_suspension_is_told_by_the_refusal(world: World, recorder: Recorder) -> None:
    """A child that was faster than the suspension (300) keeps the task running."""
    foo, bar = world.resonate("foo", instrument=recorder), world.resonate("bar")

    @foo.register
    async def flow(ctx: Context) -> list[int]:
        handles = [ctx.rfi("bar", n) for n in range(3)]
        await trio.sleep(10)
        return [await handle for handle in handles]

    register_bar(bar)
    async with foo, bar:
        assert await foo.rfc("a", flow) == [0, 1, 2]
    assert recorder.of("a") == ["started", "finished"]
    assert world.wire.count("promise.get") == 0


@pytest.mark.parametrize("flow", ["chain", "fan_out"])
async def test_server_that_does_not_tell_what_settled_is_asked(world: World, flow: str) -> None:
    """Published servers wake a task without saying by what: then the awaited promises are read."""
    world.wire.tells_settled = False
    foo, bar = world.resonate("foo"), world.resonate("bar")
    register_chain(foo)
    register_fan_out(foo)
    register_bar(bar)
    async with foo, bar:
        assert await foo.rfc("a", flow, 5) == 10
    assert world.wire.count("promise.get") >= 1


async def test_concurrent_local_invocations_wait_together(world: World, recorder: Recorder) -> None:
    """A task is suspended only when all of its bodies wait, and woken by whichever can go on first."""
    foo, bar = world.resonate("foo", instrument=recorder), world.resonate("bar")
    done: list[tuple[str, float]] = []

    @bar.register(name="bar")
    async def work(seconds: float) -> None:
        await trio.sleep(seconds)

    async def branch(ctx: Context, name: str, seconds: Sequence[float]) -> None:
        for s in seconds:
            await ctx.rfc("bar", s)
        done.append((name, round(trio.current_time())))

    @foo.register
    async def flow(ctx: Context) -> None:
        async with ctx.open_nursery() as nursery:
            nursery.lfi(branch, "slow", [10, 10])
            nursery.lfi(branch, "quick", [3, 3])

    async with foo, bar:
        await foo.rfc("a", flow)
    assert done == [("quick", 6), ("slow", 20)]
    assert recorder.of("a").count("started") == 1


# --- Messages and replies that overtake one another ---------------------------------------------------


async def test_message_that_overtakes_the_reply_to_a_suspension_is_kept(world: World, recorder: Recorder) -> None:
    """The task may be offered again before we know that it is suspended: then it is taken once we do."""
    foo = world.resonate("foo", instrument=recorder)

    @foo.register
    async def flow(ctx: Context) -> object:
        return await (await ctx.promise())

    async with foo:
        gate = world.wire.gates["task.suspend"] = trio.Event()
        handle = await foo.rfi("a", flow)
        await trio.sleep(1)
        await world.resolve("a:1", "x")
        await trio.sleep(1)
        assert (await world.task("a")).state != "suspended"
        gate.set()
        assert await handle == "x"
        assert trio.current_time() == pytest.approx(2, abs=0.1)
    assert recorder.of("a") == ["started", "suspended", "resumed", "finished"]


async def test_message_that_overtakes_a_lost_reply_is_kept(world: World, recorder: Recorder) -> None:
    """If the reply never comes, the second try is refused: the task is taken from its start, and at once."""
    foo = world.resonate("foo", instrument=recorder)

    @foo.register
    async def flow(ctx: Context) -> object:
        return await (await ctx.promise())

    async with foo:
        gate = world.wire.gates["task.suspend"] = trio.Event()
        world.wire.lost_replies["task.suspend"] = 1
        handle = await foo.rfi("a", flow)
        await trio.sleep(1)
        await world.resolve("a:1", "x")
        await trio.sleep(1)
        gate.set()
        assert await handle == "x"
        assert trio.current_time() == pytest.approx(2, abs=0.2)
    assert [name for name in recorder.of("a") if name != "suspended"] == [
        "started",
        "dropped",
        "started",
        "finished",
    ]


@pytest.mark.parametrize("kind", ["promise.create", "task.fence", "task.fulfill", "task.suspend", "task.acquire"])
@pytest.mark.parametrize("loss", ["lost_requests", "lost_replies"])
@pytest.mark.usefixtures("finite_leases")
async def test_flow_survives_the_loss_of_any_message(world: World, kind: str, loss: str) -> None:
    """A request may be tried again whether it took effect or not: every step is done once, the result is right."""
    runs: list[int] = []
    getattr(world.wire, loss)[kind] = 1
    foo, bar = world.resonate("foo"), world.resonate("bar")

    @foo.register
    async def flow(ctx: Context) -> int:
        first = await ctx.lfc(step, 1)
        return first + int(await ctx.rfc("bar", 2))

    async def step(n: int) -> int:
        runs.append(n)
        return n

    register_bar(bar)
    async with foo, bar:
        assert await foo.rfc("a", flow) == 3
    assert runs == [1]


async def test_flow_of_another_worker_is_continued_at_its_suspension(world: World) -> None:
    """A history of another worker with remote children: what they gave is found, nothing is invoked twice."""
    foo, bar = world.resonate("foo"), world.resonate("bar")
    register_fan_out(foo)
    register_bar(bar)
    task = await world.start_by_hand("a", Call("fan_out", [2]), group="foo")
    await world.invoke_by_hand(task, "a:1", Call("bar", [0]), group="bar")
    await world.resolve("a:1", 10)
    async with bar, foo:
        assert await (await foo.get("a")) == 10 + 1


def suspensions(requests: Sequence[Request]) -> list[TaskSuspend]:
    """Return the suspensions among requests."""
    return [request for request in requests if isinstance(request, TaskSuspend)]
