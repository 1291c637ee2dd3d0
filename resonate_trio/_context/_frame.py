"""One run of one function: where the ids of its invocations come from, and who may wait in it."""

from collections.abc import Callable
from functools import partial
from typing import final

import trio

from resonate_trio._clock import deadline_ms
from resonate_trio._errors import UsageError
from resonate_trio._execution import CallContext, Execution
from resonate_trio._ids import Lineage

ContextFactory = Callable[[Execution, Lineage, int], CallContext]


@final
class Frame:
    """One run of one function inside an execution.

    Ids are counted in the order of the calls, so they are the same in every run of the same code. That holds only
    if one task makes all durable calls, which is checked.

    Attributes:
        execution: the task that the function is a part of.
        lineage: the id of the invocation and its place in the call graph.
        timeout_at: the deadline of the invocation, Unix time in milliseconds.
    """

    def __init__(
        self, execution: Execution, lineage: Lineage, timeout_at: int, new_context: ContextFactory
    ) -> None:
        self.execution = execution
        self.lineage = lineage
        self.timeout_at = timeout_at
        self.runtime = execution.runtime
        self._new_context = new_context
        self._count = 0
        own = execution.known(lineage.id)
        self._latest_ms = 0 if own is None else own.created_at
        self._task = trio.lowlevel.current_task()

    def __repr__(self) -> str:
        return f"<Frame of {self.lineage.id!r}: {self._count} durable calls>"

    @property
    def is_leaf(self) -> bool:
        """Tell whether no durable call was made so far."""
        return not self._count

    @property
    def latest_ms(self) -> int:
        """The instant of the latest stored fact that the function has seen, Unix time in milliseconds."""
        return self._latest_ms

    def see(self, id: str) -> None:
        """Note that the function has received the outcome of an invocation."""
        promise = self.execution.known(id)
        if promise is not None and promise.settled_at is not None:
            self._latest_ms = max(self._latest_ms, promise.settled_at)

    def next_local(self) -> Lineage:
        """Return the place of the next promise that lives in this task."""
        return self.lineage.local_child(self._next(), self.runtime.dialect)

    def next_remote(self) -> Lineage:
        """Return the place of the next promise that is executed elsewhere."""
        return self.lineage.remote_child(self._next(), self.runtime.dialect)

    def child_deadline(self, seconds: float | None) -> int:
        """Return the deadline of a child: its own, but never beyond ours. Unix time in milliseconds."""
        return min(deadline_ms(self.runtime.clock.now_ms(), seconds), self.timeout_at)

    def free_deadline(self, seconds: float | None) -> int:
        """Return the deadline of an invocation that outlives us. Unix time in milliseconds."""
        return deadline_ms(self.runtime.clock.now_ms(), seconds)

    def context_factory(self, lineage: Lineage) -> Callable[[int], CallContext]:
        """Return what makes the context of each attempt of a local invocation, from its deadline."""
        return partial(self._new_context, self.execution, lineage)

    def check_task(self, call: str) -> None:
        """Refuse durable calls from elsewhere than the function's own task: a replay could not repeat their order.

        Raises:
            UsageError: the calling task is not the one that the function runs in, or it is a thread.
            ExecutionDropped: the execution has ended.
        """
        self.execution.check_alive()
        if not trio.lowlevel.in_trio_task():
            raise UsageError(
                f"{call} in {self.lineage.id!r} is called from a thread. A function that makes durable calls is "
                f"an async one: write it as `async def`, and call blocking code by `await ctx.lfc(fn, ...)`"
            )
        if trio.lowlevel.current_task() is not self._task:
            raise UsageError(
                f"{call} in {self.lineage.id!r} is called from another task than the function's own. Tasks of a "
                f"plain trio nursery run in an order that a replay cannot repeat: for concurrency in a durable "
                f"function use `async with ctx.open_nursery() as nursery: nursery.lfi(fn, ...)`"
            )

    def _next(self) -> int:
        self._count += 1
        return self._count
