"""Steps: executed once and stored, found again by a replay, tried again after a failure, bounded in time."""

import pytest
import trio
from attrs import frozen

from resonate_trio import (
    Constant,
    Context,
    EncodingError,
    Exponential,
    InvocationTimedOut,
    Linear,
    Never,
    RemoteError,
    UsageError,
)
from resonate_trio._codec import Call
from resonate_trio.protocol import PromiseCreate, tags

from .kit import CODEC, EPOCH_MS, Recorder, World, in_virtual_time

pytestmark = in_virtual_time


@frozen
class Point:
    """A value with a class of its own."""

    x: int
    y: int


async def one() -> int:
    """Return 1. (A plain function would run in a thread, for which virtual time does not wait.)"""
    return 1


async def fail_at(times: list[float], failures: int = 100) -> str:
    """Note the time, and raise the first few times."""
    times.append(trio.current_time())
    if len(times) <= failures:
        raise ValueError(f"attempt {len(times)}")
    return f"attempt {len(times)}"


async def cancel_after(seconds: float, scope: trio.CancelScope) -> None:
    """Cancel a plain trio scope, which no replay knows of."""
    await trio.sleep(seconds)
    scope.cancel()


# --- Executed once ------------------------------------------------------------------------------------


async def test_replay_finds_what_was_done(world: World, recorder: Recorder) -> None:
    """An execution that was dropped from memory is run again, its finished steps are not."""
    app = world.resonate(max_parked=0, instrument=recorder)
    runs: list[str] = []

    def step(name: str) -> str:
        runs.append(name)
        return name

    @app.register
    async def flow(ctx: Context) -> list[str]:
        told = []
        for name in "xyz":
            told.append(await ctx.lfc(step, name))
            await ctx.sleep(10)
        return told

    async with app:
        assert await app.rfc("a", flow) == ["x", "y", "z"]
    assert runs == ["x", "y", "z"]
    assert recorder.of("a").count("started") == 4
    assert recorder.count("executed") == 3
    assert recorder.count("replayed") == 1 + 2 + 3


async def test_worker_goes_on_where_another_one_died(world: World, recorder: Recorder) -> None:
    """Steps that the history has are taken from there; the next one is run."""
    app = world.resonate(instrument=recorder)

    @app.register
    async def flow(ctx: Context) -> list[str]:
        return [await ctx.lfc(step, name) for name in "xyz"]

    def step(name: str) -> str:
        return f"{name} by the SDK"

    task = await world.start_by_hand("a", Call("flow"))
    await world.step_by_hand(task, "a:1", step.__qualname__, "x by hand")
    await world.step_by_hand(task, "a:2", step.__qualname__, "y by hand")
    async with app:
        assert await (await app.get("a")) == ["x by hand", "y by hand", "z by the SDK"]
    assert recorder.of("a:1") == recorder.of("a:2") == ["replayed"]
    assert recorder.of("a:3") == ["executed"]


async def test_step_that_was_begun_and_not_finished_is_run_again(world: World) -> None:
    """The other worker died in the middle of it: nobody knows how far it got."""
    app = world.resonate()
    runs = []

    @app.register
    async def flow(ctx: Context) -> int:
        return await ctx.lfc(step)

    def step() -> int:
        runs.append("run")
        return 1

    task = await world.start_by_hand("a", Call("flow"))
    lineage = {tags.ORIGIN: "a", tags.BRANCH: "a", tags.PARENT: "a", tags.SCOPE: tags.LOCAL}
    await world.fence_by_hand(
        task, PromiseCreate("a:1", 2**50, lineage, CODEC.encode_call(Call(step.__qualname__)))
    )
    async with app:
        assert await (await app.get("a")) == 1
    assert runs == ["run"]


async def test_first_run_and_replay_see_the_same_objects(world: World) -> None:
    """The first run gets a step's value as it was stored, not the object that the step returned."""
    app = world.resonate(max_parked=0)
    seen: list[object] = []

    def typed() -> Point:
        return Point(1, 2)

    def untyped():  # type: ignore[no-untyped-def]  # ruff: ignore[missing-return-type-private-function]
        return (1, {"a": Point(3, 4)})

    def none() -> None:
        return None

    @app.register
    async def flow(ctx: Context) -> None:
        seen.append([await ctx.lfc(typed), await ctx.lfc(untyped), await ctx.lfc(none)])
        await ctx.sleep(1)

    async with app:
        await app.rfc("a", flow)
    assert seen == [[Point(1, 2), [1, {"a": {"x": 3, "y": 4}}], None]] * 2


async def test_first_run_and_replay_see_equal_errors(world: World) -> None:
    """An error, too, is raised as it was stored."""
    app = world.resonate(max_parked=0)
    seen: list[str] = []

    class OwnError(Exception):
        pass

    def fail() -> None:
        raise OwnError("mine")

    @app.register
    async def flow(ctx: Context) -> None:
        with pytest.raises(RemoteError) as raised:
            await ctx.options(retry=Never()).lfc(fail)
        seen.append(str(raised.value))
        await ctx.sleep(1)

    async with app:
        await app.rfc("a", flow)
    assert seen == ["OwnError: mine"] * 2


async def test_result_that_cannot_be_stored_is_an_error_of_the_step(world: World) -> None:
    """A value that is no data is named; the step is not tried again."""
    app = world.resonate()
    runs = []

    def step() -> object:
        runs.append("run")
        return object()

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.lfc(step)

    async with app:
        with pytest.raises(EncodingError, match=r"the result of .*step.*cannot be encoded"):
            await app.rfc("a", flow)
    assert runs == ["run"]


async def test_steps_cost_two_requests_each(world: World) -> None:
    """A step is created and settled; nothing else is asked for, and nothing is sent ahead again."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context, n: int) -> int:
        return sum([await ctx.lfc(one) for _ in range(n)])

    async with app:
        assert await app.lfc("a", flow, 50) == 50
    assert world.wire.count("task.fence") == 100
    assert all(not getattr(request, "preload", False) for request in world.wire.requests)


# --- Tried again --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "times"),
    [
        (Constant(delay=3, max_attempts=4), [0, 3, 6, 9]),
        (Linear(step=1, cap=2.5, max_attempts=5), [0, 1, 3, 5.5, 8]),
        (Exponential(initial=1, factor=3, cap=10, jitter=False, max_attempts=5), [0, 1, 4, 13, 23]),
        (Never(), [0]),
        (Constant(delay=3, non_retryable=(ValueError,)), [0]),
    ],
)
async def test_step_is_tried_again_as_its_policy_says(
    world: World, policy: Constant | Linear | Exponential | Never, times: list[float]
) -> None:
    """The delays are those of the policy, and the last failure is the outcome."""
    app = world.resonate()
    tried: list[float] = []

    @app.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(ValueError, match=f"attempt {len(times)}"):
            await ctx.options(retry=policy).lfc(fail_at, tried)
        return "done"

    async with app:
        await app.rfc("a", flow)
    assert tried == pytest.approx(times)


async def test_attempt_that_succeeds_is_the_outcome(world: World, recorder: Recorder) -> None:
    """Failures before it are forgotten; the step counts once."""
    app = world.resonate(instrument=recorder)
    tried: list[float] = []

    @app.register
    async def flow(ctx: Context) -> str:
        return await ctx.options(retry=Constant(delay=1)).lfi(fail_at, tried, 2)

    async with app:
        assert await app.rfc("a", flow) == "attempt 3"
    assert recorder.of("a:1") == ["executed"]


async def test_root_without_durable_calls_is_tried_again_as_registered(world: World) -> None:
    """A leaf function that is invoked remotely is tried again in its worker."""
    app = world.resonate()
    tried: list[float] = []

    @app.register(retry=Constant(delay=5))
    async def leaf(ctx: Context) -> str:
        return await fail_at(tried, 2)

    async with app:
        assert await app.rfc("a", leaf) == "attempt 3"
    assert tried == pytest.approx([0, 5, 10])


async def test_default_policy_tries_five_times(world: World) -> None:
    """Without a word about it, a leaf is tried five times, with growing delays."""
    app = world.resonate()
    tried: list[float] = []

    @app.register
    async def leaf() -> str:
        return await fail_at(tried)

    async with app:
        with pytest.raises(ValueError, match="attempt 5"):
            await app.rfc("a", leaf)


async def test_function_that_made_a_durable_call_is_not_tried_again(world: World) -> None:
    """It would find the same outcomes."""
    app = world.resonate()
    tried: list[float] = []

    @app.register(retry=Constant(delay=5))
    async def flow(ctx: Context) -> str:
        await ctx.lfc(one)
        return await fail_at(tried)

    async with app:
        with pytest.raises(ValueError, match="attempt 1"):
            await app.rfc("a", flow)
    assert len(tried) == 1


async def test_usage_error_is_not_tried_again(world: World) -> None:
    """The code is wrong, and stays so."""
    app = world.resonate()
    tried: list[float] = []

    @app.register(retry=Constant(delay=5))
    async def flow(ctx: Context) -> None:
        tried.append(trio.current_time())
        raise UsageError("wrong")

    async with app:
        with pytest.raises(UsageError, match="wrong"):
            await app.rfc("a", flow)
    assert len(tried) == 1


# --- Bounded in time ----------------------------------------------------------------------------------


async def test_local_invocation_times_out(world: World) -> None:
    """Past its timeout a step is cancelled, and its caller gets InvocationTimedOut."""
    app = world.resonate()
    ended: list[float] = []

    async def slow() -> None:
        try:
            await trio.sleep(100)
        finally:
            ended.append(trio.current_time())

    @app.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(InvocationTimedOut, match="'a:1'"):
            await ctx.options(timeout=5).lfc(slow)
        return "done"

    async with app:
        assert await app.rfc("a", flow) == "done"
        assert ended == pytest.approx([5])
        assert trio.current_time() == pytest.approx(5, abs=0.1)


async def test_attempts_of_a_step_share_its_timeout(world: World) -> None:
    """The timeout is that of the invocation, whatever is tried in it."""
    app = world.resonate()
    tried: list[float] = []

    @app.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(InvocationTimedOut):
            await ctx.options(timeout=5, retry=Constant(delay=2, max_attempts=None)).lfc(fail_at, tried)
        return "done"

    async with app:
        await app.rfc("a", flow)
    assert tried == pytest.approx([0, 2, 4])


async def test_local_invocation_times_out_while_the_task_is_suspended(world: World) -> None:
    """A local invocation that waits for a remote one is cut by its own timeout, and the flow goes on."""
    app = world.resonate()

    async def waits(ctx: Context) -> None:
        await ctx.rfc("nobody")

    @app.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(InvocationTimedOut):
            await ctx.options(timeout=5).lfc(waits)
        await ctx.lfc(one)
        return "done"

    async with app:
        assert await app.rfc("a", flow) == "done"
        assert trio.current_time() == pytest.approx(5, abs=0.1)


async def test_function_whose_last_wait_is_cut_while_suspended_ends(world: World) -> None:
    """Nothing is left to wait for when the task comes back, and that is no reason to suspend it again."""
    app = world.resonate()

    async def waits(ctx: Context) -> None:
        await ctx.rfc("nobody")

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.options(timeout=5).lfc(waits)

    async with app:
        with pytest.raises(InvocationTimedOut, match="'a:1'"):
            await app.rfc("a", flow)


async def test_wait_that_is_cut_while_suspended_is_replayed(world: World) -> None:
    """Nothing runs here while the task is suspended: the execution ends, and a replay finds the stored outcome."""
    app, bar = world.resonate("foo"), world.resonate("bar")

    @app.register
    async def flow(ctx: Context) -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_after, 5, nursery.cancel_scope)
            told = str(await ctx.rfc("bar"))
            nursery.cancel_scope.cancel()
        return told

    @bar.register(name="bar")
    async def work() -> str:
        await trio.sleep(20)
        return "stored"

    async with app, bar:
        assert await app.rfc("a", flow) == "stored"
        assert trio.current_time() == pytest.approx(20, abs=0.1)


async def test_failing_cleanup_of_a_step_that_timed_out_harms_nobody(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """What a cancelled function still raises is logged; its outcome is the timeout, and the worker goes on."""
    app = world.resonate()

    async def cleans_up_badly() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("bad cleanup")

    @app.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(InvocationTimedOut):
            await ctx.options(timeout=5).lfi(cleans_up_badly)
        return "done"

    async with app:
        assert await app.rfc("a", flow) == "done"
    assert "cleans_up_badly failed while it was cancelled" in caplog.text


async def test_deadline_of_a_step_is_that_of_its_first_run(world: World) -> None:
    """A replay does not begin to count anew, neither for the step nor for what it invokes."""
    app = world.resonate()

    async def slow(ctx: Context) -> None:
        ctx.rfi("nobody")
        await trio.sleep(100)

    @app.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(InvocationTimedOut):
            await ctx.options(timeout=30).lfc(slow)
        return "done"

    task = await world.start_by_hand("a", Call("flow"), ttl_ms=20_000)
    lineage = {tags.ORIGIN: "a", tags.BRANCH: "a", tags.PARENT: "a", tags.SCOPE: tags.LOCAL}
    param = CODEC.encode_call(Call(slow.__qualname__))
    await world.fence_by_hand(task, PromiseCreate("a:1", EPOCH_MS + 30_000, lineage, param))
    async with app:
        assert await (await app.get("a")) == "done"
        assert trio.current_time() == pytest.approx(30, abs=0.1)
        assert (await world.promise("a:1.1")).timeout_at == EPOCH_MS + 30_000


async def test_step_times_out_by_the_clock_of_the_server(world: World) -> None:
    """Ours may be ahead by a little: then the outcome is waited for."""
    world.wire.ahead_ms = 200
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(InvocationTimedOut):
            await ctx.options(timeout=5).lfc(trio.sleep, 100)
        return "done"

    async with app:
        assert await app.rfc("a", flow) == "done"
        assert trio.current_time() == pytest.approx(5.2, abs=0.1)
