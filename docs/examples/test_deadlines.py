"""Rules 6 and 7 of structured concurrency: deadlines, and whose waits are durable."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from resonate_trio import Context, InvocationTimedOut, Resonate, UsageError
from server_ref.clock import LoopClock
from server_ref.engine import Engine, open_engine
from server_ref.store import MemoryStore

pytestmark = pytest.mark.trio

HOUR = 3600


async def answer(ctx: Context, hours: float) -> str:
    """Take a while to answer; note it if nobody wants to know any more."""
    try:
        await ctx.sleep(hours * HOUR)
    except trio.Cancelled:
        with ctx.shield(budget=10):
            await ctx.lfc(note, "nobody wants to know")
        raise
    return "yes"


async def note(text: str) -> None:
    """Take a second to write it down."""
    await trio.sleep(1)
    print(text)


# --- 6. Deadlines are durable ---------------------------------------------------------------------


async def ask(ctx: Context, hours: float) -> str:
    """Wait for an answer, but not for ever."""
    with ctx.move_on_after(24 * HOUR) as scope:
        await ctx.rfc(answer, hours)
    return "no answer" if scope.cancelled_caught else "yes"


async def test_deadline_cuts_and_joins(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    """The block is left when what it called has ended, its cleanup included."""
    async with open_application() as resonate:
        assert await resonate.rfc("ask-1", ask, 23) == "yes"
        started = trio.current_time()
        assert await resonate.rfc("ask-2", ask, 25) == "no answer"
        assert trio.current_time() - started == pytest.approx(24 * HOUR + 1, abs=0.1)
    assert capsys.readouterr().out == "nobody wants to know\n"


async def test_deadline_holds_through_crashes(autojump_clock: MockClock) -> None:
    """It was fixed when the function came there first, in another process."""
    async with open_engine(MemoryStore(), clock=LoopClock(0)) as engine:
        async with open_worker(engine) as resonate:
            await resonate.rfi("ask-1", ask, 25)
            await trio.sleep(HOUR)
        await trio.sleep(HOUR)
        async with open_worker(engine) as resonate:
            assert await resonate.rfc("ask-1", ask, 25) == "no answer"
        assert trio.current_time() == pytest.approx(24 * HOUR + 1, abs=1)


async def insist(ctx: Context) -> list[str]:
    """See what raises what when time is over."""
    notes = []
    try:
        with ctx.fail_after(HOUR):
            await ctx.rfc(answer, 2)
    except trio.TooSlowError:
        notes.append("fail_after")
    try:
        async with ctx.open_nursery(timeout=HOUR) as nursery:
            nursery.rfi(answer, 2)
    except trio.TooSlowError:
        notes.append("open_nursery")
    try:
        await ctx.options(timeout=HOUR).rfc(answer, 2)
    except InvocationTimedOut:
        notes.append("options")
    return notes


async def test_what_raises_what(autojump_clock: MockClock) -> None:
    """Scopes raise what trio's raise; the timeout of an invocation is an outcome of that invocation."""
    async with open_application() as resonate:
        assert await resonate.rfc("insist-1", insist) == ["fail_after", "open_nursery", "options"]


# --- 7. Durable waits are the runtime's -----------------------------------------------------------


async def plain_deadline(ctx: Context) -> None:
    """Put trio's own deadline around a durable wait: refused at once, though the sleep is short."""
    with trio.move_on_after(HOUR):
        await ctx.sleep(1)


async def plain_nursery(ctx: Context) -> None:
    """Wait in a task of trio's own nursery."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ctx.sleep, 1)


async def leaf() -> str:
    """Use all of trio, as there is no durable call in here."""
    found: list[int] = []
    with trio.move_on_after(10):
        async with trio.open_nursery() as nursery:
            for seconds in (3, 5, 30):
                nursery.start_soon(append_after, found, seconds)
    return f"{len(found)} of 3"


async def append_after(found: list[int], seconds: int) -> None:
    """Find something after a while."""
    await trio.sleep(seconds)
    found.append(seconds)


async def test_durable_waits_are_the_runtime_s(autojump_clock: MockClock) -> None:
    """The messages name what to use instead."""
    async with open_application() as resonate:
        with pytest.raises(UsageError, match=r"with ctx\.move_on_after\(s\)"):
            await resonate.rfc("plain-1", plain_deadline)
        with pytest.RaisesGroup(pytest.RaisesExc(UsageError, match=r"ctx\.open_nursery\(\)")):
            await resonate.rfc("plain-2", plain_nursery)
        assert await resonate.rfc("leaf-1", leaf) == "2 of 3"


# --- The application ------------------------------------------------------------------------------


@asynccontextmanager
async def open_worker(engine: Engine) -> AsyncGenerator[Resonate]:
    """Open a worker with all these functions."""
    async with Resonate(engine=engine) as resonate:
        for function in (answer, ask, insist, plain_deadline, plain_nursery, leaf):
            resonate.register(function)
        yield resonate


@asynccontextmanager
async def open_application() -> AsyncGenerator[Resonate]:
    """Open a worker on an engine in memory, whose clock is that of trio."""
    async with open_engine(MemoryStore(), clock=LoopClock(0)) as engine, open_worker(engine) as resonate:
        yield resonate
