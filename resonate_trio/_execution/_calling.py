"""Running a function: its attempts, and what comes of them."""

import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, cast, final

import trio
from attrs import frozen

from resonate_trio._codec import Codec
from resonate_trio._registry import Function
from resonate_trio._retry import DEFAULT_RETRY, RetryPolicy
from resonate_trio.protocol import PromiseState, Value

logger = logging.getLogger("resonate_trio.execution")


class CallContext(Protocol):
    """What a function gets as its context, as far as running it is concerned."""

    @property
    def is_leaf(self) -> bool:
        """Tell whether no durable call was made so far."""

    async def close(self, error: Exception | None) -> None:
        """Wait for all that was invoked through it; raise `error`, or what failed there, or both as a group."""


@final
@frozen
class Work:
    """A function with its arguments, ready to run.

    Attributes:
        new_context: makes the context of an attempt, from the deadline of the invocation (Unix time in ms).
        retry: how failed attempts are repeated; None: as the function's registration says.
    """

    function: Function
    args: Sequence[object]
    kwargs: Mapping[str, object]
    new_context: Callable[[int], CallContext]
    retry: RetryPolicy | None = None

    async def run(self, codec: Codec, timeout_at: int) -> tuple[PromiseState, Value]:
        """Run until an attempt succeeds or the retry policy gives up; return what is to be stored.

        Only leaf functions are tried again: one that has made a durable call would find the same outcomes.
        """
        policy = self.retry or self.function.retry or DEFAULT_RETRY
        attempt = 0
        while True:
            attempt += 1
            context = self.new_context(timeout_at)
            try:
                result = await self._attempt(context)
                return PromiseState.RESOLVED, codec.encode(result, path=f"the result of {self.function.name}")
            except Exception as error:
                delay = policy.delay_after(attempt, error, random.random) if context.is_leaf else None
                if delay is None:
                    return PromiseState.REJECTED, codec.encode_error(error)
            await trio.sleep(delay)

    async def _attempt(self, context: CallContext) -> object:
        try:
            result = await self._call(context)
        except Exception as error:
            await context.close(error)
            raise
        except BaseExceptionGroup as group:
            raise self._signals(group) from None
        await context.close(None)
        return result

    def _signals(self, group: BaseExceptionGroup) -> BaseExceptionGroup:
        """Return what is no failure in a group of both: a function that was told to end has no outcome."""
        failures, signals = group.split(Exception)
        assert signals is not None
        if failures is not None:
            logger.warning("%s failed while it was cancelled", self.function.name, exc_info=failures)
        return signals

    async def _call(self, context: CallContext) -> object:
        args = (context, *self.args) if self.function.takes_context else self.args
        call = partial(self.function.call, *args, **self.kwargs)
        if self.function.is_async:
            return await cast(Awaitable[object], call())
        # A plain function may block, so it gets a thread. One that no longer matters is left to end by itself.
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True)
