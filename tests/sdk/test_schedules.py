"""Functions that run by the calendar. The time at the start is 2023-11-14 22:13:20 UTC."""

from datetime import UTC, datetime

import pytest
import trio

from resonate_trio import (
    ArgumentsError,
    Context,
    EncodingError,
    InvocationTimedOut,
    ScheduleNotFoundError,
    UnregisteredFunctionError,
    UsageError,
)
from resonate_trio.protocol import PromisePage, PromiseSearch, tags

from .kit import World, in_virtual_time

pytestmark = in_virtual_time


def at(hour: int, minute: int) -> datetime:
    """Return an instant of the day on which the tests begin."""
    return datetime(2023, 11, 14, hour, minute, tzinfo=UTC)


async def idle() -> None:
    """Do nothing."""


async def test_function_runs_at_each_instant(world: World) -> None:
    """As an invocation of its own, with its arguments; the time that it sees is that of its run."""
    app = world.resonate()
    seen: list[tuple[str, str, datetime]] = []

    @app.register
    async def report(ctx: Context, kind: str, *, to: str = "me") -> str:
        await ctx.lfc(idle)
        seen.append((kind, to, ctx.now()))
        return kind

    async with app:
        schedule = await app.schedule("daily", "*/10 * * * *", report, "sales", to="you")
        assert (schedule.next_run_at, schedule.last_run_at, schedule.last_run_id) == (at(22, 20), None, None)
        await trio.sleep(20 * 60)
        schedule = await app.schedules.get("daily")
        assert (schedule.last_run_at, schedule.next_run_at) == (at(22, 30), at(22, 40))
        assert schedule.last_run_id == f"daily-{at(22, 30).timestamp() * 1000:.0f}"
        assert await (await app.get(schedule.last_run_id, str)) == "sales"
    assert seen == [("sales", "you", at(22, 20)), ("sales", "you", at(22, 30))]


async def test_function_may_be_named(world: World) -> None:
    """Then its group executes it, or the one that the options name, at the version that they name."""
    app = world.resonate()
    async with app:
        await app.schedule("a", "* * * * *", "elsewhere", 1)
        await app.options(group="g", version=3, timeout=60).schedule("b", "* * * * *", "elsewhere")
        await trio.sleep(60)
    page = await world.ask(PromiseSearch(), PromisePage)
    targets = {promise.tags[tags.SCHEDULE]: promise.tags[tags.TARGET] for promise in page.promises}
    assert targets == {"a": "poll://any@elsewhere", "b": "poll://any@g"}
    times = {promise.tags[tags.SCHEDULE]: promise.timeout_at - promise.created_at for promise in page.promises}
    assert times["b"] == 60_000
    assert times["a"] > 10**15


async def test_run_has_the_timeout_of_the_options(world: World) -> None:
    """It counts from the instant of the run."""
    async with world.resonate() as app:
        schedule = await app.options(timeout=60).schedule("a", "* * * * *", "nobody")
        await trio.sleep(60)
        assert schedule.next_run_id is not None
        with pytest.raises(InvocationTimedOut):
            await (await app.get(schedule.next_run_id))
        assert trio.current_time() == pytest.approx(40 + 60)


async def test_scheduling_the_same_again_changes_nothing(world: World) -> None:
    """So every start of a program may do it."""
    app = world.resonate()

    @app.register
    async def report(kinds: set[str]) -> None: ...

    async with app:
        first = await app.schedule("a", "0 * * * *", report, {"x", "y"})
        await trio.sleep(100)
        assert await app.schedule("a", "0 * * * *", report, {"y", "x"}) == first
        assert await app.schedules.list() == [first]


@pytest.mark.parametrize("change", ["cron", "function", "argument", "timeout", "group"])
async def test_another_schedule_of_the_same_id_is_an_error(world: World, change: str) -> None:
    """A change of the program is not lost without a word."""
    async with world.resonate() as app:
        await app.schedule("a", "0 * * * *", "f", 1)
        calls = {"timeout": app.options(timeout=1), "group": app.options(group="g")}.get(change, app)
        cron = "5 * * * *" if change == "cron" else "0 * * * *"
        with pytest.raises(UsageError, match=r"another schedule 'a'.*'0 \* \* \* \*'.*schedules.delete\('a'\)"):
            await calls.schedule("a", cron, "g" if change == "function" else "f", 2 if change == "argument" else 1)


async def test_deleted_schedule_runs_no_more(world: World) -> None:
    """And may be created anew, otherwise. Deleting it twice is no error."""
    async with world.resonate() as app:
        await app.schedule("a", "* * * * *", "f")
        await app.schedules.delete("a")
        await app.schedules.delete("a")
        await trio.sleep(100)
        with pytest.raises(ScheduleNotFoundError, match="'a'") as caught:
            await app.schedules.get("a")
        await app.schedule("a", "0 * * * *", "f")
    assert caught.value.id == "a"
    assert (await world.ask(PromiseSearch(), PromisePage)).promises == []


async def test_list_has_all_of_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over as many pages as there are."""
    monkeypatch.setattr("resonate_trio._schedules.PAGE", 2)
    async with world.resonate() as app:
        for id in "cabed":
            await app.schedule(id, "* * * * *", "f")
        assert [schedule.id for schedule in await app.schedules.list()] == ["a", "b", "c", "d", "e"]


async def test_schedule_that_has_no_further_run_says_so(world: World) -> None:
    """It stays, for those who look for it."""
    async with world.resonate() as app:
        await app.schedule("a", "0 30 22 14 11 * 2023", "f")
        await trio.sleep(20 * 60)
        schedule = await app.schedules.get("a")
    assert (schedule.next_run_at, schedule.next_run_id) == (None, None)
    assert schedule.last_run_at == at(22, 30)


# --- What can never work --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("* *", "2 fields"),
        ("61 * * * *", "61"),
        ("every day", "fields"),
        ("0 0 31 2 *", "matches no instant"),
        ("", "0 fields"),
    ],
)
async def test_cron_expression_that_is_none_is_refused(world: World, cron: str, said: str) -> None:
    """The error says what is wrong with it."""
    async with world.resonate() as app:
        with pytest.raises(UsageError, match=rf"'a' cannot be: cron: .*{said}"):
            await app.schedule("a", cron, "f")
        assert await app.schedules.list() == []


async def test_mistakes_are_found_before_anything_is_sent(world: World) -> None:
    """As with every invocation."""
    app = world.resonate()

    @app.register
    async def report(kind: str) -> None: ...

    async with app:
        with pytest.raises(UsageError, match="for the expression"):
            await app.schedule("a", report, "sales")  # type: ignore[call-overload]
        with pytest.raises(UsageError, match="must not contain ':'"):
            await app.schedule("a:b", "* * * * *", report, "sales")
        with pytest.raises(UnregisteredFunctionError):
            await app.schedule("a", "* * * * *", idle)
        with pytest.raises(ArgumentsError):
            await app.schedule("a", "* * * * *", "report")
        with pytest.raises(EncodingError):
            await app.schedule("a", "* * * * *", "f", object())
        with pytest.raises(UsageError, match="schedule"):
            await app.schedule("a", 5, "f")  # type: ignore[call-overload]
    assert world.wire.requests == []
