"""The thread that a store works in, if it blocks.

It is there for as long as the engine. The threads of anyio, which any caller may borrow, cost three times as much
for each call, and there is one call for every turn.
"""

import asyncio  # ruff: ignore[banned-api]
import queue
import threading
from collections.abc import Callable
from typing import TypeVar, final

import anyio
import anyio.lowlevel
import outcome
import sniffio
import trio

T = TypeVar("T")
Post = Callable[[Callable[[], None]], object]
"""Has something called in the event loop, from any thread."""


@final
class StoreThread:
    """Calls what it is given in a thread of its own, one after the other. It starts with the first call."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._post: Post | None = None

    async def call(self, step: Callable[[], T]) -> T:
        """Return what `step` returns, or raise what it raises.

        A caller that is cancelled waits nevertheless, as it cannot be stopped. Cancelled before, it is not called.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        post = self._post = self._post or self._start()
        is_done = anyio.Event()
        outcomes: list[outcome.Outcome[T]] = []

        def run() -> None:
            outcomes.append(outcome.capture(step))
            post(is_done.set)

        self._calls.put(run)
        with anyio.CancelScope(shield=True):
            await is_done.wait()
        return outcomes.pop().unwrap()

    def _start(self) -> Post:
        threading.Thread(target=self._work, name="store", daemon=True).start()
        if sniffio.current_async_library() == "trio":
            return trio.lowlevel.current_trio_token().run_sync_soon
        return asyncio.get_running_loop().call_soon_threadsafe

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call

    def end(self) -> None:
        """Let the thread end, when it has done what it was given."""
        self._calls.put(None)
