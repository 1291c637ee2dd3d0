"""A world: processes, a server and a client, in virtual time."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

from resonate_trio import Context, Never, Resonate, UsageError, WorkerOptions, testing

from .flows import YEAR_S, count, fan_out, long_step, remind

T = TypeVar("T")
Main = Callable[[testing.World], Awaitable[T]]


def in_world(main: Main[T], *, seed: int = 0, **options: Any) -> T:
    """Run something in a world of its own, with options of `open_world`."""

    async def run() -> T:
        async with testing.open_world(seed=seed, **options) as world:
            return await main(world)

    return testing.run(run, seed=seed)


def test_a_flow_sleeps_for_a_year() -> None:
    """Its result comes a year later, to the millisecond."""

    async def main(world: testing.World) -> tuple[str, float]:
        await world.start_worker(remind)
        return await world.client.rfc("a", remind, "it"), trio.current_time()

    result, at = in_world(main)
    assert result == "do not forget it"
    assert at == pytest.approx(YEAR_S, abs=0.001)


def test_an_application_is_run_as_it_is() -> None:
    """Its functions are registered already; it is not opened itself."""
    app = Resonate("http://nowhere", group="elsewhere")
    app.register(count)

    async def main(world: testing.World) -> int:
        await world.start_worker(app)
        return await world.client.rfc("a", count, 3)

    assert in_world(main) == 3


def test_groups_call_each_other() -> None:
    """Workers of several groups, each with its own functions and its own client."""

    async def ask(ctx: Context) -> int:
        total: int = await ctx.options(group="counters").rfc("count", 4)
        return total

    async def main(world: testing.World) -> tuple[int, int]:
        await world.start_worker(ask, group="askers")
        counters = await world.start_worker(count, group="counters")
        return await world.client.rfc("a", ask), await counters.client.rfc("b", count, 2)

    assert in_world(main) == (4, 2)


def test_an_application_stands_alone() -> None:
    """A worker has one registry."""

    async def main(world: testing.World) -> None:
        with pytest.raises(UsageError, match="stands alone"):
            await world.start_worker(count, Resonate())
        with pytest.raises(UsageError, match="something to execute"):
            await world.start_worker()

    in_world(main)


# --- Crashes --------------------------------------------------------------------------------------


def test_another_worker_takes_over_when_the_lease_of_a_crashed_one_ends() -> None:
    """Nothing is released by a crash, and nothing is lost by it."""

    async def main(world: testing.World) -> tuple[str, float]:
        first = await world.start_worker(long_step, options=WorkerOptions(lease=10))
        handle = await world.client.rfi("a", long_step, 60)
        await trio.sleep(30)
        first.crash()
        await world.start_worker(long_step)
        return await handle, trio.current_time()

    result, at = in_world(main)
    assert result == "done"
    assert 30 + 60 < at <= 30 + 10 + 60


def test_a_crashed_worker_writes_nothing_more_and_what_it_does_then_does_not_count() -> None:
    """Its frames unwind, as in a real crash they would not: their effects are void, their steps not stored."""

    async def main(world: testing.World) -> list[str]:
        async def step() -> None:
            try:
                world.effects.add("begun")
                await trio.sleep_forever()
            finally:
                world.effects.add("unwound")

        async def flow(ctx: Context) -> None:
            try:
                await ctx.lfc(step)
            finally:
                world.effects.add("left")

        process = await world.start_worker(flow)
        await world.client.rfi("a", flow)
        await trio.sleep(1)
        process.crash()
        await trio.sleep(100)
        assert [task.state for task in await world.tasks()] == ["pending"]
        return [effect.name for effect in world.effects]

    assert in_world(main) == ["begun"]


def test_effects_of_a_function_that_was_invoked_through_the_process_are_void_after_its_crash() -> None:
    """Where a task runs counts, not who asked for it."""

    async def main(world: testing.World) -> int:
        async def flow() -> None:
            try:
                await trio.sleep_forever()
            finally:
                world.effects.add("unwound")

        process = await world.start_worker(flow)
        await process.app.lfi("a", flow)
        await trio.sleep(1)
        process.crash()
        await trio.sleep(1)
        return len(world.effects)

    assert in_world(main) == 0


def test_a_crash_takes_no_time() -> None:
    """There is no grace: what ran runs no longer, in the same instant."""

    async def main(world: testing.World) -> list[float]:
        ended: list[float] = []

        async def step() -> None:
            try:
                await trio.sleep_forever()
            finally:
                ended.append(trio.current_time())

        process = await world.start_worker(step)
        await world.client.rfi("a", step)
        await trio.sleep(5)
        process.crash()
        await trio.sleep(100)
        return ended

    assert in_world(main) == [5]


def test_a_stopped_worker_releases_what_it_has() -> None:
    """As at SIGTERM: it drains, and another one takes over without waiting for a lease."""

    async def main(world: testing.World) -> float:
        options = WorkerOptions(lease=1000, grace=1)
        first = await world.start_worker(long_step, options=options)
        await world.client.rfi("a", long_step, 100)
        await trio.sleep(10)
        await first.stop()
        assert not first.is_running
        await world.start_worker(long_step)
        await world.settle()
        return trio.current_time()

    assert in_world(main) == pytest.approx(10 + 1 + 100, abs=0.1)


def test_a_process_starts_again_with_an_empty_memory() -> None:
    """It is another application then, under another pid."""

    async def main(world: testing.World) -> int:
        process = await world.start_worker(count)
        app = process.app
        with pytest.raises(UsageError, match="runs already"):
            await process.start()
        process.crash()
        with pytest.raises(UsageError, match="does not run"):
            _ = process.app
        await process.start()
        assert process.app is not app
        return await world.client.rfc("a", count, 2)

    assert in_world(main) == 2


def test_a_cut_worker_loses_its_tasks() -> None:
    """Its lease ends, and another one finishes what it cannot."""

    async def main(world: testing.World) -> tuple[int, int]:
        first = await world.start_worker(long_step, options=WorkerOptions(lease=10))
        handle = await world.client.rfi("a", long_step, 60)
        await trio.sleep(1)
        first.cut()
        second = await world.start_worker(long_step)
        await handle
        first.mend()
        lines = world.trace.lines
        return sum(f"{first.name}  " in line for line in lines), sum(f"{second.name}  " in line for line in lines)

    one, other = in_world(main)
    assert one
    assert other


# --- The server -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_on_disk", [False, True])
def test_the_server_restarts_with_what_it_had(is_on_disk: bool, tmp_path: Path) -> None:
    """In memory the store is kept, on disk it is opened anew. What waits goes on."""

    async def main(world: testing.World) -> int:
        await world.start_worker(count, fan_out)
        handle = await world.client.rfi("a", fan_out, 4)
        for _ in range(3):
            await world.restart_server(down_for=2)
        return await handle

    assert in_world(main, path=tmp_path / "world.db" if is_on_disk else None) == 6


def test_a_lease_is_ended_by_hand() -> None:
    """The holder's writes are refused, and the task is executed again."""

    async def main(world: testing.World) -> tuple[bool, bool, int]:
        started: list[str] = []

        async def slow() -> str:
            started.append("once more")
            await trio.sleep(5)
            return "done"

        await world.start_worker(slow)
        handle = await world.client.rfi("a", slow)
        await trio.sleep(1)
        was_held = await world.expire_lease("a")
        await handle
        return was_held, await world.expire_lease("a"), len(started)

    assert in_world(main) == (True, False, 2)


def test_a_test_that_waits_for_nothing_is_told() -> None:
    """It does not hang: there is no worker, and there never will be one."""

    async def main(world: testing.World) -> None:
        await world.client.options(group="nobody").rfc("a", "count", 1)

    with pytest.raises(testing.Stuck, match=r"promise\.create a"):
        in_world(main)


def test_settle_waits_for_what_was_detached() -> None:
    """It outlives its caller, but not the wait."""

    async def main(world: testing.World) -> int:
        async def flow(ctx: Context) -> None:
            ctx.detached(remind, "it")

        await world.start_worker(flow, remind)
        await world.client.rfc("a", flow)
        before = sum(promise.is_pending for promise in await world.promises())
        await world.settle()
        return before - sum(promise.is_pending for promise in await world.promises())

    assert in_world(main) >= 1


def test_a_client_rebuilds_errors_that_the_application_registered() -> None:
    """As it would outside of a test."""
    app = Resonate()

    @app.register_error
    class OutOfStock(Exception):
        """There is none left."""

    @app.register(retry=Never())
    async def order() -> None:
        raise OutOfStock("books")

    async def main(world: testing.World) -> None:
        await world.start_worker(app)
        with pytest.raises(OutOfStock, match="books"):
            await world.client.rfc("a", order)

    in_world(main)
