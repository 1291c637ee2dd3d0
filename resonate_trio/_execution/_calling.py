"""Running a function: its attempts, its end by cancellation, and what comes of it."""

import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol, TypeAlias, cast, final

import trio
from attrs import frozen

from resonate_trio._codec import Codec
from resonate_trio._outcome import Cancellation
from resonate_trio._registry import Function
from resonate_trio._retry import DEFAULT_RETRY, RetryPolicy
from resonate_trio.protocol import EMPTY, PromiseState, Value

from ._life import Life

logger = logging.getLogger("resonate_trio.execution")

Settlement: TypeAlias = tuple[PromiseState, Value]

OUTSIDE = ""
"""Who cancels a task: its own execution is not told, and the server knows."""


class CallContext(Protocol):
    """What a function gets as its context, as far as running it is concerned."""

    @property
    def is_leaf(self) -> bool:
        """Whether no durable call was made so far."""

    def poke(self) -> None:
        """Have the wait that the function stands at, if any, look again whether it is to be cut."""

    async def close(self, error: BaseException | None) -> None:
        """Wait for all that was invoked through it; raise `error`, or what failed there, or both as a group."""


@final
class NoContext:
    """The context of a function that takes none: it makes no durable calls."""

    is_leaf = True

    def poke(self) -> None:
        """Do nothing: it stands at no wait."""

    async def close(self, error: BaseException | None) -> None:
        """Raise `error`."""
        if error is not None:
            raise error


NO_CONTEXT: Final = NoContext()


@final
@frozen
class Work:
    """A function with its arguments, ready to run.

    Attributes:
        new_context: makes the context of an attempt.
        retry: how failed attempts are repeated; None: as the function's registration says.
    """

    function: Function
    args: Sequence[object]
    kwargs: Mapping[str, object]
    new_context: Callable[["Run"], CallContext]
    retry: RetryPolicy | None = None


@final
class Run:
    """One invocation being executed here.

    Cancelling it is level-triggered. A leaf, which makes no durable call, is cancelled as trio does it, at its
    next checkpoint. Any other function is cancelled at its durable waits only, where its context sees to that: so
    it is always stored what was cut, and a replay is cut there as well.

    Attributes:
        scope: trio's scope around all attempts; it is cancelled when a leaf is, and has the deadline.
        deadline: the instant, on trio's clock, at which all that runs here is cut off: no outcome counts any more.
        timeout_at: the deadline of the invocation, Unix time in milliseconds.
        is_new: no run of this invocation came before.
        cancelled_by: who asked that it be cancelled; None if nobody has.
        was_cut: it was cancelled as a leaf. Durable calls that it makes nevertheless, while it unwinds, say so.
    """

    def __init__(
        self,
        work: Work,
        life: Life,
        *,
        timeout_at: int,
        seconds: float,
        is_new: bool,
        outer: "Run | None" = None,
    ) -> None:
        """Describe a run.

        Args:
            work: what to run.
            life: the execution it is a part of.
            timeout_at: its deadline, Unix time in milliseconds.
            seconds: how long it is until then.
            is_new: no run of this invocation came before.
            outer: the run that it is nested in, when it runs in the same task of trio.
        """
        self.scope = trio.CancelScope(deadline=trio.current_time() + seconds)
        self.deadline: float = min(self.scope.deadline, outer.deadline) if outer else self.scope.deadline
        self.timeout_at = timeout_at
        self.is_new = is_new
        self.cancelled_by: str | None = None
        self.was_cut = False
        self._work = work
        self._life = life
        self._may_cut = True
        self._context: CallContext | None = None  # of the current attempt

    def __repr__(self) -> str:
        return f"<Run of {self._work.function.name}>"

    @property
    def is_over(self) -> bool:
        """Whether nothing that the function does matters any more: it was cut off, or the execution has ended."""
        return self._life.ending is not None or trio.current_time() >= self.deadline

    def recall(self, *, made_calls: bool, cut_by: str | None) -> None:
        """Take in what an earlier run has left behind, before this one starts.

        Args:
            made_calls: it made durable calls.
            cut_by: before the first of them it was cancelled as a leaf, by whom.
        """
        if cut_by is not None:
            self.cancel(cut_by)
        elif made_calls:
            self._may_cut = False

    def cancel(self, by: str) -> None:
        """Ask that the function be cancelled. Only the first request counts."""
        if self.cancelled_by is not None:
            return
        self.cancelled_by = by
        if self._context is None or self._context.is_leaf:
            if self._may_cut:
                self.was_cut = True
                self.scope.cancel()
        else:
            self._context.poke()

    async def outcome(self, codec: Codec) -> Settlement | None:
        """Run until an attempt succeeds, the retry policy gives up, or the run is cancelled.

        Returns:
            What is to be stored. None: the deadline has passed, and whatever comes now is too late.
        """
        try:
            with self.scope:
                return await self._attempts(codec)
        except Exception as error:  # what is left of a group when its cancellations are taken out
            return PromiseState.REJECTED, codec.encode_error(error)
        if self.is_over:
            return None
        value = Cancellation(self.cancelled_by).encode(codec) if self.cancelled_by else EMPTY
        return PromiseState.CANCELED, value

    async def _attempts(self, codec: Codec) -> Settlement:
        """Repeat failed attempts of a leaf. A function that made durable calls would find the same outcomes."""
        function = self._work.function
        policy = self._work.retry or function.retry or DEFAULT_RETRY
        attempt = 0
        while True:
            attempt += 1
            needs_context = function.takes_context or not self.is_new  # one that it had before may be missed
            context = self._context = self._work.new_context(self) if needs_context else NO_CONTEXT
            try:
                result = await self._attempt(context)
                return PromiseState.RESOLVED, codec.encode(result, path=f"the result of {function.name}")
            except Exception as error:
                may_repeat = context.is_leaf and self.cancelled_by is None
                delay = policy.delay_after(attempt, error, random.random) if may_repeat else None
                if delay is None:
                    return PromiseState.REJECTED, codec.encode_error(error)
            await trio.sleep(delay)

    async def _attempt(self, context: CallContext) -> object:
        failure: BaseException | None = None
        result = None
        try:
            result = await self._call(context)
        except BaseExceptionGroup as group:
            if self.is_over or is_signal(group):
                raise self._without_failures(group) from None
            failure = group
        except (Exception, trio.Cancelled) as error:
            if self.is_over:
                raise
            failure = error
        try:
            await context.close(failure)
        except BaseExceptionGroup as group:
            if self.is_over:
                raise self._without_failures(group) from None
            raise
        return result

    def _without_failures(self, group: BaseExceptionGroup) -> BaseExceptionGroup:
        """Return what is no failure in a group of both: a function that was told to end has no outcome."""
        failures, signals = group.split(Exception)
        if failures is not None:
            logger.warning("%s failed while it was cancelled", self._work.function.name, exc_info=failures)
        return group if signals is None else signals

    def _call(self, context: CallContext) -> Awaitable[object]:
        work = self._work
        args = (context, *work.args) if work.function.takes_context else work.args
        call = partial(work.function.call, *args, **work.kwargs)
        if work.function.is_async:
            return cast(Awaitable[object], call())
        # A plain function may block, so it gets a thread. One that no longer matters is left to end by itself.
        return trio.to_thread.run_sync(call, abandon_on_cancel=True)


def is_signal(error: BaseException) -> bool:
    """Tell whether an exception is, or holds, neither a failure nor a cancellation: the process is to end."""
    if isinstance(error, BaseExceptionGroup):
        return error.split((Exception, trio.Cancelled))[1] is not None
    return not isinstance(error, Exception | trio.Cancelled)
