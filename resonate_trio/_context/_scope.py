"""Scopes: who owns invocations, waits for them, and tells of their failures."""

from typing import Any, final

from resonate_trio._errors import UsageError

from ._frame import Frame
from ._handle import Handle


@final
class Scope:
    """The invocations that belong to one nursery, or to a function as a whole, in order of creation."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._children: dict[str, Handle[Any]] = {}
        self._detached: list[str] = []
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Scope in {self.frame.lineage.id!r}: {len(self._children)} children>"

    def check_open(self, call: str) -> None:
        """Refuse an invocation that nobody would wait for any more. Raises UsageError."""
        if self._is_closed:
            raise UsageError(
                f"{call} in {self.frame.lineage.id!r} comes too late: the nursery, or the function, that it would "
                f"belong to has ended. Make it inside the `async with ctx.open_nursery() as nursery:` block"
            )

    def close(self) -> None:
        """Take in nothing more."""
        self._is_closed = True

    def own(self, handle: Handle[Any]) -> None:
        """Take in an invocation."""
        self._children[handle.id] = handle

    def own_detached(self, id: str) -> None:
        """Take in an invocation that is only to be stored, not waited for."""
        self._detached.append(id)

    def disown(self, handle: Handle[Any]) -> None:
        """Forget an invocation whose outcome its caller has received."""
        self._children.pop(handle.id, None)

    def bequeath(self, heir: "Scope") -> None:
        """Give all invocations to another scope: this one is left without waiting for them."""
        for child in self._children.values():
            heir.own(child)
        for id in self._detached:
            heir.own_detached(id)

    async def join(self, *, awaited_ones_too: bool) -> list[Exception]:
        """Wait until every invocation has its outcome; return the failures in order of creation.

        Args:
            awaited_ones_too: also those failures that were raised where their handle was awaited.
        """
        execution = self.frame.execution
        children = list(self._children.values())
        await execution.wait([child.id for child in children])
        for child in children:
            self.frame.see(child.id)
        errors = [await execution.stored(id) for id in self._detached]
        errors += [child.read().error for child in children if awaited_ones_too or not child.was_awaited]
        return [error for error in errors if error is not None]
