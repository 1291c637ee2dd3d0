"""Code that is changed on purpose: versions of a function side by side, and of a place in one."""

from collections.abc import Awaitable, Callable

import pytest
import trio

from resonate_trio import Context, UsageError
from resonate_trio.protocol import PromiseState, TaskState

from .kit import World, decoded, in_virtual_time
from .test_divergence import add, deploy, local, subtract

pytestmark = in_virtual_time

Flow = Callable[[Context], Awaitable[object]]


async def begin(world: World, flow: Flow, id: str = "a") -> None:
    """Run a flow until it sleeps, and close its worker."""
    async with world.resonate("client") as client:
        await client.options(group="default").rfi(id, "flow")
    assert await deploy(world, flow, 5) == []
    assert (await world.task(id)).state is TaskState.SUSPENDED


async def result(world: World, id: str) -> object:
    """Return the result that is stored."""
    promise = await world.promise(id)
    assert promise.state is PromiseState.RESOLVED
    return decoded(promise.value)


# --- A place in a function ----------------------------------------------------------------------------


async def versioned(ctx: Context) -> list[int]:
    """Add as before, or subtract."""
    chosen = await ctx.version("sign", 0, 1)
    value = await ctx.lfc(subtract if chosen else add, 1, second=2)
    await ctx.sleep(10)
    return [chosen, value]


async def test_old_execution_stays_as_it_was_and_a_new_one_gets_the_change(world: World) -> None:
    """Both are run by the same code, beside each other."""
    await begin(world, local)
    async with world.resonate("client") as client:
        await client.options(group="default").rfi("b", "flow")
    assert await deploy(world, versioned, 20) == []
    assert await result(world, "a") == [0, 3]
    assert await result(world, "b") == [1, -1]


@pytest.mark.parametrize("max_parked", [10, 0], ids=["parked", "dropped"])
async def test_choice_is_kept_by_replays(world: World, max_parked: int) -> None:
    """Also when the code can run a newer version meanwhile."""
    app = world.resonate(max_parked=max_parked)
    newest = [1]

    @app.register
    async def flow(ctx: Context) -> list[int]:
        chosen = [await ctx.version("sign", 0, newest[0])]
        await ctx.sleep(10)
        newest[0] = 2
        chosen.append(await ctx.version("sign", 0, newest[0]))
        await ctx.sleep(10)
        return chosen

    async with app:
        assert await app.rfc("a", flow) == [1, 1]
        assert await app.rfc("b", flow) == [2, 2]


async def test_choice_is_not_counted(world: World) -> None:
    """So adding it changes no id."""
    async with world.resonate("client") as client:
        await client.options(group="default").rfi("a", "flow")
    await deploy(world, versioned, 20)
    assert (await world.promise("a:version-sign")).state is PromiseState.RESOLVED
    assert (await world.promise("a:1")).state is PromiseState.RESOLVED


async def test_several_changes_are_told_apart(world: World) -> None:
    """An execution may be old for one, and new for another that comes later."""

    async def old(ctx: Context) -> None:
        await ctx.lfc(add, 1)
        await ctx.sleep(10)

    async def new(ctx: Context) -> list[int]:
        early = await ctx.version("early", 3, 5)
        await ctx.lfc(add, 1)
        await ctx.sleep(10)
        return [early, await ctx.version("late", 1, 2)]

    await begin(world, old)
    assert await deploy(world, new, 20) == []
    assert await result(world, "a") == [3, 2]


async def test_version_inside_a_local_invocation(world: World) -> None:
    """It belongs to that function."""

    async def child(ctx: Context) -> int:
        chosen = await ctx.version("sign", 0, 1)
        await ctx.sleep(10)
        return chosen

    async def flow(ctx: Context) -> int:
        return await ctx.lfc(child)

    await begin(world, flow)
    assert await deploy(world, flow, 20) == []
    assert await result(world, "a") == 1
    assert (await world.promise("a:1.version-sign")).state is PromiseState.RESOLVED


@pytest.mark.parametrize(("minimum", "maximum"), [(2, 3), (0, 0)])
async def test_version_that_the_code_has_no_more_halts_the_task(world: World, minimum: int, maximum: int) -> None:
    """An execution that is older, or newer, than the code is not run by it."""

    async def changed(ctx: Context) -> None:
        await ctx.version("sign", minimum, maximum)
        await ctx.sleep(10)

    await begin(world, versioned)
    errors = await deploy(world, changed, 20)
    assert [error.id for error in errors] == ["a:version-sign"]
    assert (errors[0].asked, errors[0].stored) == (f"a version from {minimum} to {maximum} of 'sign'", "version 1")
    assert (await world.task("a")).state is TaskState.HALTED


@pytest.mark.parametrize(
    ("change", "minimum", "maximum"), [("", 0, 1), ("a b", 0, 1), ("a:b", 0, 1), ("sign", 1, 0), ("sign", 0, True)]
)
async def test_version_refuses_what_cannot_be_meant(world: World, change: str, minimum: int, maximum: int) -> None:
    """The message shows the call."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.version(change, minimum, maximum)

    async with app:
        with pytest.raises(UsageError, match=r"ctx\.version\("):
            await app.rfc("a", flow)


# --- A whole function ---------------------------------------------------------------------------------


async def test_versions_of_a_function_run_side_by_side(world: World) -> None:
    """What was started goes on with the version it began with; what is started now gets the newest."""
    old, new = world.resonate(), world.resonate()

    async def first(ctx: Context) -> str:
        await ctx.lfc(add, 1)
        await ctx.sleep(10)
        return "first"

    async def second(ctx: Context) -> str:
        await ctx.sleep(10)
        return "second"

    old.register(name="flow", version=1)(first)
    new.register(name="flow", version=1)(first)
    new.register(name="flow", version=2)(second)
    async with old:
        await old.rfi("a", first)
        await trio.sleep(5)
    async with new:
        handles = [await new.get("a"), await new.rfi("b", second), await new.options(version=1).rfi("c", "flow")]
        assert [await handle for handle in handles] == ["first", "second", "first"]
