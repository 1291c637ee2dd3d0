"""What an execution knows of its promises."""

from collections.abc import Callable, Iterable, Sequence
from typing import final

from resonate_trio.protocol import Promise, tags


@final
class Journal:
    """The newest known state of each promise, by id. A settled one never changes."""

    def __init__(self) -> None:
        self._promises: dict[str, Promise] = {}
        self._children: dict[str, list[str]] = {}  # by the caller that they name
        self._watches: dict[str, list[Callable[[], None]]] = {}

    def __repr__(self) -> str:
        return f"<Journal of {len(self._promises)} promises>"

    def record(self, promises: Iterable[Promise]) -> list[str]:
        """Take in promises as a server sent them; return the ids of those that became known as settled."""
        news = []
        for promise in promises:
            known = self._promises.get(promise.id)
            if known is not None and not known.is_pending:
                continue
            if known is None:
                self._children.setdefault(promise.tags.get(tags.PARENT, ""), []).append(promise.id)
            self._promises[promise.id] = promise
            if not promise.is_pending:
                news.append(promise.id)
        for id in news:
            self.tell(id)
        return news

    def watch(self, id: str, told: Callable[[], None]) -> None:
        """Have `told` called once the promise becomes known as settled."""
        self._watches.setdefault(id, []).append(told)

    def tell(self, id: str) -> None:
        """Call those who watch a promise."""
        for told in self._watches.pop(id, ()):
            told()

    def get(self, id: str) -> Promise | None:
        """Return what is known of a promise, or None if the server was never asked for it."""
        return self._promises.get(id)

    def settled(self, id: str) -> Promise | None:
        """Return a promise if it is known to be settled."""
        promise = self._promises.get(id)
        return promise if promise is not None and not promise.is_pending else None

    def children(self, parent: str) -> Sequence[str]:
        """Return the known promises that an invocation has made."""
        return [id for id in self._children.get(parent, ()) if id != parent]
