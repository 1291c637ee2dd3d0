"""Small parts under the engine: clocks, tasks that belong to a block, and the loop's end."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from resonate_trio.protocol import PromiseGet
from server_ref._tasks import open_service_tasks
from server_ref.clock import LoopClock, SystemClock
from server_ref.delivery import NOBODY
from server_ref.engine._loop import LoopSettings, TurnLoop
from server_ref.machine import Settings
from server_ref.store import MemoryStore

from .engine_kit import EPOCH_MS, SettableClock, waits

pytestmark = pytest.mark.anyio

Helper = Callable[[], Coroutine[Any, Any, None]]


def test_system_clock_is_the_wall_clock() -> None:
    """It tells Unix time in milliseconds."""
    before = time.time_ns() // 1_000_000
    assert before <= SystemClock().now_ms() <= time.time_ns() // 1_000_000


@waits
async def test_loop_clock_follows_the_event_loop() -> None:
    """It starts at its epoch, and a sleep of n milliseconds advances it by exactly n."""
    clock = LoopClock(EPOCH_MS)
    assert clock.now_ms() == EPOCH_MS
    for n in range(1, 50):
        await anyio.sleep(0.001)
        assert clock.now_ms() == EPOCH_MS + n


@waits
async def test_service_tasks_are_cancelled_at_the_end_of_the_block() -> None:
    """The block does not wait for helpers that never end."""
    with anyio.fail_after(1):
        await run_block(anyio.sleep_forever)


async def run_block(helper: Helper, error: Exception | None = None) -> None:
    """Wait in a block with one helper; when the helper fails, or at once, raise an error from the block."""
    async with open_service_tasks() as tasks:
        tasks.start_soon(helper)
        try:
            if helper is fail:
                await anyio.sleep_forever()
        finally:
            if error is not None:
                raise error


async def fail() -> None:
    """Fail, as a helper should not."""
    await checkpoint()
    raise LookupError


async def test_error_of_a_block_with_service_tasks_comes_out_bare() -> None:
    """It is not wrapped in a group."""
    with pytest.raises(ZeroDivisionError):
        await run_block(anyio.sleep_forever, ZeroDivisionError())


async def test_error_of_a_service_task_ends_the_block() -> None:
    """A helper that fails cancels the block, and its error comes out in a group."""
    with pytest.RaisesGroup(LookupError):
        await run_block(fail)


async def test_errors_of_both_a_block_and_its_service_task_come_out() -> None:
    """No failure is lost."""
    with pytest.RaisesGroup(LookupError, ZeroDivisionError):
        await run_block(fail, ZeroDivisionError())


async def test_request_of_the_server_itself_is_refused_when_the_loop_has_ended() -> None:
    """There is always a reply."""
    loop = TurnLoop(MemoryStore(), SettableClock(), LoopSettings(Settings(), debug=False))
    loop.stop()
    await loop.run(lambda: NOBODY, lambda _: None)
    statuses: list[int] = []
    loop.ask(PromiseGet("p"), lambda reply: statuses.append(reply.head.status))
    assert statuses == [503]
