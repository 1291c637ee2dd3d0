"""What a durable function waits for besides invocations: time, and promises that someone outside settles."""

import math
from collections.abc import Awaitable, Callable

import pytest
import trio

from resonate_trio import (
    Context,
    InvocationCancelled,
    InvocationTimedOut,
    Never,
    PromiseNotFoundError,
    RequestRefusedError,
    UsageError,
)

from .kit import EPOCH_MS, Recorder, World, in_virtual_time

pytestmark = in_virtual_time


# --- Sleeping -----------------------------------------------------------------------------------------


async def test_sleep_lasts_as_long_as_it_says_and_costs_no_seat(world: World, recorder: Recorder) -> None:
    """A sleeping task is suspended: others run meanwhile, with one seat for all."""
    app = world.resonate(capacity=1, instrument=recorder)

    @app.register
    async def sleeper(ctx: Context, seconds: float) -> float:
        await ctx.sleep(seconds)
        return trio.current_time()

    async with app:
        handles = [await app.rfi(f"a{n}", sleeper, n) for n in (30, 10, 20)]
        assert [await handle for handle in handles] == pytest.approx([30, 10, 20], abs=0.01)
    assert recorder.count("suspended") == 3


@pytest.mark.parametrize("max_parked", [10, 0])
async def test_sleep_is_measured_from_the_first_run(world: World, max_parked: int) -> None:
    """A replay does not sleep again."""
    app = world.resonate(max_parked=max_parked)

    @app.register
    async def flow(ctx: Context) -> None:
        for _ in range(3):
            await ctx.sleep(10)

    async with app:
        await app.rfc("a", flow)
        assert trio.current_time() == pytest.approx(30, abs=0.1)


async def test_sleep_of_no_time_suspends_nothing(world: World, recorder: Recorder) -> None:
    """Its timer is born settled."""
    app = world.resonate(instrument=recorder)

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.sleep(0)

    async with app:
        await app.rfc("a", flow)
    assert recorder.of("a") == ["started", "finished"]


@pytest.mark.parametrize("seconds", [-1, math.nan])
async def test_sleep_refuses_what_is_no_duration(world: World, seconds: float) -> None:
    """The message names the call."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.sleep(seconds)

    async with app:
        with pytest.raises(UsageError, match=rf"ctx\.sleep\(\) takes .*, not {seconds}"):
            await app.rfc("a", flow)


# --- Promises -----------------------------------------------------------------------------------------


async def test_promise_is_resolved_from_outside(world: World) -> None:
    """Its id is what to hand out; its value is read as the type that was asked for."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> list[object]:
        typed, plain = await ctx.promise(tuple[int, int]), await ctx.promise()
        return [repr(await typed), await plain]

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(1)
        assert (await app.promises.resolve("a:1", (1, 2))).state == "resolved"
        await app.promises.resolve("a:2", {"x": 1})
        assert await handle == ["(1, 2)", {"x": 1}]
        assert (await app.promises.get("a:1")).tags["resonate:external"] == "true"


async def test_promise_is_rejected_from_outside(world: World) -> None:
    """The error is raised where the promise is awaited."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> None:
        await (await ctx.promise())

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(1)
        await app.promises.reject("a:1", KeyError("k"))
        with pytest.raises(KeyError, match="k"):
            await handle


async def test_promise_is_cancelled_from_outside(world: World) -> None:
    """Awaiting it raises InvocationCancelled."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(InvocationCancelled, match="'a:1' was cancelled"):
            await (await ctx.promise())
        return "done"

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(1)
        await app.promises.cancel("a:1")
        assert await handle == "done"


async def test_promise_that_was_settled_before_it_is_awaited(world: World, recorder: Recorder) -> None:
    """Its value waits, and the task is not suspended for it."""
    app = world.resonate(instrument=recorder)

    @app.register
    async def flow(ctx: Context) -> object:
        handle = await ctx.promise()
        await world.resolve(handle.id, "early")
        return await handle

    async with app:
        assert await app.rfc("a", flow) == "early"
    assert recorder.of("a") == ["started", "finished"]


async def test_promise_keeps_its_first_outcome(world: World) -> None:
    """Settling it again changes nothing, and tells what it is."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> object:
        return await (await ctx.promise())

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(1)
        await app.promises.resolve("a:1", 1)
        assert (await app.promises.reject("a:1", ValueError())).state == "resolved"
        assert await handle == 1


async def test_promise_expires(world: World) -> None:
    """Past its deadline awaiting it raises InvocationTimedOut."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> float:
        with pytest.raises(InvocationTimedOut):
            await (await ctx.promise(expires_after=10))
        return trio.current_time()

    async with app:
        assert await app.rfc("a", flow) == pytest.approx(10, abs=0.1)


async def test_promise_that_the_server_refuses_raises_where_it_is_made(world: World) -> None:
    """There is no handle to what does not exist."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> str:
        world.wire.answer = lambda request: (422, "no") if request.kind == "task.fence" else None
        with pytest.raises(RequestRefusedError, match="no"):
            await ctx.promise()
        return "done"

    async with app:
        assert await app.rfc("a", flow) == "done"


async def test_promise_that_does_not_exist_is_named(world: World) -> None:
    """Reading, settling and getting it raise PromiseNotFoundError."""
    async with world.resonate() as app:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: app.promises.get("none"),
            lambda: app.promises.resolve("none", 1),
            lambda: app.promises.reject("none", ValueError()),
            lambda: app.promises.cancel("none"),
            lambda: app.get("none"),
        ]
        for call in calls:
            with pytest.raises(PromiseNotFoundError, match="'none'"):
                await call()


# --- Deadlines ----------------------------------------------------------------------------------------


async def test_invocation_times_out_as_its_options_say(world: World) -> None:
    """A remote invocation that nobody executes ends at its deadline."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> float:
        with pytest.raises(InvocationTimedOut):
            await ctx.options(timeout=10).rfc("nobody")
        return trio.current_time()

    async with app:
        assert await app.rfc("a", flow) == pytest.approx(10, abs=0.1)


async def test_invocation_times_out_as_its_function_is_registered(world: World) -> None:
    """register(timeout=...) bounds every invocation that has no timeout of its own, also one from outside."""
    app = world.resonate()

    @app.register(timeout=10)
    async def flow(ctx: Context) -> None:
        await ctx.rfc("nobody")

    async with app:
        with pytest.raises(InvocationTimedOut, match="'a'"):
            await app.rfc("a", flow)
        assert trio.current_time() == pytest.approx(10, abs=0.1)
        with pytest.raises(InvocationTimedOut):
            await app.options(timeout=5).rfc("b", flow)
        assert trio.current_time() == pytest.approx(15, abs=0.1)


async def test_deadline_of_a_child_is_never_beyond_its_parents(world: World) -> None:
    """Whatever it asks for; a detached invocation is free of it."""
    app = world.resonate()

    @app.register(timeout=10)
    async def flow(ctx: Context) -> None:
        calls = ctx.options(timeout=100)
        calls.rfi("nobody")
        calls.lfi(trio.sleep, 100)
        await ctx.promise(expires_after=100)
        calls.detached("nobody")
        ctx.detached("nobody")
        await ctx.sleep(100)

    async with app:
        with pytest.raises(InvocationTimedOut):
            await app.rfc("a", flow)
        deadlines = [(await world.promise(f"a:{n}")).timeout_at - EPOCH_MS for n in range(1, 7)]
    assert deadlines[:3] == [10_000] * 3
    assert deadlines[3] == 100_000
    assert deadlines[4] > 10**12
    assert deadlines[5] == 10_000


async def test_sleep_beyond_the_deadline_ends_with_it(world: World) -> None:
    """A timer never outlives its function."""
    app = world.resonate()

    @app.register
    async def inner(ctx: Context) -> None:
        await ctx.sleep(100)

    @app.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(InvocationTimedOut):
            await ctx.options(timeout=10).rfc(inner)
        return "done"

    async with app:
        assert await app.rfc("a", flow) == "done"
        assert trio.current_time() == pytest.approx(10, abs=0.1)


# --- Rule 7: durable waits are the function's own --------------------------------------------------------


FOREIGN_CALLS: dict[str, tuple[str, Callable[[Context], Awaitable[object] | object]]] = {
    "rfi": ("invoking nobody", lambda ctx: ctx.rfi("nobody")),
    "rfc": ("invoking nobody", lambda ctx: ctx.rfc("nobody")),
    "lfi": ("invoking sleep", lambda ctx: ctx.lfi(trio.sleep, 0)),
    "lfc": ("invoking sleep", lambda ctx: ctx.lfc(trio.sleep, 0)),
    "detached": ("invoking nobody", lambda ctx: ctx.detached("nobody")),
    "sleep": ("ctx.sleep()", lambda ctx: ctx.sleep(1)),
    "promise": ("ctx.promise()", lambda ctx: ctx.promise()),
    "open_nursery": ("open_nursery()", lambda ctx: ctx.open_nursery().__aenter__()),
}


@pytest.mark.parametrize("name", FOREIGN_CALLS)
async def test_durable_call_from_a_foreign_task_is_refused(world: World, name: str) -> None:
    """Tasks of a plain nursery run in an order that no replay repeats. The message shows the right call."""
    named, call = FOREIGN_CALLS[name]
    app = world.resonate()

    async def in_a_task(ctx: Context) -> None:
        result = call(ctx)
        if isinstance(result, Awaitable):
            await result

    @app.register(retry=Never())
    async def flow(ctx: Context) -> str:
        with pytest.RaisesGroup(UsageError) as raised:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(in_a_task, ctx)
        return str(raised.value.exceptions[0])

    async with app:
        message = await app.rfc("a", flow)
    assert "another task than the function's own" in message
    assert "async with ctx.open_nursery() as nursery: nursery.lfi(fn, ...)" in message
    assert message.startswith(named)


async def test_await_of_a_handle_in_a_foreign_task_is_refused(world: World) -> None:
    """Only the function that made an invocation may await it: not its local invocations either."""
    app = world.resonate()

    async def awaits(ctx: Context, handle: Awaitable[object]) -> None:
        await handle

    @app.register
    async def flow(ctx: Context) -> str:
        handle = ctx.lfi(trio.sleep, 1)
        try:
            await ctx.lfc(trio.sleep, 0)
            await ctx.lfi(awaits, handle)
        except UsageError as error:
            return str(error)
        return ""

    async with app:
        message = await app.rfc("a", flow)
    assert message.startswith("await on the handle of sleep in 'a' is called from another task")


async def test_durable_call_from_a_thread_is_refused(world: World) -> None:
    """A plain function runs in a thread, where nothing durable can be done: it is to be async."""
    app = world.resonate()

    @app.register
    def plain(ctx: Context) -> None:
        ctx.rfi("nobody")

    async with app:
        with pytest.raises(UsageError, match=r"is called from a thread.*async def"):
            await app.rfc("a", "plain")


async def test_function_is_stopped_at_its_deadline(world: World, recorder: Recorder) -> None:
    """Nobody would take its result, so it unwinds, and leaves its seat to others."""
    app = world.resonate(instrument=recorder)
    unwound = []

    @app.register(timeout=5)
    async def slow() -> None:
        try:
            await trio.sleep(100)
        finally:
            unwound.append(trio.current_time())

    async with app:
        with pytest.raises(InvocationTimedOut):
            await app.rfc("a", slow)
        await trio.testing.wait_all_tasks_blocked()
    assert unwound == [pytest.approx(5, abs=0.1)]
    assert recorder.of("a") == ["started", "dropped"]


async def test_suspended_function_leaves_memory_at_its_deadline(world: World, recorder: Recorder) -> None:
    """What waits for somebody who never comes is not kept for ever."""
    app = world.resonate(instrument=recorder)

    @app.register(timeout=5)
    async def patient(ctx: Context) -> None:
        await ctx.rfc("nobody")

    async with app:
        with pytest.raises(InvocationTimedOut):
            await app.rfc("a", patient)
        await trio.testing.wait_all_tasks_blocked()
        assert recorder.of("a") == ["started", "suspended", "dropped"]
