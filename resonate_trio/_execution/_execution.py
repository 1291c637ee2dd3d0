"""One task being run.

The function and its local invocations are *bodies*, tasks of one trio nursery. They read outcomes from the
journal, write through the held task, and block when an outcome is not known. When all are blocked the task is
suspended, and the execution is *parked*: it stays in memory with all its frames, and goes on exactly there when
the task comes back at the version we left it. If it does not (another worker took it, the process died), the next
execution runs the function from its start and finds the outcomes stored.
"""

import enum
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar, final

import trio

from resonate_trio._errors import (
    AuthenticationError,
    ExecutionDropped,
    PermissionDeniedError,
    RequestRefusedError,
    ResonateError,
    ServerError,
)
from resonate_trio._outcome import Outcome, outcome_of
from resonate_trio.protocol import Promise, PromiseCreate, PromiseSettle, PromiseState, Value, tags

from ._bodies import Bodies
from ._calling import Work
from ._held import HeldTask, LeaseLost
from ._journal import Journal
from ._runtime import Runtime

logger = logging.getLogger("resonate_trio.execution")

P = ParamSpec("P")
T = TypeVar("T")

# The server does not let us go on, or cannot: the task is for someone else, or for later.
PLATFORM_ERRORS = (AuthenticationError, PermissionDeniedError, ServerError)

# How long to wait before asking again whether a promise has timed out that has done so by our clock.
CLOCK_SKEW_STEP = 0.05


class Ending(enum.Enum):
    """How an execution ended."""

    FULFILLED = "the promise is settled"
    LOST = "the task is not ours any more"
    DROPPED = "given up here; the task, if it is held, must be released"
    FAILED = "the server does not let us go on; the task must be released, but not at once"


@final
class Execution:
    """One run of a task in this process.

    Attributes:
        promise: the promise of the task, as it was when the execution began.
        held: the task while it is held; while parked, as it was left.
        is_parked: the task is suspended, and this execution is kept to go on when it comes back.
        is_suspending: the task is being suspended; a message that it can go on may overtake the reply.
        settled_as: the state of the promise once the task is fulfilled.
        reason: why the execution was lost or dropped.
    """

    def __init__(
        self,
        runtime: Runtime,
        held: HeldTask,
        promise: Promise,
        preload: Iterable[Promise],
        *,
        on_park: Callable[["Execution"], None],
    ) -> None:
        self.runtime = runtime
        self.held = held
        self.promise = promise
        self.is_parked = False
        self.is_suspending = False
        self.settled_as: PromiseState | None = None
        self.reason = ""
        self._on_park = on_park
        self._journal = Journal()
        self._journal.record(preload)
        self._refused: dict[str, Exception] = {}  # invocations that the server did not accept, by id
        self._in_flight: dict[str, trio.Event] = {}  # promises being created in the background
        self._local: set[str] = set()  # promises that are executed here: a task may not await them
        self._bodies = Bodies()
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._ending: Ending | None = None
        self._result: tuple[PromiseState, Value] | None = None
        self._resumption: Sequence[Promise] = ()
        self._resumed = trio.Event()

    def __repr__(self) -> str:
        state = "parked" if self.is_parked else repr(self._bodies)
        return f"<Execution of {self.promise.id!r} at version {self.held.version}: {state}>"

    # --- For the worker ---------------------------------------------------------------------------

    async def run(self, prepare: Callable[["Execution"], Work]) -> Ending:
        """Run the task until it is fulfilled, lost or dropped. What the function raises is its result.

        Args:
            prepare: finds the function that the promise names. If that fails, the promise is rejected: whoever
                waits for it learns why, where a task that is given back would only go round and round.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as self._nursery:
                    self._spawn(self._run_root, prepare)
                    await self._drive()
        except* ExecutionDropped:
            pass
        assert self._ending is not None
        return self._ending

    def resume(self, held: HeldTask, preload: Sequence[Promise]) -> None:
        """Go on with a parked execution: the task was acquired again, at the version it was left."""
        self.is_parked = False
        self.held = held
        self._resumption = preload
        self._resumed.set()

    def drop(self, reason: str, ending: Ending = Ending.DROPPED) -> None:
        """End without a result: unwind the frames. Durable calls in them raise ExecutionDropped from now on."""
        if self._ending is None:
            self._ending = ending
            self.reason = reason
            self._scope.cancel()

    # --- For contexts, nurseries and handles ------------------------------------------------------

    def check_alive(self) -> None:
        """Raise ExecutionDropped if this execution has ended: nothing durable may happen twice."""
        if self._ending is not None:
            raise ExecutionDropped

    def start_remote(self, request: PromiseCreate) -> None:
        """Create a promise in the background. It is stored before the task is suspended or fulfilled."""
        self.check_alive()
        if self._journal.get(request.id) is None:
            self._in_flight[request.id] = trio.Event()
            self._spawn(self._create, request)

    async def stored(self, id: str) -> Exception | None:
        """Wait until a promise that was started is stored; return why the server refused it, if it did."""
        if id in self._in_flight:
            await self._in_flight[id].wait()
        self.check_alive()
        return self._refused.get(id)

    async def create(self, request: PromiseCreate) -> None:
        """Create a promise, unless it is known. Raises RequestRefusedError."""
        self.check_alive()
        await self._create(request)
        if request.id in self._refused:
            raise self._refused[request.id]

    def start_local(self, request: PromiseCreate, work: Work) -> None:
        """Run a local invocation beside the calling body."""
        self.check_alive()
        self._spawn(self.run_local, request, work)

    async def run_local(self, request: PromiseCreate, work: Work) -> None:
        """Run a local invocation up to its stored outcome, unless that is known already."""
        instrument = self.runtime.instrument
        self._local.add(request.id)
        await self._create(request)
        if self.is_known(request.id):
            await trio.lowlevel.checkpoint()
            instrument.step_replayed(request.id, work.function.name)
            return
        await self._guard(self._check_lease)
        # The deadline is that of the first run, as it is stored.
        timeout_at = self._journal.deadline(request.id)
        with trio.move_on_after(self._seconds_until(timeout_at)):
            state, value = await work.run(self.runtime.codec, timeout_at)
            await self._settle(request.id, state, value)
            instrument.step_executed(request.id, work.function.name)
            return
        await self._timed_out(request.id)

    async def wait(self, ids: Sequence[str]) -> None:
        """Block the calling body until the outcome of every id is known."""
        self.check_alive()
        unknown = [id for id in ids if not self.is_known(id)]
        if unknown:
            await self._block(unknown)
        else:
            await trio.lowlevel.checkpoint()
        self.check_alive()

    def is_known(self, id: str) -> bool:
        """Tell whether the outcome of an invocation is known here."""
        return id in self._refused or self._journal.settled(id) is not None

    def known(self, id: str) -> Promise | None:
        """Return a promise as it is known here, that of the task included."""
        return self.promise if id == self.promise.id else self._journal.get(id)

    def outcome(self, id: str, result_type: object) -> Outcome:
        """Return the outcome of an invocation that `is_known`."""
        if id in self._refused:
            return Outcome(error=self._refused[id])
        promise = self._journal.settled(id)
        assert promise is not None
        return outcome_of(promise, result_type, self.runtime.codec)

    # --- Bodies -----------------------------------------------------------------------------------

    async def _block(self, ids: Sequence[str]) -> None:
        try:
            await self._bodies.block(ids)
        except trio.Cancelled:
            # By a deadline in this process, for one. Nothing may run here while the task is not held: a replay
            # finds out what became of it.
            if self.is_parked or self.is_suspending:
                self.drop("a wait was cancelled while the task was suspended")
            raise

    def _spawn(self, body: Callable[..., Awaitable[None]], *args: object) -> None:
        assert self._nursery is not None
        self._bodies.started()
        self._nursery.start_soon(self._run_body, body, args)

    async def _run_body(self, body: Callable[..., Awaitable[None]], args: Sequence[object]) -> None:
        try:
            await body(*args)
        finally:
            self._bodies.ended()

    async def _run_root(self, prepare: Callable[["Execution"], Work]) -> None:
        self.check_alive()
        codec = self.runtime.codec
        try:
            work = prepare(self)
        except ResonateError as error:
            logger.warning("task %r is rejected: %s", self.promise.id, error)
            self._result = (PromiseState.REJECTED, codec.encode_error(error))
        else:
            self.runtime.instrument.task_started(self.promise.id, work.function.name)
            deadline = self.promise.timeout_at
            with trio.move_on_after(self._seconds_until(deadline)):
                self._result = await work.run(codec, deadline)
                return
            # The promise has timed out, so nobody would take a result.
            self.drop("its deadline has passed", Ending.LOST)

    async def _create(self, request: PromiseCreate) -> None:
        if self._journal.get(request.id) is not None:
            return
        try:
            promise = await self._guard(self.held.write, request)
        except RequestRefusedError as error:
            self._refused[request.id] = error
            self._bodies.settled([request.id])
        else:
            self._learn([promise])
        finally:
            if request.id in self._in_flight:
                self._in_flight.pop(request.id).set()

    async def _settle(self, id: str, state: PromiseState, value: Value) -> None:
        try:
            promise = await self._guard(self.held.write, PromiseSettle(id, state, value))
        except RequestRefusedError as error:  # too large, for one
            failure = self.runtime.codec.encode_error(error)
            promise = await self._insist(self.held.write, PromiseSettle(id, PromiseState.REJECTED, failure))
        self._learn([promise])

    async def _timed_out(self, id: str) -> None:
        # The promise times out by the server's clock, which may be behind ours by a little.
        while True:
            promise = await self._insist(self.held.read, id)
            if not promise.is_pending:
                self._learn([promise])
                return
            await trio.sleep(CLOCK_SKEW_STEP)

    def _learn(self, promises: Iterable[Promise]) -> list[str]:
        news = self._journal.record(promises)
        self._bodies.settled(news)
        return news

    async def _check_lease(self) -> None:
        self.held.check_lease()

    def _seconds_until(self, instant_ms: int) -> float:
        return (instant_ms - self.runtime.clock.now_ms()) / 1000

    # --- Driving ----------------------------------------------------------------------------------

    async def _drive(self) -> None:
        """Wait until all bodies are blocked or done, then suspend or fulfil the task."""
        while True:
            await self._bodies.all_blocked()
            if self._result is not None:
                await self._insist(self._fulfill, *self._result)
                return
            await self._suspend()

    async def _fulfill(self, state: PromiseState, value: Value) -> None:
        try:
            promise = await self.held.fulfill(PromiseSettle(self.promise.id, state, value))
        except RequestRefusedError as error:  # too large, for one
            failure = self.runtime.codec.encode_error(error)
            promise = await self.held.fulfill(PromiseSettle(self.promise.id, PromiseState.REJECTED, failure))
        self.settled_as = promise.state
        self._ending = Ending.FULFILLED

    async def _suspend(self) -> None:
        """Give the task back until a body can go on.

        Usually one promise of each body is awaited, its newest. When that one settles, the body's others have
        most likely settled too, unheard: then all are awaited at once, which makes the server tell.
        """
        sweep = False
        while self._result is None and not self._bodies.has_running():
            candidates = self._bodies.awaited if sweep else self._bodies.newest
            awaited = candidates(self._can_await)
            news = self._learn(await self._insist(self._await_settled, awaited))
            if not news and not self._bodies.has_running():  # a server that does not tell what settled
                news = self._learn([await self._insist(self.held.read, id) for id in awaited])
            sweep = not sweep and not set(news).isdisjoint(awaited)

    async def _await_settled(self, awaited: Sequence[str]) -> Sequence[Promise]:
        self.is_suspending = True
        try:
            told = await self.held.suspend(awaited)
        finally:
            self.is_suspending = False
        if told is not None:
            return told
        return await self._park()

    async def _park(self) -> Sequence[Promise]:
        self.is_parked = True
        self._resumed = trio.Event()
        self.runtime.instrument.task_suspended(self.promise.id)
        self._on_park(self)
        await self._resumed.wait()
        preload, self._resumption = self._resumption, ()
        self.runtime.instrument.task_resumed(self.promise.id)
        return preload

    def _can_await(self, id: str) -> bool:
        if id in self._local:
            return False
        promise = self._journal.get(id)
        return promise is not None and tags.is_external(promise.tags)

    async def _guard(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the server for this execution. If it is lost, nothing of it goes on. Raises RequestRefusedError."""
        self.check_alive()
        try:
            result = await call(*args, **kwargs)
        except LeaseLost as error:
            self.drop(str(error), Ending.LOST)
            raise ExecutionDropped from error
        except PLATFORM_ERRORS as error:
            self.drop(str(error), Ending.FAILED)
            raise ExecutionDropped from error
        self.check_alive()
        return result

    async def _insist(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the server, as `_guard`, for what there is no way on without."""
        try:
            return await self._guard(call, *args, **kwargs)
        except RequestRefusedError as error:
            self.drop(str(error), Ending.FAILED)
            raise ExecutionDropped from error
