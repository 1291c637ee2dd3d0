"""The context: the first argument of a durable function."""

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from random import Random
from typing import Any, TypeVar, final, overload
from uuid import UUID

import trio

from resonate_trio._errors import UsageError
from resonate_trio._execution import Execution, Run
from resonate_trio._ids import Lineage
from resonate_trio._options import NO_OPTIONS, is_number
from resonate_trio.protocol import tags

from ._calls import Calls
from ._cancel_scope import CancelScope
from ._children import Children, is_cancellation
from ._frame import Frame
from ._handle import Handle
from ._nursery import NurseryManager
from ._version import choose_version

T = TypeVar("T")


@final
class Context(Calls):
    """What a durable function invokes others with. It is passed by the runtime as the first argument.

    Invocations that are made through the context itself belong to the function: it does not end before they have.
    One that failed raises where its handle is awaited; one that nobody awaited raises at the end of the function,
    in an ExceptionGroup.

    Attributes:
        id: the id of this invocation.
    """

    __resonate_context__ = True  # by this the registry, which lies below, knows the class in a signature

    def __init__(self, execution: Execution, lineage: Lineage, run: Run) -> None:
        self.id = lineage.id
        frame = Frame(execution, lineage, run, Context)
        super().__init__(Children(frame, scope=frame.root), NO_OPTIONS)

    def __repr__(self) -> str:
        return f"<Context of {self.id!r}>"

    # --- Scopes -----------------------------------------------------------------------------------

    def open_nursery(self, *, timeout: float | None = None, fail_fast: bool = True) -> NurseryManager:
        """Open a durable nursery: `async with ctx.open_nursery() as nursery`.

        The end of the block waits for all invocations made through `nursery`; the task is suspended meanwhile, if
        they run elsewhere. See `Nursery` for failures.

        Args:
            timeout: seconds after which it is cancelled; unless something has failed, it then raises
                trio.TooSlowError, as in a block of `fail_after`.
            fail_fast: whether a failure cancels the others. Without that, all are waited for, come what may.

        Raises:
            UsageError: `timeout` is no number, or less than 0.
        """
        _check_seconds("ctx.open_nursery(timeout=...)", timeout)
        return NurseryManager(self._children, self._options, timeout=timeout, fail_fast=fail_fast)

    def move_on_after(self, seconds: float) -> CancelScope:
        """Return a block that is cancelled after `seconds`, and just left: `with ctx.move_on_after(5) as scope`.

        The deadline is fixed when the function comes here first. It holds while the task is suspended, and through
        crashes and replays. `scope.cancelled_caught` tells afterwards whether the block was cut.

        Invocations made inside end by that time too, or when they have cleaned up; after 30 seconds of that at the
        latest.

        Raises:
            UsageError: `seconds` is no number, or less than 0.
        """
        _check_seconds("ctx.move_on_after()", seconds)
        return CancelScope(self._frame, seconds=seconds)

    def fail_after(self, seconds: float) -> AbstractContextManager[CancelScope]:
        """Return a block as `move_on_after` does, that raises trio.TooSlowError if it was cut."""
        _check_seconds("ctx.fail_after()", seconds)
        return CancelScope(self._frame, seconds=seconds, late_error=trio.TooSlowError)

    def shield(self, *, budget: float) -> CancelScope:
        """Return a block that no cancellation from around it cuts: for compensation, in a `finally` or `except`.

        Args:
            budget: seconds after which the block is cut nevertheless. Whoever cancels this function from outside
                has
                a budget too, 30 seconds usually, after which all is over.

        Raises:
            UsageError: `budget` is no number, or less than 0.
        """
        _check_seconds("ctx.shield(budget=...)", budget)
        return CancelScope(self._frame, seconds=budget, shield=True)

    # --- Time, chance and change ------------------------------------------------------------------

    async def sleep(self, seconds: float) -> None:
        """Sleep durably: through suspension, crashes and restarts, until `seconds` after the first run came here.

        Args:
            seconds: 0 or more. A sleep ends at the deadline of the function at the latest.

        Raises:
            UsageError: `seconds` is no number, or less than 0.
        """
        _check_seconds("ctx.sleep()", seconds)
        await self._sleep("ctx.sleep()", "sleep", seconds)

    async def sleep_until(self, when: datetime) -> None:
        """Sleep durably until an instant; not at all if it is past. Otherwise as `sleep`.

        Raises:
            UsageError: `when` has no time zone.
        """
        if when.tzinfo is None:
            raise UsageError(f"ctx.sleep_until({when!r}): an instant needs a time zone, as in datetime.now(UTC)")
        await self._sleep(
            "ctx.sleep_until()", "sleep", when.timestamp() - self._frame.runtime.clock.now_ms() / 1000
        )

    def now(self) -> datetime:
        """Return the time, in UTC: the instant of the latest stored fact that this function has seen.

        That is the outcome it received last, or its own invocation. So it costs nothing, a replay sees the same,
        and a long computation does not move it.
        """
        return datetime.fromtimestamp(self._frame.latest_ms / 1000, UTC)

    @cached_property
    def random(self) -> Random:
        """Random numbers, the same in every run of this invocation; no secrets, as its id is the seed."""
        return Random(sha256(self.id.encode()).digest())

    def uuid4(self) -> UUID:
        """Return a new UUID, the same in every run of this invocation. It is no secret: it comes from `random`."""
        return UUID(int=self.random.getrandbits(128), version=4)

    @overload
    async def promise(self, result_type: type[T], *, expires_after: float | None = None) -> Handle[T]: ...
    @overload
    async def promise(self, result_type: Any = object, *, expires_after: float | None = None) -> Handle[Any]: ...
    async def promise(self, result_type: Any = object, *, expires_after: float | None = None) -> Handle[Any]:
        """Create a promise that someone outside settles, and return its handle once it is stored.

        Its `id` is what to hand out: `client.promises.resolve(id, value)` or `.reject(id, error)` settles it.
        `await handle` waits for that; the task is suspended meanwhile.

        Args:
            result_type: what the value is read as.
            expires_after: seconds after which awaiting it raises InvocationTimedOut; at the function's own
                deadline at the latest.
        """
        frame = self._frame
        frame.check_task("ctx.promise()")
        self._children.check_open("ctx.promise()")
        request = frame.latent("external", tags.EXTERNAL, "promise", expires_after)
        frame.execution.start_remote(request)
        refusal = await frame.stored(request.id)
        if refusal is not None:
            raise refusal
        return Handle(frame, request.id, "promise", result_type)

    async def version(self, change: str, minimum: int, maximum: int) -> int:
        """Return which version of a piece of code this execution runs: to change code under running executions.

        An execution that comes here first gets `maximum`; one that has gone on from here already, before this call
        was in the code, gets `minimum`. Either way it stays with that, in all replays. So

        ```python
        if await ctx.version("check-stock", 0, 1) == 0:
            ...  # as it was
        else:
            ...  # as it is from now on
        ```

        Costs a round trip, once.

        Args:
            change: names the change, unique in the function; letters, digits, `-` and `_`.
            minimum: the oldest version that the code can still run.
            maximum: the newest.

        Raises:
            UsageError: the arguments cannot be meant.
        """
        self._frame.check_task("ctx.version()")
        return await choose_version(self._frame, change, minimum, maximum)

    # --- For the runtime --------------------------------------------------------------------------

    @property
    def is_leaf(self) -> bool:
        """Tell whether no durable call was made so far, so that the function may be tried again."""
        return self._frame.is_leaf

    def poke(self) -> None:
        """Have the wait that the function stands at, if any, look again whether it is to be cut."""
        self._frame.poke()

    async def close(self, error: BaseException | None) -> None:
        """Wait for all that belongs to the function. The runtime calls this when the function has ended.

        Args:
            error: what it has raised. Then what is still pending is cancelled.

        Raises:
            BaseException: `error`; failures that nobody has awaited, in a group; trio's Cancelled.
        """
        self._frame.check_task("the end of the function")
        if error is not None and not is_cancellation(error):
            self._children.cancel(None)
        raised = await self._children.join(error, awaited_ones_too=False)
        self._children.close()
        self._frame.check_complete()
        if len(raised) == 1 and (raised[0] is error or isinstance(raised[0], trio.Cancelled)):
            raise raised[0]
        if raised:
            count = len(raised) - (error is not None)
            raise BaseExceptionGroup(f"{count} failed in {self.id!r} that were not awaited", raised)

    async def _sleep(self, call: str, name: str, seconds: float) -> None:
        frame = self._frame
        frame.check_task(call)
        self._children.check_open(call)
        request = frame.latent("timer", tags.TIMER, name, seconds)
        frame.execution.start_remote(request)
        await Handle(frame, request.id, name, object)


def _check_seconds(call: str, seconds: float | None) -> None:
    if seconds is not None and not (is_number(seconds) and seconds >= 0):
        raise UsageError(f"{call} takes a number of seconds, 0 or greater, not {seconds!r}")
