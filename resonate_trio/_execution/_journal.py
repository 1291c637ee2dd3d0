"""What an execution knows of its promises."""

from collections.abc import Iterable
from typing import final

from resonate_trio.protocol import Promise


@final
class Journal:
    """The newest known state of each promise, by id. A settled one never changes."""

    def __init__(self) -> None:
        self._promises: dict[str, Promise] = {}

    def __repr__(self) -> str:
        return f"<Journal of {len(self._promises)} promises>"

    def record(self, promises: Iterable[Promise]) -> list[str]:
        """Take in promises as a server sent them; return the ids of those that became known as settled."""
        news = []
        for promise in promises:
            known = self._promises.get(promise.id)
            if known is not None and not known.is_pending:
                continue
            self._promises[promise.id] = promise
            if not promise.is_pending:
                news.append(promise.id)
        return news

    def get(self, id: str) -> Promise | None:
        """Return what is known of a promise, or None if the server was never asked for it."""
        return self._promises.get(id)

    def deadline(self, id: str) -> int:
        """Return the deadline of a promise that is known, Unix time in milliseconds."""
        return self._promises[id].timeout_at

    def settled(self, id: str) -> Promise | None:
        """Return a promise if it is known to be settled."""
        promise = self._promises.get(id)
        return promise if promise is not None and not promise.is_pending else None
