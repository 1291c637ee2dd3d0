"""What a durable function sees of time and chance: the same in every run."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import trio

from resonate_trio import Context, Never, UsageError

from .kit import EPOCH_MS, Recorder, World, in_virtual_time

pytestmark = in_virtual_time

EPOCH = datetime.fromtimestamp(EPOCH_MS / 1000, UTC)


async def test_now_is_the_instant_of_what_the_function_saw_last(world: World) -> None:
    """Its own invocation, then the outcomes that it receives; a computation does not move it."""
    app = world.resonate()
    seen: list[timedelta] = []

    async def work() -> None:
        await trio.sleep(5)

    @app.register
    async def flow(ctx: Context) -> None:
        seen.append(ctx.now() - EPOCH)
        await trio.sleep(100)
        seen.append(ctx.now() - EPOCH)
        await ctx.lfc(work)
        seen.append(ctx.now() - EPOCH)
        await ctx.sleep(10)
        seen.append(ctx.now() - EPOCH)
        async with ctx.open_nursery() as nursery:
            nursery.lfi(work)
        seen.append(ctx.now() - EPOCH)

    async with app:
        await trio.sleep(1)
        await app.rfc("a", flow)
    assert [round(delta.total_seconds()) for delta in seen] == [1, 1, 106, 116, 121]


async def test_now_of_a_local_invocation_begins_with_it(world: World) -> None:
    """It has its own facts."""
    app = world.resonate()

    async def inner(ctx: Context) -> datetime:
        return ctx.now()

    @app.register
    async def flow(ctx: Context) -> datetime:
        await ctx.sleep(10)
        return await ctx.lfc(inner)

    async with app:
        assert await app.rfc("a", flow) - EPOCH == pytest.approx(timedelta(seconds=10), abs=timedelta(seconds=0.1))


async def test_time_and_chance_are_the_same_in_a_replay(world: World, recorder: Recorder) -> None:
    """Every run of the function sees what the first one saw."""
    app = world.resonate(max_parked=0, instrument=recorder)
    runs: list[list[object]] = []

    @app.register
    async def flow(ctx: Context) -> None:
        run: list[object] = []
        runs.append(run)
        for _ in range(3):
            run.extend([ctx.now(), ctx.random.random(), ctx.uuid4()])
            await ctx.sleep(10)

    async with app:
        await app.rfc("a", flow)
    assert recorder.count("started") == len(runs) == 4
    assert len({str(run[:3]) for run in runs}) == 1
    assert runs[2] == runs[3][:9]


async def test_chance_differs_between_invocations(world: World) -> None:
    """Each has its id for a seed."""
    app = world.resonate()

    @app.register
    async def draw(ctx: Context) -> UUID:
        return ctx.uuid4()

    async with app:
        drawn = [await app.rfc(f"a{number}", draw) for number in range(3)]
    assert len(set(drawn)) == 3
    assert {uuid.version for uuid in drawn} == {4}


async def test_sleep_until_ends_at_its_instant(world: World) -> None:
    """However it is written, and at once if that is past."""
    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> None:
        await ctx.sleep_until(EPOCH + timedelta(seconds=50))
        await ctx.sleep_until(EPOCH - timedelta(days=1))

    async with app:
        await app.rfc("a", flow)
    assert trio.current_time() == pytest.approx(50, abs=0.1)


async def test_instant_without_a_time_zone_is_refused(world: World) -> None:
    """It could be any of a day's."""
    app = world.resonate()

    @app.register(retry=Never())
    async def flow(ctx: Context) -> None:
        await ctx.sleep_until(datetime(2030, 1, 1))  # ruff: ignore[call-datetime-without-tzinfo]

    async with app:
        with pytest.raises(UsageError, match=r"needs a time zone, as in datetime.now\(UTC\)"):
            await app.rfc("a", flow)
