"""Durable nurseries: fan-out whose end waits for everything that was started in it."""

from types import TracebackType
from typing import Any, final

import trio

from resonate_trio._errors import UsageError
from resonate_trio._execution import is_signal
from resonate_trio._options import Options

from ._calls import Calls
from ._cancel_scope import CancelScope
from ._children import Children, is_cancellation
from ._race import race


@final
class Nursery(Calls):
    """Owns the invocations that are made through it; made by `ctx.open_nursery()`.

    The end of its block waits, durably, until all of them have their outcome. If one fails, or the block itself
    does, the others are cancelled, the block too, and its end then raises an ExceptionGroup: the block's own
    exception first, then the stored failures in order of creation. As in trio it is always a group: handle it with
    `except*`. What was cancelled is no failure. A call (rfc, lfc) is no child: its failure is raised at the call,
    and is the block's to handle.
    """

    def __init__(self, children: Children, options: Options) -> None:
        super().__init__(children, options)

    def __repr__(self) -> str:
        return f"<Nursery: {self._children!r}>"

    def cancel(self) -> None:
        """Cancel the nursery: all that is pending in it, and its block as of the next durable wait.

        The end of the block waits for that, and raises nothing on its account.
        """
        self._children.scope.cancel()

    async def first(self) -> Any:
        """Wait for the first success among the invocations of this nursery, and return its value.

        Which one it was is stored, so a replay finds the same. The others are cancelled and have ended when this
        returns; nothing of them is raised any more, not even by the end of the nursery. Which one is taken if
        several have succeeded by then is not specified.

        Raises:
            ExceptionGroup: all have failed; what they raised, in order of creation.
            UsageError: nothing was invoked through this nursery, or everything was received already.
        """
        self._frame.check_task("nursery.first()")
        self._children.check_open("nursery.first()")
        return await race(self._children)


@final
class NurseryManager:
    """The block of `async with ctx.open_nursery() as nursery`."""

    def __init__(self, function: Children, options: Options, *, fail_fast: bool, timeout: float | None) -> None:
        self._function = function  # what belongs to the function as a whole
        self._fail_fast = fail_fast
        self._has_deadline = timeout is not None
        frame = function.frame
        self._children = Children(frame, fail_fast=fail_fast, seconds=timeout)
        self._nursery = Nursery(self._children, options)

    def __repr__(self) -> str:
        return f"<NurseryManager of {self._nursery!r}>"

    async def __aenter__(self) -> Nursery:
        self._function.frame.check_task("open_nursery()")
        self._scope.open()
        return self._nursery

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        rest = self._scope.leave(error)
        try:
            if rest is not None and (self._function.frame.run.is_over or is_signal(rest)):
                raise rest
            raised = await self._finish(rest)
        finally:
            self._children.close()
            self._scope.close()
        if raised is not None:
            if raised is error:
                return False
            raise raised
        return True

    async def _finish(self, error: BaseException | None) -> BaseException | None:
        """Wait for the children, and return what is to be raised."""
        if error is not None and self._fail_fast and not is_cancellation(error):
            self._scope.fail()
        try:
            raised = await self._children.join(error, awaited_ones_too=True)
        except UsageError:
            self._children.bequeath(self._function)  # a plain trio scope has cut the wait
            raise
        if not raised:
            return self._lateness()
        if len(raised) == 1 and isinstance(raised[0], trio.Cancelled):
            return raised[0]
        failed = len(raised) - sum(isinstance(each, trio.Cancelled) for each in raised)
        return BaseExceptionGroup(f"{failed} failed in a nursery of {self._function.frame.lineage.id!r}", raised)

    def _lateness(self) -> Exception | None:
        """Return the error if the nursery was cut by its own deadline."""
        scope = self._scope
        cut = scope.cancelled_caught or self._children.were_cancelled_by(scope)
        if not (self._has_deadline and cut) or scope.cancel_called:
            return None
        return trio.TooSlowError()

    @property
    def _scope(self) -> CancelScope:
        return self._children.scope
