"""Ordered access to what the memory store keeps in dicts."""

import bisect
import heapq
from collections.abc import Iterator
from typing import final

from attrs import define, field


@final
@define
class SortedIds:
    """Ids that are added and removed in any order, and read in order.

    New ids are sorted in when somebody reads, so that adding many costs little.
    """

    _sorted: list[str] = field(factory=list, init=False)
    _present: set[str] = field(factory=set, init=False)
    _is_stale: bool = field(default=False, init=False)

    def add(self, id: str) -> None:
        """Add an id."""
        if id not in self._present:
            self._present.add(id)
            self._is_stale = True

    def remove(self, id: str) -> None:
        """Remove an id."""
        self._present.discard(id)
        self._is_stale = True

    def after(self, after: str) -> Iterator[str]:
        """Yield the ids greater than `after`, in order."""
        if self._is_stale:
            self._sorted = sorted(self._present)
            self._is_stale = False
        ids = self._sorted
        return (ids[index] for index in range(bisect.bisect_right(ids, after), len(ids)))


@final
@define
class DueIndex:
    """When something is due, by id, with quick access to what is due first.

    Entries of the heap that were overtaken are dropped when they come to the top, or when they are the most.
    """

    _due_at: dict[str, int] = field(factory=dict, init=False)
    _heap: list[tuple[int, str]] = field(factory=list, init=False)

    def set(self, id: str, due_at: int | None) -> None:
        """Note when something is due, None for not at all."""
        if due_at is None:
            self._due_at.pop(id, None)
        elif self._due_at.get(id) != due_at:
            self._due_at[id] = due_at
            heapq.heappush(self._heap, (due_at, id))
        if len(self._heap) > 2 * len(self._due_at) + 64:
            self._heap = sorted((due_at, id) for id, due_at in self._due_at.items())

    def first(self) -> int | None:
        """Return the earliest instant."""
        while self._heap:
            due_at, id = self._heap[0]
            if self._due_at.get(id) == due_at:
                return due_at
            heapq.heappop(self._heap)
        return None

    def until(self, now: int, limit: int) -> list[tuple[int, str]]:
        """Return up to `limit` entries due by `now`, earliest first."""
        found: list[tuple[int, str]] = []
        while self._heap and len(found) < limit and self._heap[0][0] <= now:
            due_at, id = entry = heapq.heappop(self._heap)
            # The same entry can be there twice: once overtaken, and once as it is again.
            if self._due_at.get(id) == due_at and (not found or found[-1] != entry):
                found.append(entry)
        for entry in found:
            heapq.heappush(self._heap, entry)
        return found
