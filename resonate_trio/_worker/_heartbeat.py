"""Heartbeats that go on while a function blocks the event loop.

They are sent from a thread of their own, with a connection of their own: a function that computes for seconds
without a checkpoint must not lose its lease for that. A loop that has shown no sign of life for longer than a
lease is stuck, though, and its tasks are better run elsewhere: then the thread falls silent.

The thread is run by trio within the worker's nursery and ends with it.
"""

import itertools
import logging
import threading
import time
from typing import final

import httpx
import trio

from resonate_trio._backoff import Backoff, describe
from resonate_trio._execution import HeldTask
from resonate_trio.protocol import Envelope, Head, TaskHeartbeat, TaskRef, encode_request

logger = logging.getLogger("resonate_trio.worker")

BEATS_PER_LEASE = 3


@final
class Heartbeat:
    """Extends the leases of the tasks that a worker holds.

    Args:
        url: the server.
        token: a JWT for a server that asks for one.
        pid: the process that holds the tasks.
        lease: seconds that a beat extends leases to.
    """

    def __init__(self, url: str, *, token: str | None, pid: str, lease: float) -> None:
        self._url = url
        self._token = token
        self._pid = pid
        self._lease = lease
        self._interval = lease / BEATS_PER_LEASE
        # Shared with the thread, under the condition's lock.
        self._changed = threading.Condition()
        self._held: dict[str, HeldTask] = {}
        self._stopped = False
        self._last_sign_of_life = 0.0  # time.perf_counter()
        self._clock_offset = 0.0  # trio.current_time() - time.perf_counter()

    def __repr__(self) -> str:
        return f"<Heartbeat of {self._pid} to {self._url}: {len(self._held)} tasks>"

    def add(self, held: HeldTask) -> None:
        """Keep the lease of a task alive."""
        with self._changed:
            self._held[held.id] = held
            self._changed.notify()

    def remove(self, held: HeldTask) -> None:
        """Let a lease end."""
        with self._changed:
            if self._held.get(held.id) is held:
                del self._held[held.id]

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
                self._stopped = True
                self._changed.notify()

    async def _live(self) -> None:
        while True:
            self._show_life()
            await trio.sleep(self._interval)

    def _show_life(self) -> None:
        with self._changed:
            self._last_sign_of_life = time.perf_counter()

    # --- In the thread ----------------------------------------------------------------------------

    def _beat_until_stopped(self) -> None:
        outage = Backoff()
        numbers = itertools.count(1)
        with httpx.Client(timeout=self._interval) as client:
            while tasks := self._wait_for_beat():
                request = Envelope(
                    Head(f"beat-{next(numbers)}", auth=self._token),
                    TaskHeartbeat(self._pid, [TaskRef(held.id, held.version) for held in tasks]),
                )
                sent_at = time.perf_counter()
                try:
                    client.post(self._url + "/", content=encode_request(request)).raise_for_status()
                except httpx.HTTPError as error:
                    outage.failed(logger, f"no heartbeat to {self._url} ({describe(error)})")
                    continue
                outage.reset()
                for held in tasks:
                    held.lease.extend(sent_at + self._clock_offset + self._lease)

    def _wait_for_beat(self) -> list[HeldTask]:
        """Return the tasks to beat for once it is time, or nothing when the worker is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, timeout=self._interval)
            self._changed.wait_for(lambda: self._stopped or (self._held and not self._is_stuck()))
            return [] if self._stopped else list(self._held.values())

    def _is_stuck(self) -> bool:
        return time.perf_counter() - self._last_sign_of_life > self._lease
