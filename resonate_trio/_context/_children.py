"""Who owns invocations, waits for them, and tells of their failures."""

from collections.abc import Sequence
from functools import partial
from typing import Any, final

import trio

from resonate_trio._errors import InvocationCancelled, UsageError

from ._cancel_scope import CancelScope
from ._frame import Frame
from ._handle import Handle


@final
class Children:
    """The invocations that belong to one nursery, or to a function as a whole, in order of creation.

    Attributes:
        frame: the function that makes them.
        scope: is cancelled when one of them fails, and cancels them when it is.
    """

    def __init__(
        self,
        frame: Frame,
        *,
        scope: CancelScope | None = None,
        fail_fast: bool = False,
        seconds: float | None = None,
    ) -> None:
        """Start without any.

        Args:
            frame: the function.
            scope: theirs; None: a new one.
            fail_fast: whether the scope is cancelled when one fails.
            seconds: after which a new scope is cancelled.
        """
        self.frame = frame
        self.scope = scope or CancelScope(frame, is_cancelled=self._has_failed, seconds=seconds)
        self.scope.owner = self
        self._fail_fast = fail_fast
        self._handles: dict[str, Handle[Any]] = {}
        self._detached: list[str] = []
        self._failed: set[str] = set()
        self._is_closed = False
        self.is_racing = False

    def __repr__(self) -> str:
        return f"<Children of {self.frame.lineage.id!r}: {len(self._handles)}>"

    # --- Taking in --------------------------------------------------------------------------------

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
        self._handles[handle.id] = handle
        if self._fail_fast:
            self.frame.execution.ledger.watch(handle.id, partial(self._note, handle))

    def own_detached(self, id: str) -> None:
        """Take in an invocation that is only to be stored, not waited for."""
        self._detached.append(id)

    def disown(self, handle: Handle[Any]) -> None:
        """Forget an invocation whose outcome its caller has received."""
        self._handles.pop(handle.id, None)
        self._failed.discard(handle.id)

    def bequeath(self, heir: "Children") -> None:
        """Give all invocations to another owner: this one is left without waiting for them."""
        for child in self._handles.values():
            heir.own(child)
        for id in self._detached:
            heir.own_detached(id)

    @property
    def handles(self) -> Sequence[Handle[Any]]:
        """All of them, in order of creation."""
        return list(self._handles.values())

    # --- Failing and cancelling -------------------------------------------------------------------

    def failure(self, handle: Handle[Any]) -> Exception | None:
        """Return the error of an invocation that has ended. That we have cancelled it ourselves is none."""
        error = handle.read().error
        if isinstance(error, InvocationCancelled) and self.frame.is_own(error.by):
            return None
        return error

    def cancel(self, by: CancelScope | None) -> None:
        """Ask that all that are pending end as cancelled. Nothing is waited for.

        Args:
            by: the scope that asks, or None for the function itself.
        """
        for id in self._pending():
            self.frame.cancel(id, by)

    def were_cancelled_by(self, scope: CancelScope) -> bool:
        """Tell whether a scope has cancelled any of them that have ended, as it is stored."""
        found = [self.frame.execution.ledger.cancellation(id) for id in self._handles]
        return any(cancellation is not None and cancellation.by == scope.id for cancellation in found)

    def watched(self) -> Sequence[str]:
        """Return the pending ones whose failure cancels the scope."""
        return self._pending() if self._fail_fast and not self.is_racing else ()

    def _pending(self) -> list[str]:
        return [id for id in self._handles if not self.frame.execution.ledger.is_known(id)]

    def _note(self, handle: Handle[Any]) -> None:
        if handle.id in self._handles and self.failure(handle) is not None:
            self._failed.add(handle.id)
            self.frame.poke()

    def _has_failed(self) -> bool:
        return bool(self._failed) and not self.is_racing

    # --- Ending -----------------------------------------------------------------------------------

    async def join(self, error: BaseException | None, *, awaited_ones_too: bool) -> list[BaseException]:
        """Wait until every invocation has its outcome; return what is to be raised.

        That is `error`, then the failures in order of creation. If a scope around this one has cancelled an
        invocation, trio's Cancelled is among them.

        Args:
            error: what the block, or the function, has raised.
            awaited_ones_too: also those failures that were raised where their handle was awaited.
        """
        frame, handles = self.frame, self.handles
        cutter = await frame.wait([handle.id for handle in handles], scope=self.scope)
        for handle in handles:
            handle.receive()
        failures = [await frame.stored(id) for id in self._detached]
        failures += [self.failure(handle) for handle in handles if awaited_ones_too or not handle.was_awaited]
        raised: list[BaseException] = [failure for failure in failures if failure is not None]
        if error is not None and not any(error is failure for failure in raised):
            raised.insert(0, error)
        if cutter is not None and cutter is not self._own_scope() and not is_cancellation(error):
            raised.append(await cutter.capture())
        return raised

    def _own_scope(self) -> CancelScope | None:
        """Return the scope whose block has ended already, that of a nursery."""
        return None if self.scope is self.frame.root else self.scope


def is_cancellation(error: BaseException | None) -> bool:
    """Tell whether an exception is, or holds, trio's Cancelled."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)
