"""When a worker beats, and for which tasks: decisions only. Whoever asks says what time it is, in seconds."""

import math
from typing import final

from resonate_trio._execution import HeldTask

BEATS_PER_LEASE = 3
RETRIES_PER_BEAT = 10
# After how long (s), at most, the server hears of a task that it has acquired for us. Not at once: a task that is
# over by then costs no beat.
MOST_SILENCE = 1.0


@final
class Pulse:
    """Decides when leases are to be extended.

    All at once, three times per lease, while there are any. After a failure sooner, for a lease has no room for
    many. Sooner, too, if the server does not know yet that a task has reached us, but for that no more often than
    once in each `silence`. Not while the event loop is stuck, that is, has shown no sign of life for longer than a
    lease: its tasks are better run elsewhere.

    Attributes:
        interval: seconds from one beat to the next.
        silence: seconds after which the server hears of a task that it has acquired for us.
    """

    def __init__(self, lease: float) -> None:
        self.interval = lease / BEATS_PER_LEASE
        self.silence = min(self.interval / 3, MOST_SILENCE)
        self._lease = lease
        self._held: dict[str, HeldTask] = {}
        self._unheard_of: dict[HeldTask, float] = {}  # when they are to be told of, the first one first
        self._due = 0.0
        self._last_sign_of_life = -math.inf

    def __repr__(self) -> str:
        return f"<Pulse of {len(self._held)} tasks>"

    def add(self, held: HeldTask, now: float, *, is_unheard_of: bool = False) -> None:
        """Keep the lease of a task alive. It has just begun.

        Args:
            held: the task.
            now: the instant.
            is_unheard_of: the server has acquired it for us, and does not know whether we are there to run it.
        """
        if not self._held:
            self._due = now + self.interval
        self._held[held.id] = held
        if is_unheard_of:
            self._unheard_of[held] = now + self.silence

    def remove(self, held: HeldTask) -> None:
        """Let a lease end."""
        self._unheard_of.pop(held, None)
        if self._held.get(held.id) is held:
            del self._held[held.id]

    def show_life(self, now: float) -> None:
        """Note that the event loop runs."""
        self._last_sign_of_life = now

    def delay(self, now: float) -> float:
        """Return the seconds until the next beat, 0 if it is due; infinity until something changes."""
        if not self._held or self._is_stuck(now):
            return math.inf
        return max(0.0, min(self._due, next(iter(self._unheard_of.values()), math.inf)) - now)

    def beat(self, now: float) -> list[HeldTask]:
        """Return the tasks to beat for now."""
        self._due = now + self.interval
        self._unheard_of.clear()
        return list(self._held.values())

    def failed(self, now: float) -> None:
        """Note that the last beat did not reach the server."""
        self._due = now + self.interval / RETRIES_PER_BEAT

    def _is_stuck(self, now: float) -> bool:
        return now - self._last_sign_of_life > self._lease
