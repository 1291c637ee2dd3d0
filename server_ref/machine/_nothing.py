"""The view of an empty store."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import final

from attrs import frozen

from resonate_trio.protocol import Promise, Schedule, TaskState

from ._view import Dispatch, Due, Sweep, TaskRecord


@final
@frozen
class Nothing:
    """A view without any record: what lies below a draft once everything was dropped."""

    def promise(self, id: str) -> Promise | None:
        """Return None."""

    def task(self, id: str) -> TaskRecord | None:
        """Return None."""

    def schedule(self, id: str) -> Schedule | None:
        """Return None."""

    def awaiters(self, awaited: str) -> Collection[str]:
        """Return none."""
        return ()

    def failure_awaiters(self, awaited: str) -> Collection[str]:
        """Return none."""
        return ()

    def listeners(self, id: str) -> Collection[str]:
        """Return none."""
        return ()

    def branch(self, branch: str) -> Sequence[Promise]:
        """Return none."""
        return ()

    def children(self, parent: str, after: str = "", limit: int | None = None) -> Sequence[Promise]:
        """Return none."""
        return ()

    def sweeps(self, limit: int) -> Sequence[tuple[str, Sweep]]:
        """Return none."""
        return ()

    def scan_promises(self, after: str, tags: Mapping[str, str]) -> Iterator[Promise]:
        """Yield none."""
        return iter(())

    def scan_tasks(self, after: str, state: TaskState | None = None) -> Iterator[TaskRecord]:
        """Yield none."""
        return iter(())

    def scan_schedules(self, after: str, tags: Mapping[str, str]) -> Iterator[Schedule]:
        """Yield none."""
        return iter(())

    def due(self, now: int, limit: int) -> Due:
        """Return that nothing is due."""
        return Due()

    def execute(self, task_id: str) -> Dispatch | None:
        """Return None."""

    def executes(self) -> Iterable[tuple[str, Dispatch]]:
        """Return none."""
        return ()

    def unblocks(self) -> Iterable[tuple[str, str]]:
        """Return none."""
        return ()
