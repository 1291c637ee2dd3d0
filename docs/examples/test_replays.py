"""Rules 8 to 12 of structured concurrency: suspension, races, failures, leases, and replays that are checked."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from resonate_trio import Context, DivergenceError, Instrument, Never, Resonate, WorkerOptions
from resonate_trio.protocol import Envelope, Head, TaskContinue
from server_ref.clock import LoopClock
from server_ref.engine import Engine, open_engine
from server_ref.store import MemoryStore

pytestmark = pytest.mark.trio

Printed = pytest.CaptureFixture[str]

DAY = 24 * 3600


# --- 8. Suspending is not cancelling --------------------------------------------------------------


async def patient(ctx: Context) -> None:
    """Sleep for a day, and clean up."""
    try:
        await ctx.sleep(DAY)
    finally:
        print("finally")
        await ctx.lfc(clean_up)


async def clean_up() -> None:
    """Do what must be done once."""
    print("cleaned up")


@pytest.mark.parametrize(
    ("worker_ends", "lines"),
    [(False, ["finally", "cleaned up"]), (True, ["finally", "a new worker", "finally", "cleaned up"])],
)
async def test_suspending_is_not_cancelling(
    autojump_clock: MockClock, capsys: Printed, worker_ends: bool, lines: list[str]
) -> None:
    """A parked function stands still. One whose worker ends unwinds, but its durable calls do nothing then."""
    async with open_engine(MemoryStore(), clock=LoopClock(0)) as engine:
        async with open_worker(engine, patient) as resonate:
            handle = await resonate.rfi("patient-1", patient)
            await trio.sleep(DAY / 2)
            assert capsys.readouterr().out == ""
            if not worker_ends:
                await handle
        if worker_ends:
            print("a new worker")
            async with open_worker(engine, patient) as resonate:
                await resonate.rfc("patient-1", patient)
    assert capsys.readouterr().out.splitlines() == lines


# --- 9. Races are recorded ------------------------------------------------------------------------


async def cheapest(ctx: Context) -> str:
    """Take the first offer, and buy after a day."""
    async with ctx.open_nursery() as nursery:
        nursery.rfi(offer, "slow", 60)
        nursery.rfi(offer, "broken", 1)
        nursery.rfi(offer, "quick", 5)
        winner = await nursery.first()
    await ctx.sleep(DAY)
    return f"bought from {winner}"


async def offer(name: str, seconds: float) -> str:
    """Make an offer after a while."""
    await trio.sleep(seconds)
    if name == "broken":
        raise ValueError(name)
    return name


@pytest.mark.parametrize("crashes_at", [0.5, 3, DAY / 2, None])
async def test_races_are_recorded(autojump_clock: MockClock, crashes_at: float | None) -> None:
    """A failure is none as long as one may succeed; a replay finds the winner, it does not look for one."""
    async with open_engine(MemoryStore(), clock=LoopClock(0)) as engine:
        if crashes_at is not None:
            async with open_worker(engine, cheapest, offer) as resonate:
                await resonate.rfi("buy-1", cheapest)
                await trio.sleep(crashes_at)
        async with open_worker(engine, cheapest, offer) as resonate:
            assert await resonate.rfc("buy-1", cheapest) == "bought from quick"


# --- 10. Failures keep their shape ----------------------------------------------------------------


class SoldOutError(Exception):
    """There is none left; registered, so that it arrives as what it is."""


async def shopping(ctx: Context) -> list[str]:
    """Handle what failed two levels down, each kind by itself."""
    notes: list[str] = []
    try:
        async with ctx.open_nursery(fail_fast=False) as nursery:
            nursery.rfi(shelf, "apple", "pear")
            nursery.rfi(shelf, "nail")
    except* SoldOutError as group:
        notes += [f"{error} is sold out" for shelf in group.exceptions for error in leaves(shelf)]
    except* KeyError as group:
        notes += [f"{error} is unknown" for shelf in group.exceptions for error in leaves(shelf)]
    return notes


async def shelf(ctx: Context, *items: str) -> None:
    """Take items from one shelf."""
    async with ctx.open_nursery(fail_fast=False) as nursery:
        for item in items:
            nursery.rfi(take, item)


async def take(item: str) -> None:
    """Take an item, if it is there."""
    if item == "nail":
        raise KeyError(item)
    raise SoldOutError(item)


def leaves(error: BaseException) -> list[BaseException]:
    """Return the exceptions in a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for member in error.exceptions for leaf in leaves(member)]
    return [error]


async def test_failures_keep_their_shape(autojump_clock: MockClock) -> None:
    """Groups in groups, which have crossed two processes each."""
    async with (
        open_engine(MemoryStore(), clock=LoopClock(0)) as engine,
        open_worker(engine, shopping, shelf, take) as resonate,
    ):
        assert await resonate.rfc("shop-1", shopping) == [
            "apple is sold out",
            "pear is sold out",
            "'nail' is unknown",
        ]


# --- 11. Leases bound scopes ----------------------------------------------------------------------


async def two_steps(ctx: Context) -> None:
    """Do one thing after the other."""
    await ctx.lfc(work, "a short step", 3)
    await ctx.lfc(work, "a long step", 30)


async def work(what: str, seconds: float) -> None:
    """Work for a while."""
    print(f"{what} begins")
    await trio.sleep(seconds)
    print(f"{what} has ended")


async def test_worker_that_closes_lets_steps_end(autojump_clock: MockClock, capsys: Printed) -> None:
    """Within its grace of 5 seconds; what is cut is run again elsewhere, and what was stored is not."""
    async with open_engine(MemoryStore(), clock=LoopClock(0)) as engine:
        async with open_worker(engine, two_steps) as resonate:
            await resonate.rfi("work-1", two_steps)
            await trio.sleep(1)
        print("a new worker")
        async with open_worker(engine, two_steps) as resonate:
            await resonate.rfc("work-1", two_steps)
    assert capsys.readouterr().out.splitlines() == [
        "a short step begins",
        "a short step has ended",
        "a long step begins",
        "a new worker",
        "a long step begins",
        "a long step has ended",
    ]


# --- 12. Replay is checked ------------------------------------------------------------------------


async def send(ctx: Context) -> str:
    """Pay, wait for a day, and send: the code that an execution began with."""
    await ctx.lfc(step, "pay")
    await ctx.sleep(DAY)
    return await ctx.lfc(step, "send")


async def send_at_once(ctx: Context) -> str:
    """Send without waiting: the code as it was changed, carelessly."""
    await ctx.lfc(step, "pay")
    return await ctx.lfc(step, "send")


async def send_versions(ctx: Context) -> str:
    """Wait only in executions that began with the wait: the code as it should have been changed."""
    await ctx.lfc(step, "pay")
    if await ctx.version("send-at-once", 0, 1) == 0:
        await ctx.sleep(DAY)
    return await ctx.lfc(step, "send")


async def step(what: str) -> str:
    """Do something that is stored."""
    return what


@define
class Alarm(Instrument):
    """Keeps why tasks were halted."""

    errors: list[DivergenceError] = field(factory=list)

    def task_halted(self, id: str, error: DivergenceError) -> None:
        """Keep it."""
        self.errors.append(error)


async def test_replay_is_checked(autojump_clock: MockClock) -> None:
    """Code that does not fit what is stored is stopped; with code that does, the execution goes on."""
    async with open_engine(MemoryStore(), clock=LoopClock(0)) as engine:
        async with open_worker(engine, send, name="send") as resonate:
            await resonate.rfi("send-1", "send")
            await trio.sleep(DAY / 2)

        alarm = Alarm()
        async with open_worker(engine, send_at_once, name="send", instrument=alarm):
            await trio.sleep(DAY)
        (error,) = alarm.errors
        assert (error.id, error.stored) == ("send-1:2", "a timer of sleep()")
        assert error.asked.startswith("a local invocation of step(")

        await engine.perform(Envelope(Head("1"), TaskContinue("send-1")))  # `resonate-trio continue send-1`
        async with open_worker(engine, send_versions, name="send") as resonate:
            assert await resonate.rfc("send-1", "send") == "send"
            started = trio.current_time()
            assert await resonate.rfc("send-2", "send") == "send"
            assert trio.current_time() - started < 1


# --- The application ------------------------------------------------------------------------------


@asynccontextmanager
async def open_worker(
    engine: Engine,
    *functions: Callable[..., object],
    name: str | None = None,
    instrument: Instrument | None = None,
) -> AsyncGenerator[Resonate]:
    """Open a worker with some functions; leaving the block is the end of its process."""
    worker = WorkerOptions(instrument=instrument or Instrument())
    async with Resonate(engine=engine, worker=worker) as resonate:
        resonate.register_error(SoldOutError)
        for function in functions:
            resonate.register(name=name, retry=Never())(function)
        yield resonate
