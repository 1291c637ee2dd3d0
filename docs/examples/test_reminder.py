"""A flow and its tests: an engine in memory, and virtual time. Run it with pytest."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from resonate_trio import Context, Resonate
from server_ref.clock import LoopClock
from server_ref.engine import open_engine
from server_ref.store import MemoryStore

pytestmark = pytest.mark.trio

WEEK = 7 * 24 * 3600


async def remind(ctx: Context, text: str) -> str:
    """Wait for a week, then say it."""
    await ctx.sleep(WEEK)
    return f"do not forget {text}"


@asynccontextmanager
async def open_application() -> AsyncGenerator[Resonate]:
    """Open a worker on an engine in memory, whose clock is that of trio."""
    async with open_engine(MemoryStore(), clock=LoopClock(0)) as engine, Resonate(engine=engine) as resonate:
        resonate.register(remind)
        yield resonate


async def test_reminds_after_a_week(autojump_clock: MockClock) -> None:
    """A week of durable sleep takes no time at all, and it is a week to the second."""
    async with open_application() as resonate:
        started = trio.current_time()
        assert await resonate.rfc("reminder-1", remind, "the milk") == "do not forget the milk"
        assert trio.current_time() - started == pytest.approx(WEEK)


async def test_reminds_once(autojump_clock: MockClock) -> None:
    """Asking again under the same id starts nothing."""
    async with open_application() as resonate:
        first = await resonate.rfi("reminder-1", remind, "the milk")
        second = await resonate.rfi("reminder-1", remind, "something else")
        assert await first == await second == "do not forget the milk"
