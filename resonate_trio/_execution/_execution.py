"""One task being run.

The function and its local invocations are *bodies*, tasks of one trio nursery. They read outcomes from the
ledger, write through it, and block when an outcome is not known. When all are blocked the task is suspended, and
the execution is *parked*: it stays in memory with all its frames, and goes on exactly there when the task comes
back at the version we left it. If it does not (another worker took it, the process died), the next execution runs
the function from its start and finds the outcomes stored.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, final

import trio

from resonate_trio._clock import seconds_until
from resonate_trio._errors import ExecutionDropped, RequestRefusedError, ResonateError
from resonate_trio._ids import child_id
from resonate_trio._outcome import Cancellation, Outcome
from resonate_trio.protocol import (
    EMPTY,
    Promise,
    PromiseCreate,
    PromiseSettle,
    PromiseState,
    Value,
    extensions,
    tags,
)

from ._beginning import Beginning, Beginnings
from ._bodies import Alarms, Bodies, Wait
from ._calling import OUTSIDE, Run, Work
from ._hearing import HEAR_AFTER, Hearing
from ._held import HeldTask
from ._ledger import Ledger
from ._life import Ending, Life
from ._outbox import Outbox
from ._runtime import Runtime

if TYPE_CHECKING:
    from ._calling import Settlement

logger = logging.getLogger("resonate_trio.execution")

FIRST_CHILD: Final = 1
BODY: Final = "a body of an execution"
"""The name of all these tasks: trio would write one for each."""


@final
class Execution:
    """One run of a task in this process.

    Attributes:
        promise: the promise of the task, as it was when the execution began.
        life: whether it goes on.
        ledger: what is known of its promises.
        is_parked: the task is suspended, and this execution is kept to go on when it comes back.
        settled_as: the state of the promise once the task is fulfilled.
        base_deadline: the deadline that surrounds everything here, on trio's clock.
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
        self.promise = promise
        self.is_parked = False
        self.settled_as: PromiseState | None = None
        self.base_deadline = 0.0
        self.life = Life(held)
        self.life.on_cancelled = self._cancel_root
        self._on_park = on_park
        self._bodies = Bodies()
        self.ledger = Ledger(runtime, self.life, self._bodies, preload)
        self._beginnings = Beginnings(self.ledger)
        self._outbox = Outbox(self.ledger, self._bodies)
        self._hearing = Hearing(runtime, self.life, self.ledger)
        self._root: Run | None = None
        self._local: dict[str, Run | None] = {}  # promises that are executed here: a task may not await them
        self._asked: dict[str, Cancellation] = {}  # who asked that an invocation be cancelled
        self._nursery: trio.Nursery | None = None
        self._result: Settlement | None = None
        self._resumption: Sequence[Promise] = ()
        self._resumed: trio.Event | None = None

    def __repr__(self) -> str:
        state = "parked" if self.is_parked else repr(self._bodies)
        return f"<Execution of {self.promise.id!r} at version {self.held.version}: {state}>"

    # --- For the worker ---------------------------------------------------------------------------

    @property
    def held(self) -> HeldTask:
        """The task while it is held; while parked, as it was left."""
        return self.life.held

    @property
    def is_suspending(self) -> bool:
        """Whether the task is being suspended; a message that it can go on may overtake the reply."""
        return not self.life.is_held and not self.is_parked

    @property
    def waits_for_many(self) -> bool:
        """Whether more may have settled, while it is parked, than what wakes it.

        If not, that is all that need be sent: with everything each time, n calls in a row would cost n² promises.
        """
        return self._bodies.wait_for_many()

    async def run(self, prepare: Callable[["Execution"], Work]) -> Ending:
        """Run the task until it is fulfilled, lost or dropped. What the function raises is its result.

        Args:
            prepare: finds the function that the promise names. If that fails, the promise is rejected: whoever
                waits for it learns why, where a task that is given back would only go round and round.
        """
        try:
            self.base_deadline = trio.current_effective_deadline()
            async with trio.open_nursery() as self._nursery:
                self.life.begin(self._nursery.cancel_scope)
                self.spawn(self._run_root, prepare)
                await self._drive()
                self._nursery.cancel_scope.cancel()  # nobody listens any more
        except* ExecutionDropped:
            pass
        assert self.life.ending is not None
        return self.life.ending

    def resume(self, held: HeldTask, preload: Sequence[Promise]) -> None:
        """Go on with a parked execution: the task was acquired again, at the version it was left."""
        self.is_parked = False
        self.life.held = held
        self._resumption = preload
        if self._resumed is not None:
            self._resumed.set()

    def cancel(self) -> None:
        """Take the news that the task is to be cancelled.

        While it is being given back nothing may run; the server tells again when it is ours.
        """
        self.held.is_cancelled = True
        if self.life.is_held:
            self._cancel_root()

    def drop(self, reason: str, ending: Ending = Ending.DROPPED) -> None:
        """End without a result: unwind the frames. Durable calls in them raise ExecutionDropped from now on."""
        self.life.end(reason, ending)
        self._bodies.interrupt_all()

    def lose(self, reason: str) -> None:
        """Take the news that the task is not ours any more, unless that is what we are asking for right now."""
        if self.life.is_held and self._result is None:
            self.drop(reason, Ending.LOST)

    # --- For contexts, nurseries and handles ------------------------------------------------------

    def start_remote(self, request: PromiseCreate) -> None:
        """Create a promise in the background. It is stored before the task is suspended or fulfilled."""
        if not self.ledger.claim(request):
            return
        if not self.runtime.link.offers(extensions.BATCH):
            self.spawn(self.ledger.create, request)
            return
        assert self._nursery is not None
        self._outbox.add(request, self._nursery)

    def expect_local(self, id: str) -> None:
        """Note that an invocation is executed here: cancelling it is to tell its function, not the server."""
        self._local.setdefault(id, None)

    def start_local(self, request: PromiseCreate, work: Work, *, is_first: bool) -> None:
        """Run a local invocation beside the calling body; otherwise as `run_local`."""
        is_new = self.ledger.claim(request)  # at once: the function may be at its end before the body runs
        self.expect_local(request.id)
        self.spawn(self._run_claimed, request, work, None, is_first, is_new)

    async def run_local(
        self, request: PromiseCreate, work: Work, outer: Run, alarms: Callable[[], Alarms], *, is_first: bool
    ) -> None:
        """Run a local invocation up to its stored outcome, unless that is known already.

        Args:
            request: creates its promise.
            work: its function.
            outer: the caller's run, which waits in the same task.
            alarms: tells what may cut that wait.
            is_first: what is not known here was never invoked before.
        """
        self.expect_local(request.id)
        is_new = self.ledger.claim(request)
        self._bodies.attend(alarms)
        try:
            await self._run_claimed(request, work, outer, is_first, is_new)
        finally:
            self._bodies.go_on(alarms)

    async def _run_claimed(
        self, request: PromiseCreate, work: Work, outer: Run | None, is_first: bool, is_new: bool
    ) -> None:
        id, ledger = request.id, self.ledger
        begun = self._begin(request) if is_new and is_first and not work.function.takes_context else None
        if is_new and begun is None:
            await ledger.create(request)
        if ledger.is_known(id):
            await trio.lowlevel.cancel_shielded_checkpoint()
            self.runtime.instrument.step_replayed(id, work.function.name)
            return
        self.life.check_lease()
        if id in self._asked and is_new and not is_first:
            is_new = await self._first_child(id) is None  # it may have run, and the server not have told
        if id in self._asked and is_new:
            cancelled = PromiseState.CANCELED, self._asked[id].encode(self.runtime.codec)
            await (ledger.settle(id, *cancelled) if begun is None else begun.settle(*cancelled))
            return
        timeout_at = request.timeout_at if begun is not None else self._timeout_at(id)
        run = self._local[id] = await self._new_run(id, work, timeout_at, is_new=is_new, outer=outer)
        if id in self._asked:
            run.cancel(self._asked[id].by or OUTSIDE)
        settlement = await run.outcome(self.runtime.codec)
        if settlement is None:
            if begun is not None:
                await begun.write()
            await ledger.ended(id)
            return
        await (ledger.settle(id, *settlement) if begun is None else begun.settle(*settlement))
        if settlement[0] is not PromiseState.CANCELED:
            self.runtime.instrument.step_executed(id, work.function.name)

    def cancel_invocation(self, id: str, cancellation: Cancellation, budget_ms: int) -> None:
        """Ask, in the background, that an invocation that the code has made end as cancelled. Once is enough.

        Args:
            id: the invocation.
            cancellation: who asks; stored with its outcome.
            budget_ms: how long its worker may take to clean up (ms).
        """
        self.life.check()
        if id in self._asked or self.ledger.is_known(id):
            return
        self._asked[id] = cancellation
        if id not in self._local:
            self.spawn(self.ledger.cancel, id, cancellation, budget_ms)
        elif (run := self._local[id]) is not None:
            run.cancel(cancellation.by or OUTSIDE)

    def block(self, wait: Wait) -> Awaitable[None]:
        """Block the calling body. It may go on too early, or as this execution has ended: the caller looks."""
        return self._bodies.block(wait)

    def interrupt(self, wait: Wait) -> None:
        """Have a blocked body go on."""
        self._bodies.interrupt(wait)

    def known(self, id: str) -> Promise | None:
        """Return a promise as it is known here, that of the task included."""
        return self.promise if id == self.promise.id else self.ledger.journal.get(id)

    def outcome(self, id: str, result_type: object) -> Outcome:
        """Return the outcome of an invocation that is known."""
        return self.ledger.outcome(id, result_type)

    def spawn(self, body: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run something that keeps the task from being suspended."""
        assert self._nursery is not None
        self._bodies.started()
        self._nursery.start_soon(self._run_body, body, args, name=BODY)

    def watch_timer(self, id: str, ends_at: int, scope: trio.CancelScope) -> None:
        """Have a promise looked at again when its time has come, for as long as the task is held.

        Args:
            id: a timer, which is also listened for while the task is suspended.
            ends_at: its deadline, Unix time in milliseconds.
            scope: ends the watch.
        """
        assert self._nursery is not None
        self._nursery.start_soon(self.ledger.watch_timer, id, self._seconds_until(ends_at), scope)

    # --- Bodies -----------------------------------------------------------------------------------

    async def _run_body(self, body: Callable[..., Awaitable[None]], args: Sequence[object]) -> None:
        try:
            await body(*args)
        finally:
            self._bodies.ended()

    async def _run_root(self, prepare: Callable[["Execution"], Work]) -> None:
        self.life.check()
        codec, id = self.runtime.codec, self.promise.id
        is_new = self.held.version == 1
        try:
            work = prepare(self)
        except ResonateError as error:
            logger.warning("task %r is rejected: %s", id, error)
            self._result = (PromiseState.REJECTED, codec.encode_error(error))
            return
        if is_new and self.held.is_cancelled:
            self._result = (PromiseState.CANCELED, EMPTY)  # nothing has run, and nothing need
            return
        self.runtime.instrument.task_started(id, work.function.name)
        self._root = await self._new_run(id, work, self.promise.timeout_at, is_new=is_new, outer=None)
        if self.held.is_cancelled:
            self._cancel_root()
        self._result = await self._root.outcome(codec)
        if self._result is None:  # the promise has timed out, so nobody would take a result
            self.drop("its deadline has passed", Ending.LOST)

    def _cancel_root(self) -> None:
        if self._root is not None:
            self._root.cancel(OUTSIDE)

    def _begin(self, request: PromiseCreate) -> Beginning | None:
        if not self.runtime.link.offers(extensions.BATCH):
            return None
        assert self._nursery is not None
        return self._beginnings.begin(request, self._nursery)

    def _timeout_at(self, id: str) -> int:
        """Return the deadline of a promise: that of the first run, as it is stored."""
        promise = self.known(id)
        assert promise is not None
        return promise.timeout_at

    async def _first_child(self, id: str) -> Promise | None:
        return await self.ledger.find(child_id(id, FIRST_CHILD, self.runtime.dialect))

    async def _new_run(self, id: str, work: Work, timeout_at: int, *, is_new: bool, outer: Run | None) -> Run:
        seconds = self._seconds_until(timeout_at)
        run = Run(work, self.life, timeout_at=timeout_at, seconds=seconds, is_new=is_new, outer=outer)
        if not is_new:
            first = await self._first_child(id)
            if first is not None:
                run.recall(made_calls=True, cut_by=first.tags.get(tags.CUT))
        return run

    def _seconds_until(self, instant_ms: int) -> float:
        return seconds_until(instant_ms, self.runtime.clock.now_ms())

    # --- Driving ----------------------------------------------------------------------------------

    async def _drive(self) -> None:
        """Wait until all bodies are blocked or done, then suspend or fulfil the task."""
        assert self._nursery is not None
        while True:
            while self._bodies.has_running():
                with trio.move_on_after(HEAR_AFTER):
                    await self._bodies.all_blocked()
                    break
                if self._bodies.has_running():  # the last may have ended at the very moment
                    self._hearing.start(self._bodies.awaited(self._can_await, every=False), self._nursery)
                    await self._bodies.changed()
            if self._result is not None:
                await self.life.insist(self._fulfill, *self._result)
                return
            await self._suspend()

    async def _fulfill(self, state: PromiseState, value: Value) -> None:
        try:
            promise = await self.held.fulfill(PromiseSettle(self.promise.id, state, value))
        except RequestRefusedError as error:  # too large, for one
            failure = self.runtime.codec.encode_error(error)
            promise = await self.held.fulfill(PromiseSettle(self.promise.id, PromiseState.REJECTED, failure))
        self.settled_as = promise.state
        self.life.ending = Ending.FULFILLED

    async def _suspend(self) -> None:
        """Give the task back until a body can go on.

        Usually one promise of each body is awaited, its newest. When that one settles, the body's others have
        most likely settled too, unheard: then all are awaited at once, which makes the server tell.
        """
        sweep = False
        while self._result is None and not self._bodies.has_running():
            awaited = self._bodies.awaited(self._can_await, every=sweep)
            told = await self.life.insist(self._give_back, awaited)
            if told is None:
                told = await self._park()
            self.life.take_up()
            news = self.ledger.learn(told)
            if not news and not self._bodies.has_running():  # a server that does not tell what settled
                found = [await self.life.insist(self.held.read, id) for id in awaited]
                news = self.ledger.learn(found)
            sweep = not sweep and not set(news).isdisjoint(awaited)

    async def _give_back(self, awaited: Mapping[str, bool]) -> Sequence[Promise] | None:
        """Have the task suspended; if it is not, return what the server has told instead."""
        creates = await self._outbox.take()
        self._hearing.stop()
        self.life.give_back()
        told, created = await self.held.suspend(awaited, creates)
        self.ledger.created(creates, created)
        return told

    async def _park(self) -> Sequence[Promise]:
        self.is_parked = True
        resumed = self._resumed = trio.Event()
        self.runtime.instrument.task_suspended(self.promise.id)
        self._on_park(self)
        await resumed.wait()
        preload, self._resumption = self._resumption, ()
        self.runtime.instrument.task_resumed(self.promise.id)
        return preload

    def _can_await(self, id: str) -> bool:
        if id in self._local:
            return False
        promise = self.ledger.journal.get(id) or self._outbox.get(id)
        return promise is not None and tags.is_external(promise.tags)
