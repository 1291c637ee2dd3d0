"""The thread that a store works in."""

import threading
from collections.abc import Iterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from server_ref.engine._thread import StoreThread

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both backends in real time: virtual time would run away while a thread works."""
    return str(request.param)


@pytest.fixture
def thread() -> Iterator[StoreThread]:
    """Give a thread that ends with the test."""
    thread = StoreThread()
    yield thread
    thread.end()


async def test_all_calls_are_in_one_thread_of_their_own(thread: StoreThread) -> None:
    """It begins with the first, and ends when it is told to."""
    before = threading.active_count()
    first = await thread.call(threading.current_thread)
    assert await thread.call(threading.current_thread) is first
    assert first is not threading.current_thread()
    assert threading.active_count() == before + 1
    thread.end()
    first.join(timeout=10)
    assert not first.is_alive()


async def test_what_is_returned_or_raised_comes_out(thread: StoreThread) -> None:
    """And an error leaves the thread as it was."""

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await thread.call(fail)
    assert await thread.call(lambda: 42) == 42


async def test_caller_that_is_cancelled_waits_for_its_call(thread: StoreThread) -> None:
    """The store is in use until then."""
    has_begun, gate = threading.Event(), threading.Event()
    done: list[None] = []

    def step() -> None:
        has_begun.set()
        assert gate.wait(timeout=10)
        done.append(None)

    async def call() -> None:
        await thread.call(step)
        done.append(None)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        while not has_begun.is_set():
            await checkpoint()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await checkpoint()
        assert not done
        gate.set()
    assert len(done) == 2


async def test_caller_that_is_cancelled_already_calls_nothing(thread: StoreThread) -> None:
    """It is as if it had never asked."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await thread.call(pytest.fail)
    assert scope.cancelled_caught
