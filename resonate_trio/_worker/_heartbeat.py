"""Heartbeats that go on while a function blocks the event loop.

They are sent from a thread of their own, with a connection of their own: a function that computes for seconds
without a checkpoint must not lose its lease for that. When to beat is decided in `_pulse`.

The thread is run by trio within the worker's nursery and ends with it.
"""

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, final

import httpx
import trio

from resonate_trio._backoff import Backoff, describe
from resonate_trio._execution import HeldTask
from resonate_trio.protocol import (
    Beaten,
    Envelope,
    Head,
    ProtocolError,
    TaskHeartbeat,
    TaskRef,
    decode_reply,
    encode_request,
)

from ._pulse import Pulse

if TYPE_CHECKING:
    from resonate_trio.protocol import Request

logger = logging.getLogger("resonate_trio.worker")

Hear = Callable[[Sequence[HeldTask], Beaten], None]


@final
class Heartbeat:
    """Extends the leases of the tasks that a worker holds.

    Args:
        url: the server.
        token: a JWT for a server that asks for one.
        pid: the process that holds the tasks.
        lease: seconds that a beat extends leases to.
        hear: told of the tasks of a beat, and what has become of some of them.
    """

    def __init__(self, url: str, *, token: str | None, pid: str, lease: float, hear: Hear) -> None:
        self._url = url
        self._token = token
        self._pid = pid
        self._lease = lease
        self._hear = hear
        self._numbers = itertools.count(1)
        self._clock_offset = 0.0  # trio.current_time() - time.perf_counter()
        # Shared with the thread, under the condition's lock.
        self._changed = threading.Condition()
        self._pulse = Pulse(lease)
        self._sleeps_until = math.inf
        self._is_stopped = False

    def __repr__(self) -> str:
        return f"<Heartbeat of {self._pid} to {self._url}: {self._pulse!r}>"

    def add(self, held: HeldTask, *, is_unheard_of: bool = False) -> None:
        """Keep the lease of a task alive. If the server has not heard of us yet, it will soon."""
        with self._changed:
            now = time.perf_counter()
            self._pulse.add(held, now, is_unheard_of=is_unheard_of)
            if now + self._pulse.delay(now) < self._sleeps_until:  # else it wakes soon enough by itself
                self._changed.notify()

    def remove(self, held: HeldTask) -> None:
        """Let a lease end."""
        with self._changed:
            self._pulse.remove(held)

    async def run(self) -> None:
        """Beat until cancelled."""
        self._clock_offset = trio.current_time() - time.perf_counter()
        self._show_life()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._live)
                await trio.to_thread.run_sync(self._beat_until_stopped, abandon_on_cancel=True)
        finally:
            with self._changed:
                self._is_stopped = True
                self._changed.notify()

    async def _live(self) -> None:
        while True:
            self._show_life()
            await trio.sleep(self._pulse.interval)

    def _show_life(self) -> None:
        with self._changed:
            self._pulse.show_life(time.perf_counter())
            self._changed.notify()

    # --- In the thread ----------------------------------------------------------------------------

    def _beat_until_stopped(self) -> None:
        outage = Backoff()
        with httpx.Client(timeout=self._pulse.interval) as client:
            while (tasks := self._wait_for_beat()) is not None:
                try:
                    self._beat(client, tasks)
                except (httpx.HTTPError, ProtocolError) as error:
                    outage.failed(logger, f"no heartbeat to {self._url} ({describe(error)})")
                    with self._changed:
                        self._pulse.failed(time.perf_counter())
                else:
                    outage.reset()

    def _beat(self, client: httpx.Client, tasks: Sequence[HeldTask]) -> None:
        request: Envelope[Request] = Envelope(
            Head(f"beat-{next(self._numbers)}", auth=self._token),
            TaskHeartbeat(self._pid, [TaskRef(held.id, held.version) for held in tasks]),
        )
        sent_at = time.perf_counter()
        response = client.post(self._url + "/", content=encode_request(request)).raise_for_status()
        lives_until = sent_at + self._clock_offset + self._lease
        beaten = decode_reply(response.content, request).data
        lost = beaten.lost if isinstance(beaten, Beaten) else ()
        for held in tasks:
            if held.id not in lost:
                held.lease.extend(lives_until)
        if isinstance(beaten, Beaten) and (lost or beaten.cancelled):
            trio.from_thread.run_sync(self._hear, tasks, beaten)

    def _wait_for_beat(self) -> Sequence[HeldTask] | None:
        """Return the tasks to beat for once it is time, or None when the worker is closed."""
        with self._changed:
            while not self._is_stopped:
                now = time.perf_counter()
                delay = self._pulse.delay(now)
                if not delay:
                    return self._pulse.beat(now)
                self._sleeps_until = now + delay
                self._changed.wait(delay if delay < math.inf else None)
            return None
