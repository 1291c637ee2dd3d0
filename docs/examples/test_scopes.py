"""Rules 1 to 5 of structured concurrency: who owns what, how blocks end, failure and cancellation."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from resonate_trio import Context, InvocationCancelled, Never, Resonate
from server_ref.clock import LoopClock
from server_ref.engine import Engine, open_engine
from server_ref.store import MemoryStore

pytestmark = pytest.mark.trio

Printed = pytest.CaptureFixture[str]


# --- Steps ----------------------------------------------------------------------------------------


async def book(what: str, seconds: float) -> str:
    """Book something; give it back if that is cut."""
    try:
        await trio.sleep(seconds)
    except trio.Cancelled:
        print(f"{what}: given back")
        raise
    print(f"{what}: booked")
    return f"one {what}"


async def fail(what: str, seconds: float) -> str:
    """Find out that it is sold out."""
    await trio.sleep(seconds)
    raise LookupError(f"no {what} left")


# --- 1. Scopes own invocations --------------------------------------------------------------------


async def owned(ctx: Context) -> list[str]:
    """Start an invocation in a nursery, one of the function itself, and one that outlives it."""
    async with ctx.open_nursery() as nursery:
        flight = nursery.rfi(book, "flight", 2)
        car = ctx.rfi(book, "car", 5)
        ctx.detached(book, "newsletter", 10)
    print("the nursery has ended")
    return [flight.value, await car]


async def test_scopes_own_invocations(autojump_clock: MockClock, capsys: Printed) -> None:
    """The nursery waits for what is its own; the function for the rest; nobody for what is detached."""
    async with open_application() as resonate:
        assert await resonate.rfc("trip-1", owned) == ["one flight", "one car"]
        print("the trip is booked")
        await trio.sleep(10)
    assert printed(capsys) == [
        "flight: booked",
        "the nursery has ended",
        "car: booked",
        "the trip is booked",
        "newsletter: booked",
    ]


# --- 2. Leaving waits -----------------------------------------------------------------------------


async def year(ctx: Context) -> str:
    """Wait for a year at the end of a block."""
    async with ctx.open_nursery() as nursery:
        nursery.rfi(pause, 365)
    return "a year has gone by"


async def pause(ctx: Context, days: int) -> None:
    """Sleep durably."""
    await ctx.sleep(days * 24 * 3600)


async def test_leaving_waits_across_processes(autojump_clock: MockClock) -> None:
    """No process lives as long as the block: one starts it, another one goes on after its end."""
    async with open_engine(MemoryStore(), clock=LoopClock(0)) as engine:
        async with open_worker(engine) as resonate:
            await resonate.rfi("year-1", year)
            await trio.sleep(1)
        await trio.sleep(100 * 24 * 3600)
        async with open_worker(engine) as resonate:
            assert await resonate.rfc("year-1", year) == "a year has gone by"


# --- 3. Failure cancels siblings ------------------------------------------------------------------


async def trip(ctx: Context) -> list[str]:
    """Book what is needed for a trip, or nothing."""
    problems = []
    try:
        async with ctx.open_nursery() as nursery:
            nursery.rfi(book, "flight", 10)
            nursery.rfi(fail, "hotel", 2)
            nursery.rfi(book, "car", 1)
            await ctx.rfc(book, "insurance", 5)  # cut, too
    except* LookupError as group:
        problems = [str(error) for error in group.exceptions]
    return problems


async def test_failure_cancels_siblings(autojump_clock: MockClock, capsys: Printed) -> None:
    """What is pending is cancelled, the block too; one failure is raised, in a group."""
    async with open_application() as resonate:
        assert await resonate.rfc("trip-1", trip) == ["no hotel left"]
        assert trio.current_time() == pytest.approx(2, abs=0.1)
    assert sorted(printed(capsys)) == ["car: booked", "flight: given back", "insurance: given back"]


async def offers(ctx: Context) -> list[str]:
    """Ask everybody, come what may."""
    answers = []
    try:
        async with ctx.open_nursery(fail_fast=False) as nursery:
            flight = nursery.rfi(book, "flight", 10)
            nursery.rfi(fail, "hotel", 2)
            nursery.rfi(fail, "car", 1)
    except* LookupError as group:
        answers = [str(error) for error in group.exceptions]
    return [flight.value, *answers]


async def test_nursery_may_wait_for_all(autojump_clock: MockClock) -> None:
    """Failures come in order of creation, not in that of time."""
    async with open_application() as resonate:
        assert await resonate.rfc("offers-1", offers) == ["one flight", "no hotel left", "no car left"]
        assert trio.current_time() == pytest.approx(10, abs=0.1)


# --- 4. Stored outcomes win -----------------------------------------------------------------------


async def late_news(ctx: Context) -> list[str]:
    """Await what is there already, in a scope that is cancelled."""
    notes = []
    with ctx.move_on_after(5):
        car = ctx.rfi(book, "car", 2)
        try:
            await ctx.rfc(book, "flight", 10)
        finally:
            notes.append(await car)  # its outcome is stored: no Cancelled here
            await ctx.sleep(1)  # nothing is stored of this, so it is cut
            notes.append("not reached")
    return notes


@pytest.mark.parametrize("crashes_at", [1, 3, 7, None])
async def test_stored_outcomes_win(autojump_clock: MockClock, crashes_at: float | None) -> None:
    """Every run takes the same path, whenever it hears of what has happened."""
    async with open_engine(MemoryStore(), clock=LoopClock(0)) as engine:
        if crashes_at is not None:
            async with open_worker(engine) as resonate:
                await resonate.rfi("news-1", late_news)
                await trio.sleep(crashes_at)
        async with open_worker(engine) as resonate:
            assert await resonate.rfc("news-1", late_news) == ["one car"]


# --- 5. Cancelling is asking, and joined ----------------------------------------------------------


async def tour(ctx: Context) -> None:
    """Book the trips of a tour."""
    try:
        async with ctx.open_nursery() as nursery:
            nursery.rfi(leg, "Lisbon")
            nursery.rfi(leg, "Porto")
    finally:
        print("tour: closed")


async def leg(ctx: Context, city: str) -> None:
    """Book one of them."""
    try:
        await ctx.lfc(book, f"room in {city}", 3600)
    except trio.Cancelled:
        with ctx.shield(budget=10):
            await ctx.lfc(tell, f"{city}: told the guide")
        raise


async def tell(what: str) -> None:
    """Take a second to tell somebody."""
    await trio.sleep(1)
    print(what)


async def test_cancelling_is_joined(autojump_clock: MockClock, capsys: Printed) -> None:
    """Once the root has ended, nothing of the tree runs any more; callers end after what they have called."""
    async with open_application() as resonate:
        await resonate.rfi("tour-1", tour)
        await trio.sleep(60)
        await resonate.cancel("tour-1", reason="the client is ill")
        print("cancelled")
        with pytest.raises(InvocationCancelled, match="the client is ill"):
            await resonate.rfc("tour-1", tour)
    lines = printed(capsys)
    assert sorted(lines[:2]) == ["room in Lisbon: given back", "room in Porto: given back"]
    assert sorted(lines[2:4]) == ["Lisbon: told the guide", "Porto: told the guide"]
    assert lines[4:] == ["tour: closed", "cancelled"]


async def choosy(ctx: Context) -> list[str]:
    """Cancel single invocations, and then a nursery."""
    notes = []
    async with ctx.open_nursery() as nursery:
        flight = nursery.rfi(book, "flight", 10)
        car = nursery.rfi(book, "car", 2)
        await ctx.sleep(5)
        flight.cancel()
        car.cancel()  # too late, so nothing happens
        notes.append(await car)
        try:
            await flight
        except InvocationCancelled:
            notes.append("no flight")
        nursery.rfi(book, "boat", 100)
        nursery.cancel()
        await ctx.sleep(1)  # a durable wait: this is where the block is cut
        notes.append("not reached")
    return notes


async def test_one_invocation_can_be_cancelled(autojump_clock: MockClock) -> None:
    """That is no failure of the nursery; nor is it one to cancel all of it."""
    async with open_application() as resonate:
        assert await resonate.rfc("choosy-1", choosy) == ["one car", "no flight"]


# --- The application ------------------------------------------------------------------------------


@asynccontextmanager
async def open_worker(engine: Engine) -> AsyncGenerator[Resonate]:
    """Open a worker with all these functions."""
    async with Resonate(engine=engine) as resonate:
        resonate.register(retry=Never())(fail)
        for function in (book, owned, year, pause, trip, offers, late_news, tour, leg, choosy):
            resonate.register(function)
        yield resonate


@asynccontextmanager
async def open_application() -> AsyncGenerator[Resonate]:
    """Open a worker on an engine in memory, whose clock is that of trio."""
    async with open_engine(MemoryStore(), clock=LoopClock(0)) as engine, open_worker(engine) as resonate:
        yield resonate


def printed(capsys: Printed) -> list[str]:
    """Return the lines that were printed."""
    return capsys.readouterr().out.splitlines()
