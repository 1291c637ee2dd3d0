"""Code that has changed under a running execution: the task is halted, and goes on once the code is right."""

import logging
from collections.abc import Awaitable, Callable

import pytest
import trio
from attrs import define, field

from resonate_trio import Context, DivergenceError, Instrument
from resonate_trio.protocol import Empty, PromiseState, TaskContinue, TaskState

from .kit import World, in_virtual_time
from .tree_kit import states

pytestmark = in_virtual_time

Flow = Callable[[Context], Awaitable[object]]


@define
class Halts(Instrument):
    """Keeps what a worker tells of tasks that it has halted."""

    errors: list[DivergenceError] = field(factory=list)

    def task_halted(self, id: str, error: DivergenceError) -> None:
        """Keep it."""
        assert id == "a"
        self.errors.append(error)


async def deploy(world: World, flow: Flow, seconds: float) -> list[DivergenceError]:
    """Run a worker with this code for a while; return why it has halted the flow, if it has."""
    halts = Halts()
    app = world.resonate(instrument=halts)
    app.register(name="flow")(flow)
    app.register(name="add")(add)
    async with app:
        await trio.sleep(seconds)
    return halts.errors


async def begin(world: World, flow: Flow) -> None:
    """Run a flow until it sleeps, and close its worker."""
    async with world.resonate("client") as client:
        await client.options(group="default").rfi("a", "flow")
    assert await deploy(world, flow, 5) == []
    assert (await world.task("a")).state is TaskState.SUSPENDED


async def add(first: int, second: int = 0) -> int:
    """Add."""
    return first + second


async def subtract(first: int, second: int = 0) -> int:
    """Subtract."""
    return first - second


# --- What is noticed ----------------------------------------------------------------------------------


async def local(ctx: Context) -> None:
    """Make a step."""
    await ctx.lfc(add, 1, second=2)
    await ctx.sleep(10)


async def local_of_another(ctx: Context) -> None:
    """Make another."""
    await ctx.lfc(subtract, 1, second=2)
    await ctx.sleep(10)


async def local_with_others(ctx: Context) -> None:
    """Make it with other arguments."""
    await ctx.lfc(add, 1, second=3)
    await ctx.sleep(10)


async def remote(ctx: Context) -> None:
    """Call a function elsewhere."""
    await ctx.rfc(add, 1, second=2)
    await ctx.sleep(10)


async def remote_of_another(ctx: Context) -> None:
    """Call another."""
    await ctx.rfc("subtract", 1, second=2)
    await ctx.sleep(10)


async def remote_with_others(ctx: Context) -> None:
    """Call it with other arguments."""
    await ctx.rfc(add, 1, second=3)
    await ctx.sleep(10)


async def started_elsewhere(ctx: Context) -> None:
    """Detach it."""
    ctx.detached(add, 1, second=2)
    await ctx.sleep(10)


async def asleep_at_once(ctx: Context) -> None:
    """Sleep before anything else."""
    await ctx.sleep(1)
    await ctx.sleep(10)


async def waiting_for_somebody(ctx: Context) -> None:
    """Make a promise."""
    await ctx.promise()
    await ctx.sleep(10)


async def in_time(ctx: Context) -> None:
    """Begin with a deadline, and no call."""
    with ctx.move_on_after(20):
        await ctx.sleep(10)


async def nothing(_: Context) -> None:
    """Make no call at all."""


@pytest.mark.parametrize(
    ("old", "new", "id", "asked", "stored"),
    [
        (local, local_of_another, "a:1", "a local invocation of subtract(", "a local invocation of add("),
        (local, local_with_others, "a:1", "a local invocation of add(", "with other arguments"),
        (remote, remote_of_another, "a:1", "of subtract(1, second=2)", "a remote invocation of add(1, second=2)"),
        (remote, remote_with_others, "a:1", "add(1, second=3)", "add(1, second=2)"),
        (local, remote, "a:1", "a remote invocation", "a local invocation"),
        (remote, local, "a:1", "a local invocation", "a remote invocation"),
        (local, asleep_at_once, "a:1", "a timer", "a local invocation"),
        (asleep_at_once, local, "a:1", "a local invocation", "a timer"),
        (asleep_at_once, waiting_for_somebody, "a:1", "a promise", "a timer"),
        (asleep_at_once, in_time, "a:1", "a timer of deadline()", "a timer of sleep()"),
        (local, nothing, "a:1", "nothing any more", "an invocation"),
    ],
)
async def test_change_of_what_is_stored_halts_the_task(
    world: World, old: Flow, new: Flow, id: str, asked: str, stored: str
) -> None:
    """Both sides are named; nothing is settled, and nothing run."""
    await begin(world, old)
    before = await states(world)
    errors = await deploy(world, new, 20)
    assert [error.id for error in errors] == [id]
    assert asked in errors[0].asked
    assert stored in errors[0].stored
    assert (await world.task("a")).state is TaskState.HALTED
    assert (await world.promise("a")).state is PromiseState.PENDING
    after = await states(world)
    assert after.keys() == before.keys()


async def test_detached_call_is_another_than_one_that_is_waited_for(world: World) -> None:
    """Its id is in another place, so what is stored is what is missed."""
    await begin(world, remote)
    errors = await deploy(world, started_elsewhere, 30)
    assert [error.id for error in errors] == ["a:1"]


async def test_end_comes_too_early_if_something_more_is_stored(world: World) -> None:
    """A function that makes fewer calls than its first run did has changed too."""

    async def old(ctx: Context) -> None:
        await ctx.lfc(add, 1)
        await ctx.lfc(add, 2)
        await ctx.sleep(10)

    async def new(ctx: Context) -> int:
        return await ctx.lfc(add, 1)

    await begin(world, old)
    errors = await deploy(world, new, 20)
    assert [(error.id, error.asked, error.stored) for error in errors] == [
        ("a:2", "nothing any more", "an invocation")
    ]


async def test_function_that_is_called_locally_is_checked_too(world: World) -> None:
    """The whole task is halted."""

    async def child(ctx: Context) -> None:
        await ctx.lfc(add, 1)
        await ctx.sleep(10)

    async def old(ctx: Context) -> None:
        await ctx.lfc(child)

    async def changed(ctx: Context) -> None:
        await ctx.lfc(subtract, 1)
        await ctx.sleep(10)

    async def new(ctx: Context) -> None:
        await ctx.lfc(changed)

    changed.__qualname__ = child.__qualname__
    await begin(world, old)
    errors = await deploy(world, new, 20)
    assert [error.id for error in errors] == ["a:1.1"]


async def test_winner_that_no_longer_runs_is_a_divergence(world: World) -> None:
    """The stored choice names an invocation that the nursery has not made."""

    async def old(ctx: Context) -> None:
        async with ctx.open_nursery() as nursery:
            nursery.options(group="nobody").rfi("never")
            nursery.lfi(add, 1)
            await nursery.first()
            await ctx.sleep(10)

    async def new(ctx: Context) -> None:
        async with ctx.open_nursery() as nursery:
            nursery.options(group="nobody").rfi("never")
            ctx.lfi(add, 1)
            await nursery.first()
            await ctx.sleep(10)

    await begin(world, old)
    errors = await deploy(world, new, 60)
    assert [(error.id, error.asked) for error in errors] == [("a:3", "the first of a:1")]


async def test_function_cannot_handle_its_own_divergence(world: World) -> None:
    """Whatever it catches, it makes no durable call any more."""
    caught: list[str] = []

    async def new(ctx: Context) -> str:
        try:
            await ctx.lfc(subtract, 1)
        except Exception as error:
            caught.append(repr(error))
        finally:
            await ctx.lfc(add, 5)
        return "wrong"

    await begin(world, local)
    errors = await deploy(world, new, 20)
    assert [error.id for error in errors] == ["a:1"]
    assert (caught, (await world.promise("a")).state) == ([], PromiseState.PENDING)


async def test_divergence_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """As an error, with what to do."""
    await begin(world, local)
    with caplog.at_level(logging.ERROR, "resonate_trio"):
        await deploy(world, remote, 20)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "resonate-trio continue" in caplog.text


async def test_worker_goes_on_with_other_tasks(world: World) -> None:
    """A halted task keeps no seat."""
    await begin(world, local)
    app = world.resonate(capacity=1)
    app.register(name="flow")(remote)
    app.register(add)
    async with app:
        await trio.sleep(20)
        assert (await world.task("a")).state is TaskState.HALTED
        assert await app.rfc("b", add, 1, 2) == 3


# --- What may change ----------------------------------------------------------------------------------


async def longer(ctx: Context) -> str:
    """Sleep for another time, and do more at the end."""
    total = await ctx.options(timeout=60).lfc(add, 1, second=2)
    await ctx.sleep(1000)
    return f"{total} and {await ctx.lfc(add, 4)}"


async def test_what_comes_after_the_last_stored_call_may_change(world: World) -> None:
    """New calls, other options, other times: those of the first run hold, where it has fixed them."""
    await begin(world, local)
    assert await deploy(world, longer, 20) == []
    promise = await world.promise("a")
    assert promise.state is PromiseState.RESOLVED
    assert (await world.promise("a:3")).state is PromiseState.RESOLVED


async def test_arguments_that_cannot_be_encoded_are_not_compared(world: World) -> None:
    """They never leave the process."""

    async def apply(function: Callable[[], int]) -> int:
        return function()

    async def flow(ctx: Context) -> int:
        value = await ctx.lfc(apply, lambda: 5)
        await ctx.sleep(10)
        return value

    await begin(world, flow)
    assert await deploy(world, flow, 20) == []
    assert (await world.promise("a")).state is PromiseState.RESOLVED


# --- After a fix --------------------------------------------------------------------------------------


async def test_fixed_code_goes_on_to_the_right_result(world: World) -> None:
    """Once somebody has continued the task."""
    await begin(world, local)
    assert len(await deploy(world, local_of_another, 20)) == 1
    assert await deploy(world, longer, 20) == []  # it is halted still
    assert (await world.task("a")).state is TaskState.HALTED
    await world.ask(TaskContinue("a"), Empty)
    assert await deploy(world, longer, 20) == []
    async with world.resonate("client") as client:
        assert await (await client.get("a")) == "3 and 4"


async def test_continuing_without_a_fix_halts_it_again(world: World) -> None:
    """Nothing is lost by trying."""
    await begin(world, local)
    for _ in range(3):
        assert len(await deploy(world, remote, 20)) == 1
        await world.ask(TaskContinue("a"), Empty)
    assert await deploy(world, longer, 20) == []
    async with world.resonate("client") as client:
        assert await (await client.get("a")) == "3 and 4"
