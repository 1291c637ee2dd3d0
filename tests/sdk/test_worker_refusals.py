"""What a worker cannot run, and what the server refuses it."""

from collections.abc import Callable

import pytest
import trio

from resonate_trio import (
    ArgumentsError,
    AuthenticationError,
    Context,
    DecodingError,
    Never,
    RequestRefusedError,
    ResonateError,
    UnknownFunctionError,
)
from resonate_trio._codec import Call
from resonate_trio.protocol import (
    PromiseCreate,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    Request,
    TaskAcquire,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskSuspend,
    Value,
)

from .kit import CODEC, FAR_MS, Gauge, Recorder, World, in_virtual_time, register_run, root_tags

pytestmark = in_virtual_time


# --- What a worker cannot run -----------------------------------------------------------------------------


def call(name: str, *args: object, version: int = 1) -> Value:
    """Return a call as it is stored."""
    return CODEC.encode_call(Call(name, args, {}, version))


REJECTED: dict[str, tuple[Value, type[ResonateError], str]] = {
    "unknown function": (call("g", 1), UnknownFunctionError, r"'g'.*registered: f"),
    "unknown version": (call("f", 1, version=7), UnknownFunctionError, r"'f' version 7"),
    "too many arguments": (call("f", 1, 2), ArgumentsError, r"f: too many.*f\(n: int\)"),
    "wrong type": (call("f", "x"), ArgumentsError, r"f: the argument n"),
    "no call": (CODEC.encode("text"), DecodingError, r"call: expected an object"),
    "no payload": (Value(data="%"), DecodingError, r"call: the payload is no base64"),
}


@pytest.mark.parametrize("case", REJECTED)
async def test_task_that_cannot_be_run_is_rejected(world: World, case: str) -> None:
    """Whoever waits learns why. A task that is given back would only go round and round."""
    param, error, message = REJECTED[case]
    app = world.resonate("g")

    @app.register
    async def f(n: int) -> int:
        return n

    async with app:
        await world.ask(PromiseCreate("a", FAR_MS, root_tags("a", "g"), param), PromiseReply)
        with pytest.raises(error, match=message):
            await (await app.get("a"))


async def test_function_that_is_not_here_cannot_be_called_here(world: World) -> None:
    """lfc of an unknown name fails at once, and stores nothing."""
    async with world.resonate() as app:
        with pytest.raises(UnknownFunctionError, match="'none'"):
            await app.lfc("a", "none")
    assert world.wire.requests == []


# --- What the server refuses ----------------------------------------------------------------------------


def refuse(kind: type[Request], status: int, times: int) -> Callable[[Request], tuple[int, object] | None]:
    """Return what answers the first requests of a kind with a status."""
    left = [times]

    def answer(request: Request) -> tuple[int, object] | None:
        if not isinstance(request, kind) or not left[0]:
            return None
        left[0] -= 1
        return status, f"refused with {status}"

    return answer


async def test_task_that_the_server_fails_on_comes_back_later(world: World, recorder: Recorder) -> None:
    """An execution that meets a failure (500) is given up, and tried again after a pause, not in a hot loop."""
    app = world.resonate(instrument=recorder)
    broken = refuse(TaskFence, 500, times=10**6)
    world.wire.answer = lambda request: broken(request) if trio.current_time() < 5 else None

    @app.register
    async def flow(ctx: Context) -> str:
        await ctx.lfc(trio.sleep, 0)
        return "done"

    async with app:
        assert await app.rfc("a", flow) == "done"
        assert trio.current_time() == pytest.approx(6, abs=0.1)
    assert recorder.of("a").count("started") == 4


@pytest.mark.parametrize("status", [400, 500])
async def test_acquisition_that_fails_harms_nobody(world: World, status: int) -> None:
    """The server offers the task again; the application does not notice."""
    world.wire.acquires = False
    app, gauge = world.resonate(), Gauge()
    register_run(app, gauge)
    world.wire.answer = refuse(TaskAcquire, status, times=2)
    async with app:
        await app.rfc("a", "run", 1)
    assert gauge.total == 1


async def test_worker_without_a_valid_token_ends_the_application(world: World) -> None:
    """There is no work for it at all, and the error says why."""
    world.wire.acquires = False
    app = world.resonate()
    register_run(app, Gauge())
    world.wire.answer = refuse(TaskAcquire, 401, times=1)
    with pytest.raises(AuthenticationError, match="refused with 401"):
        async with app:
            await app.rfc("a", "run", 1)


async def test_suspension_that_is_refused_harms_nobody(world: World) -> None:
    """The task is tried again after a pause; others go on."""
    app = world.resonate()
    world.wire.answer = refuse(TaskSuspend, 422, times=1)

    @app.register
    async def flow(ctx: Context) -> str:
        await ctx.sleep(1)
        return "done"

    async with app:
        assert await app.rfc("a", flow) == "done"


async def test_local_call_that_the_server_refuses_raises(world: World) -> None:
    """Nothing is run."""
    app, gauge = world.resonate(), Gauge()
    register_run(app, gauge)
    world.wire.answer = refuse(TaskCreate, 400, times=1)
    async with app:
        with pytest.raises(RequestRefusedError, match="refused with 400"):
            await app.lfc("a", "run", 1)
    assert gauge.total == 0


def too_large(request: Request) -> tuple[int, object] | None:
    """Refuse whatever holds a large value, as a server with a limit does."""
    action = request.action.data if isinstance(request, TaskFence | TaskFulfill) else request
    match action:
        case PromiseCreate(param=value):
            pass
        case PromiseSettle(state=PromiseState.RESOLVED, value=value):
            pass
        case _:
            return None
    return (413, "too large") if len(value.data or "") > 1000 else None


async def test_result_that_the_server_refuses_rejects_the_task(world: World) -> None:
    """Whoever waits is told that the result was too large."""
    app = world.resonate()
    world.wire.answer = too_large

    @app.register
    async def large() -> str:
        return "x" * 10_000

    async with app:
        with pytest.raises(RequestRefusedError, match=r"task\.fulfill was refused with status 413"):
            await app.rfc("a", large)


async def test_step_whose_result_the_server_refuses_is_rejected(world: World) -> None:
    """The function can handle it as any failure."""
    app = world.resonate()
    world.wire.answer = too_large

    async def large() -> str:
        return "x" * 10_000

    @app.register
    async def flow(ctx: Context) -> str:
        try:
            await ctx.lfc(large)
        except RequestRefusedError as error:
            return str(error)
        return ""

    async with app:
        assert "status 413" in await app.rfc("a", flow)


@pytest.mark.parametrize("kind", ["rfc", "rfi", "detached"])
async def test_invocation_that_the_server_refuses_raises(world: World, kind: str) -> None:
    """Where it is awaited, or at the end of the function if nobody can await it."""
    app = world.resonate()
    world.wire.answer = too_large

    @app.register(retry=Never())
    async def flow(ctx: Context) -> None:
        result = getattr(ctx, kind)("nobody", "x" * 10_000)
        if kind != "detached":
            with pytest.raises(RequestRefusedError, match="status 413"):
                await result

    async with app:
        if kind == "detached":
            with pytest.RaisesGroup(RequestRefusedError):
                await app.rfc("a", flow)
        else:
            await app.rfc("a", flow)
