"""What every store offers."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, final

from server_ref.machine import Changes, Dispatch, Draft, Outgoing

T = TypeVar("T")


@final
class StoreError(Exception):
    """The store cannot be opened, read or written. The message is one line that says why."""


class Store(Protocol):
    """Records by id, what is due, and the outbox.

    Its methods are called by one caller at a time, from whatever thread.

    Attributes:
        blocking: whether the methods do disk I/O, so that they belong into a worker thread.
    """

    blocking: bool

    def open(self) -> None:
        """Make the store ready. Raises StoreError if it cannot be used, by us or at all."""

    def close(self) -> None:
        """Release the store. To close it again does nothing."""

    def transact(self, step: Callable[[Draft], T]) -> T:
        """Run `step` on a draft of what is stored, store its changes by one durable commit, return its result.

        If `step` raises, nothing is stored. If the commit fails, StoreError is raised and nothing has
        changed; the store can be used on.
        """

    def next_due(self) -> int | None:
        """Return the earliest instant (ms) at which anything is due. It may be past."""

    def outbox(self) -> Sequence[Outgoing]:
        """Return the messages that wait for their delivery."""

    def clock_floor(self) -> int:
        """Return the highest instant (ms) of any commit since the last reset: no clock may go below it."""


def apply_executes(executes: dict[str, Dispatch], changes: Changes) -> None:
    """Bring messages to workers up to date. Stores keep them in memory: a lost one is sent again."""
    if changes.reset:
        executes.clear()
    for id, dispatch in changes.executes.items():
        if dispatch is None:
            executes.pop(id, None)
        else:
            executes[id] = dispatch


def raised_floor(floor: int, changes: Changes) -> int:
    """Return the clock floor after a commit. Nothing is left to be older than the clock after a reset."""
    return changes.now if changes.reset else max(floor, changes.now)
