"""Heartbeats over the worker's own connection.

They stop while a function blocks the event loop, so this is for servers that cannot be reached from a thread:
those of the test kit, whose time is virtual.
"""

from collections.abc import Sequence
from typing import final

import trio

from resonate_trio._errors import ResonateError
from resonate_trio._execution import HeldTask
from resonate_trio._transport import Link, accepted
from resonate_trio.protocol import Beaten, TaskHeartbeat, TaskRef

from ._heartbeat import Hear
from ._pulse import Pulse


@final
class LinkHeartbeat:
    """Extends the leases of the tasks that a worker holds.

    Args:
        link: the connection of the worker.
        pid: the process that holds the tasks.
        lease: seconds that a beat extends leases to.
        hear: told of the tasks of a beat, and what has become of some of them.
    """

    def __init__(self, link: Link, *, pid: str, lease: float, hear: Hear) -> None:
        self._link = link
        self._pid = pid
        self._lease = lease
        self._hear = hear
        self._pulse = Pulse(lease)
        self._changed = trio.Event()

    def __repr__(self) -> str:
        return f"<LinkHeartbeat of {self._pid}: {self._pulse!r}>"

    def add(self, held: HeldTask, *, is_unheard_of: bool = False) -> None:
        """Keep the lease of a task alive. If the server has not heard of us yet, it will soon."""
        self._pulse.add(held, trio.current_time(), is_unheard_of=is_unheard_of)
        self._changed.set()

    def remove(self, held: HeldTask) -> None:
        """Let a lease end."""
        self._pulse.remove(held)

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            now = trio.current_time()
            self._pulse.show_life(now)
            if not (delay := self._pulse.delay(now)):
                await self._beat(self._pulse.beat(now))
                continue
            self._changed = trio.Event()
            with trio.move_on_after(delay):
                await self._changed.wait()

    async def _beat(self, tasks: Sequence[HeldTask]) -> None:
        sent_at = trio.current_time()
        request = TaskHeartbeat(self._pid, [TaskRef(held.id, held.version) for held in tasks])
        reply = None
        with trio.move_on_after(self._pulse.interval):
            try:
                reply = await self._link.ask(request, patience=0)
            except ResonateError:
                reply = None
        if reply is None:
            self._pulse.failed(trio.current_time())
            return
        beaten = accepted(reply, Beaten)
        for held in tasks:
            if held.id not in beaten.lost:
                held.lease.extend(sent_at + self._lease)
        self._hear(tasks, beaten)
