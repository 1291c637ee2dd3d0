"""Cancel scopes whose cancellation is durable."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Protocol, Self, final

import trio

from resonate_trio._errors import UsageError
from resonate_trio.protocol import PromiseState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resonate_trio.protocol import PromiseCreate

    from ._frame import Frame


class Owner(Protocol):
    """The invocations of a nursery, or of a function, as far as cancelling them is concerned."""

    def cancel(self, by: "CancelScope") -> None:
        """Ask that all of them that are pending end as cancelled."""

    def watched(self) -> Sequence[str]:
        """Return the pending ones whose failure cancels the scope."""


@final
class CancelScope:
    """A block of a durable function that can be cancelled as a whole; compare `trio.CancelScope`.

    Made by `ctx.move_on_after`, `ctx.fail_after` and `ctx.shield`. When it is cancelled, the durable wait that the
    function stands at, or the next one, raises trio's `Cancelled`, unless the outcome that it waits for is stored.
    What was waited for is cancelled first, and has ended by then.
    """

    def __init__(
        self,
        frame: "Frame",
        *,
        trio_scope: trio.CancelScope | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        shield: bool = False,
        seconds: float | None = None,
        late_error: Callable[[], Exception] | None = None,
    ) -> None:
        self.id = ""  # until it is open
        self.parent: CancelScope | None = None
        self.owner: Owner | None = None
        self._frame = frame
        self._trio = trio_scope or trio.CancelScope()
        self._is_cancelled_elsewhere = is_cancelled
        self.is_shield = shield
        self._seconds = seconds
        self._late_error = late_error
        self._is_root = trio_scope is not None
        self._is_captured = False
        self._is_cancelled = False
        self._has_failed = False
        self._timer: PromiseCreate | None = None
        self._watch: trio.CancelScope | None = None  # around the watch of the timer
        self._blocks: ExitStack | None = None  # while it is open

    def __repr__(self) -> str:
        return f"<CancelScope {self.id!r}{', cancelled' if self.is_cancelled else ''}>"

    # --- For its user -----------------------------------------------------------------------------

    def cancel(self) -> None:
        """Cancel the block, as of its next durable wait. Asking again changes nothing.

        Raises:
            UsageError: the caller is not the function's own task.
        """
        self._frame.check_task("cancelling a scope")
        self._is_cancelled = True

    @property
    def cancel_called(self) -> bool:
        """Whether the function itself has cancelled it."""
        return self._is_cancelled

    @property
    def cancelled_caught(self) -> bool:
        """Whether the block was left because this scope was cancelled. Known after its end."""
        return self._trio.cancelled_caught

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        rest = self.leave(error)
        self.close()
        if rest is None and self._late_error is not None and self.cancelled_caught:
            raise self._late_error()
        if rest is not None and rest is not error:
            raise rest
        return rest is None

    # --- For nurseries and the runtime ------------------------------------------------------------

    def open(self) -> None:
        """Enter the block."""
        self._frame.check_task("opening a scope")
        if self.parent is not None:
            raise UsageError("a scope is entered once: make another one")
        self._frame.enter(self)
        if self._seconds is not None:
            self._watch = trio.CancelScope()
            self._timer = self._frame.start_timer(self._seconds, self._watch)
        self._blocks = ExitStack()
        if self.is_shield:
            self._blocks.enter_context(self._frame.shielded())
        self._blocks.push(self._trio)
        self._trio.__enter__()

    def leave(self, error: BaseException | None) -> BaseException | None:
        """Leave the block by an exception, or by none; return what of it is not this scope's cancellation."""
        assert self._blocks is not None
        try:
            is_caught = self._blocks.__exit__(
                type(error) if error else None, error, error.__traceback__ if error else None
            )
        except BaseException as rest:  # what a group holds beside the cancellation
            return rest
        # At the function's own deadline a shield ends too, but that is not for the code behind it to survive.
        return None if is_caught and not self._frame.run.is_over else error

    def close(self) -> None:
        """End the scope: nothing is cut by it any more."""
        if self._watch is not None:
            self._watch.cancel()
        self._frame.exit(self)
        if self.timer is not None and not self._frame.run.is_over:
            self._frame.cancel(self.timer)  # so that it is not left behind on the server

    def fail(self) -> None:
        """Cancel it because its block has failed."""
        self._has_failed = True

    @property
    def is_cancelled(self) -> bool:
        """Whether it is to be left: because somebody asked, or a child failed, or its time is over."""
        asked = self._is_cancelled or self._has_failed or self._is_cancelled_elsewhere()
        return asked or self.is_raised or self.is_late

    @property
    def is_raised(self) -> bool:
        """Whether trio raises Cancelled in it. (A deadline of trio's, which a function has, is the end of all.)"""
        return self._is_captured or (self._is_root and self._frame.run.was_cut)

    @property
    def is_unwinding(self) -> bool:
        """Whether the code in it unwinds because of a cancellation that concerns it."""
        scope: CancelScope | None = self
        while scope is not None:
            if scope.is_raised:
                return True
            scope = None if scope.is_shield else scope.parent
        return False

    @property
    def is_late(self) -> bool:
        """Whether its time is over, as it is stored."""
        timer = self._timer and self._frame.execution.ledger.journal.settled(self._timer.id)
        return timer is not None and timer.state is PromiseState.RESOLVED

    @property
    def timer(self) -> str | None:
        """The promise that ends with its deadline, if it has one that is still to come."""
        timer = self._timer
        return None if timer is None or self._frame.execution.ledger.is_known(timer.id) else timer.id

    @property
    def ends_at(self) -> int | None:
        """Its deadline, Unix time in milliseconds, if it has one."""
        return None if self._timer is None else self._timer.timeout_at

    def visible(self) -> "Iterator[CancelScope]":
        """Yield the scopes whose cancellation concerns the code in this one: itself, and others up to a shield."""
        scope: CancelScope | None = self
        while scope is not None:
            yield scope
            scope = None if scope.is_shield else scope.parent

    def canceller(self) -> "CancelScope | None":
        """Return the outermost cancelled scope that concerns the code in this one."""
        cancelled = [scope for scope in self.visible() if scope.is_cancelled]
        return cancelled[-1] if cancelled else None

    async def capture(self) -> BaseException:
        """Cancel the trio scope, and return the exception that trio raises in it from now on."""
        self._is_captured = True
        self._trio.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as cancelled:
            return cancelled
        return UsageError(
            f"{self._frame.lineage.id!r} is to be cancelled inside a plain trio shield, through which a durable "
            f"cancellation cannot pass: use `with ctx.shield(budget=s):`"
        )

    async def raise_cancelled(self) -> NoReturn:
        """Raise trio's Cancelled, which unwinds up to this scope."""
        raise await self.capture()
