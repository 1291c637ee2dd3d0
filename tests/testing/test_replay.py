"""`replay`: code, run against what was recorded."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from resonate_trio import Context, DivergenceError, PromiseNotFoundError, Resonate, UsageError, testing
from tests.sdk.http_kit import serving

from .flows import add, count, fan_out, remind
from .test_world import in_world


def history_of(
    *functions: Callable[..., object], args: tuple[object, ...] = (), after: float | None = None
) -> testing.History:
    """Run the first function, and record it: at its end, or after a while."""

    async def main(world: testing.World) -> testing.History:
        await world.start_worker(*functions)
        handle = await world.client.rfi("a", functions[0].__name__, *args)
        if after is None:
            with suppress(ValueError):
                await handle
        else:
            await trio.sleep(after)
        return await world.history("a")

    return in_world(main)


def test_a_finished_execution_gives_its_result_again() -> None:
    """No step runs, nothing is invoked."""
    history = history_of(fan_out, count, args=(4,))
    assert testing.replay(history, fan_out, count) == 6


def test_nothing_runs_again() -> None:
    """Steps give what was recorded, not what they would give now."""
    ran: list[int] = []

    async def step() -> int:
        ran.append(1)
        return len(ran)

    async def flow(ctx: Context) -> int:
        return await ctx.lfc(step)

    assert testing.replay(history_of(flow), flow) == 1
    assert ran == [1]


def test_a_history_is_a_readable_file(tmp_path: Path) -> None:
    """It can be saved, read by people, and loaded again as it was."""
    history = history_of(count, args=(2,))
    path = tmp_path / "count.json"
    history.save(path)
    assert testing.History.load(path) == history
    assert '"func": "count"' in path.read_text()
    assert testing.replay(path, count) == 2


def test_new_code_that_makes_the_same_calls_passes() -> None:
    """Its name does not matter, nor what it does in between."""

    async def count_differently(ctx: Context, n: int) -> str:
        results = [await ctx.lfc(add, i, 1) for i in range(n)]
        return f"counted to {results[-1]}"

    assert testing.replay(history_of(count, args=(3,)), count_differently) == "counted to 3"


def test_another_function_at_an_id_is_a_divergence() -> None:
    """The error names what is asked for and what was recorded."""

    async def subtract(a: int, b: int) -> int:
        """Subtract."""
        return a - b

    async def changed(ctx: Context, n: int) -> int:
        return await ctx.lfc(subtract, n, 1)

    with pytest.raises(DivergenceError) as error:
        testing.replay(history_of(count, args=(3,)), changed)
    assert error.value.id == "a:1"
    assert "subtract" in error.value.asked
    assert "add" in error.value.stored


def test_a_call_that_a_finished_execution_did_not_make_is_a_divergence() -> None:
    """There is no outcome for it."""

    async def longer(ctx: Context, n: int) -> int:
        return await ctx.lfc(add, await count(ctx, n), 1)

    with pytest.raises(DivergenceError) as error:
        testing.replay(history_of(count, args=(2,)), longer)
    assert error.value.id == "a:3"


def test_an_execution_under_way_is_replayed_as_far_as_it_has_come() -> None:
    """What it waits for does not come."""
    history = history_of(remind, args=("it",), after=10)
    assert testing.replay(history, remind) is testing.UNFINISHED


def test_a_step_under_way_does_not_run() -> None:
    """It was begun, and is not begun again."""
    ran: list[int] = []

    async def step() -> None:
        ran.append(1)
        await trio.sleep_forever()

    async def flow(ctx: Context) -> None:
        await ctx.lfc(add, 1, 1)
        await ctx.lfc(step)

    history = history_of(flow, after=10)
    assert testing.replay(history, flow) is testing.UNFINISHED
    assert ran == [1]


def test_a_failure_is_raised_again() -> None:
    """A flow that failed does so in its replay."""

    async def fail(ctx: Context) -> None:
        await ctx.lfc(add, 1, 1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        testing.replay(history_of(fail), fail)


def test_a_fixed_function_does_not_fail_any_more() -> None:
    """The result is that of the new code."""

    async def fail(ctx: Context) -> int:
        total = await ctx.lfc(add, 1, 1)
        raise ValueError(total)

    async def fixed(ctx: Context) -> int:
        return await ctx.lfc(add, 1, 1)

    assert testing.replay(history_of(fail), fixed) == 2


def test_an_application_is_replayed_as_it_is() -> None:
    """Functions are found by their recorded names."""
    app = Resonate()
    app.register(fan_out)
    app.register(count)
    assert testing.replay(history_of(fan_out, count, args=(2,)), app) == 1


def test_what_is_no_history_is_refused(tmp_path: Path) -> None:
    """The message says so."""
    path = tmp_path / "nothing.json"
    path.write_text("{}")
    with pytest.raises(UsageError, match="no history"):
        testing.replay(path, count)
    path.write_text('{"format": 2, "id": "a", "promises": []}')
    with pytest.raises(UsageError, match="format 2"):
        testing.replay(path, count)
    with pytest.raises(UsageError, match="needs code"):
        testing.replay(history_of(count, args=(1,)))


def test_an_unknown_invocation_has_no_history() -> None:
    """There is nothing to record."""

    async def main(world: testing.World) -> None:
        with pytest.raises(PromiseNotFoundError):
            await world.history("a")

    in_world(main)


def test_a_history_is_recorded_from_a_server() -> None:
    """Over HTTP, with nothing of other executions in it."""
    with serving() as url:

        async def main() -> testing.History:
            app = Resonate(url, group="counters")
            app.register(count)
            async with app:
                await app.rfc("a", count, 2)
                await app.rfc("b", count, 1)
            with pytest.raises(PromiseNotFoundError):
                await testing.record(url, "c")
            return await testing.record(url, "a")

        history = trio.run(main)
    assert set(history.promises) == {"a", "a:1", "a:2"}
    assert testing.replay(history, count) == 2
