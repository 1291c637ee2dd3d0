"""Handles: invocations that were started and have not been awaited yet."""

from collections.abc import Generator
from typing import Any, Generic, TypeVar, cast, final

from resonate_trio._errors import UsageError
from resonate_trio._options import is_number
from resonate_trio._outcome import Outcome

from ._cancel_scope import CancelScope
from ._frame import CANCEL_BUDGET, Frame

T = TypeVar("T")


@final
class Handle(Generic[T]):
    """An invocation inside a durable function. `await handle` gives its result, as often as one likes.

    Only the function that made the invocation may await it. There is no way to ask whether it is done: the answer
    would depend on the moment, and a replay could not repeat it.

    Attributes:
        id: the id of the invocation, under which it can be found on the server.
        name: the function that was invoked.
    """

    def __init__(self, frame: Frame, id: str, name: str, result_type: object) -> None:
        self.id = id
        self.name = name
        self.was_awaited = False
        self._frame = frame
        self._result_type = result_type
        self._outcome: Outcome | None = None
        self._is_received = False

    def __repr__(self) -> str:
        return f"<Handle {self.id!r} of {self.name}>"

    def __await__(self) -> Generator[Any, Any, T]:
        return self._result().__await__()

    @property
    def value(self) -> T:
        """Return the result without waiting, once it was awaited or its nursery has closed.

        Raises:
            Exception: what `await handle` raises.
            UsageError: it is too early to ask.
        """
        if self._outcome is None or not self._is_received:
            raise UsageError(
                f"handle.value of {self.id!r} ({self.name}) is not known yet: use `await handle`, or read the "
                f"value after the end of the `async with ctx.open_nursery()` block"
            )
        return cast("T", self._outcome.unwrap())

    def cancel(self, *, budget: float = CANCEL_BUDGET) -> None:
        """Ask that the invocation end as cancelled, and return at once; `await handle` waits until it has.

        It then raises InvocationCancelled, or gives the result that came just before. For its nursery it is no
        failure. Asking again, or too late, changes nothing.

        Args:
            budget: seconds that it may take to clean up. After that the server ends it, and all that it has
                called.

        Raises:
            UsageError: `budget` is no number greater than 0, or the caller is not the function that made it.
        """
        check_budget(budget)
        self._frame.check_task(f"cancelling the handle of {self.name}")
        self._frame.cancel(self.id, budget=budget)

    async def _result(self) -> T:
        self._frame.check_task(f"await on the handle of {self.name}")
        return await self.conclude(await self._frame.wait([self.id]))

    async def conclude(self, cutter: CancelScope | None) -> T:
        """Return what was waited for, or raise it. For the call that has waited.

        Args:
            cutter: what the wait has returned.
        """
        self._frame.see(self.id)
        if cutter is not None:
            await cutter.raise_cancelled()
        self.was_awaited = True
        self.receive()
        return cast("T", self.read().unwrap())

    def receive(self) -> None:
        """Note that the function has come to where it gets the outcome."""
        self._is_received = True
        self._frame.see(self.id)

    def read(self) -> Outcome:
        """Return the outcome, which the execution must know by now. For the scope that owns this handle."""
        if self._outcome is None:
            self._outcome = self._frame.execution.outcome(self.id, self._result_type)
        return self._outcome


def check_budget(budget: float) -> None:
    """Refuse what is no time to clean up. Raises UsageError."""
    if not (is_number(budget) and budget > 0):
        raise UsageError(f"budget={budget!r}: a budget is a number of seconds greater than 0")
