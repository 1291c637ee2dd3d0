"""The stream of messages to one connected worker."""

from collections.abc import Callable
from typing import Self, final

import anyio
import anyio.lowlevel

from resonate_trio.protocol import Message
from server_ref.machine import OutgoingKey

from ._choice import Seat
from ._router import Router


@final
class Connection:
    """The messages to one worker, to be iterated. They end when it is replaced or the server stops.

    Asking for the next message says that the one before was handed over. Cancelling `anext` loses nothing.
    """

    def __init__(self, router: Router, seat: Seat, handed_over: Callable[[OutgoingKey], None]) -> None:
        self._router = router
        self._handed_over = handed_over
        self._changed = anyio.Event()
        self._peer = router.connect(seat, self._notify)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        # A reader that was told of its client's end, but has not run yet, is cancelled here, before it
        # confirms what it wrote into the void.
        await anyio.lowlevel.checkpoint()
        self._confirm()
        while self._peer.is_open:
            outgoing = self._router.take(self._peer)
            if outgoing is not None:
                return outgoing.message
            # Not before the queue is empty: a task that is to be cancelled may be in it.
            cancel = self._router.take_cancel(self._peer)
            if cancel is not None:
                return cancel
            self._changed = anyio.Event()
            await self._changed.wait()
        raise StopAsyncIteration

    def close(self) -> None:
        """Let the worker go: what it has not taken, or not acquired, goes to another one."""
        self._router.disconnect(self._peer)

    def _notify(self) -> None:
        self._changed.set()

    def _confirm(self) -> None:
        key = self._router.confirm(self._peer)
        if key is not None:
            self._handed_over(key)
