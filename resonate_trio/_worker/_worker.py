"""One worker: takes tasks of its group, and runs as many at a time as it has seats.

A server offers a task, and we acquire it; or it has acquired the task for us before it tells us, which saves the
round trip. A suspended execution leaves its seat and is parked; it gets another when its task comes back.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import final

import trio

from resonate_trio._context import root_work
from resonate_trio._errors import (
    RequestRefusedError,
    ResonateError,
    ServerError,
    ServerUnreachableError,
)
from resonate_trio._execution import Ending, Execution, HeldTask, LeaseLost, Runtime
from resonate_trio._services import open_trio_services
from resonate_trio._sources import Terms
from resonate_trio._transport import accepted
from resonate_trio.protocol import Acquired, Beaten, Execute, TaskAcquire, origin_of

from ._jobs import Jobs
from ._leases import Leases
from ._offers import Offer, moment
from ._options import WorkerOptions

logger = logging.getLogger("resonate_trio.worker")

NOT_FOR_US = frozenset({404, 409})
# How long a task that is given up may take to be released. The lease ends it anyway.
RELEASE_TIMEOUT = 2.0
# How long we keep a task that the server fails on. Released at once, it would come back at once.
FAILURE_PAUSE = 2.0
# How long what was dropped may take to unwind and to be released when the worker is closed.
CLOSING_TIMEOUT = 5.0


@final
class Worker:
    """Runs tasks. `run` must be running while anything else is called."""

    def __init__(self, runtime: Runtime, options: WorkerOptions, *, token: str | None) -> None:
        self._runtime = runtime
        self._options = options
        self._leases = Leases(runtime, options, token=token, hear=self._hear)
        self._jobs = Jobs()  # what `drain` waits for
        self._seats = trio.Semaphore(options.capacity)
        self._seated: set[Execution] = set()
        self._offers: dict[str, Offer] = {}  # the newest one of each task
        self._active: dict[str, Execution] = {}  # held, or being suspended
        self._parked: dict[str, Execution] = {}  # the one that waits longest first
        self._is_draining = False
        self._is_closing = False  # what starts now must not run
        self._has_leases = trio.Event()

    def __repr__(self) -> str:
        return f"<Worker {self._options.pid}: {len(self._active)} active, {len(self._parked)} parked>"

    @property
    def ttl_ms(self) -> int:
        """How long a lease lasts on the server."""
        return self._leases.ttl_ms

    @property
    def terms(self) -> Terms:
        """What the source of messages is to be asked for."""
        return self._leases.terms

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run tasks until cancelled."""
        async with open_trio_services() as self._jobs.tasks:
            if self._leases.can_end:
                self._jobs.tasks.start_soon(self._leases.run)
                self._jobs.tasks.start_soon(self._watch_leases)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                # Some are inside a shield, which our own cancellation does not pass.
                for execution in [*self._active.values(), *self._parked.values()]:
                    execution.drop("the worker has ended")

    def receive(self, message: Execute) -> None:
        """Take a task that the server offers, or has acquired for us, when there is a seat.

        One that it has acquired is ours from here on: it runs, or is released.
        """
        offer = Offer(message)
        if not self._is_news(message.id, offer.moment):
            return
        self._offers[message.id] = offer
        if message.acquired is not None:
            offer.held = self._leases.begin_late(message.acquired.task)
            self._keep(offer.held, is_unheard_of=True)
        active = self._active.get(message.id)
        if self._is_draining:
            self._withdraw(offer, gives_back=True)
        elif active is not None and active.is_suspending:
            offer.is_early = True
        else:
            if active is not None:  # our lease has ended, whatever our clock says
                active.drop("the lease is over", Ending.LOST)
            self._take(offer)

    def start(self, acquired: Acquired, asked_at: float) -> None:
        """Run a task that we have acquired already: at once, whatever the seats."""
        task = acquired.task
        if self._is_news(task.id, moment(task.version, is_acquired=True)):
            held = self._leases.begin(task, asked_at)
            self._keep(held)
            self._go_on(held, acquired, is_seated=False)

    def cancel(self, id: str, version: int) -> None:
        """Take the news that a task which we hold is to be cancelled."""
        execution, offer = self._active.get(id), self._offers.get(id)
        if execution is not None and execution.held.version == version:
            execution.cancel()
        elif offer is not None and offer.held is not None and offer.held.version == version:
            offer.held.is_cancelled = True

    def stop_taking(self) -> None:
        """Take nothing new from now on. What is offered is left to others, what came acquired is released."""
        self._is_draining = True
        for offer in list(self._offers.values()):
            self._withdraw(offer, gives_back=True)
        for execution in list(self._parked.values()):
            execution.drop("the worker is closing")

    async def show_life(self) -> None:
        """Tell the server what runs here, before the stream of messages is closed: it goes on until `drain`."""
        running = [execution.held for execution in self._active.values() if not execution.is_suspending]
        await self._leases.show_life(running)

    async def drain(self) -> None:
        """Take nothing new, give running functions their grace, and release what is left then."""
        self.stop_taking()
        with trio.move_on_after(self._options.grace):
            await self._jobs.until_quiet()
        self._is_closing = True
        for execution in list(self._active.values()):
            execution.drop("the worker is closing")
        # What hangs even then (a request that nobody answers) is cancelled with the worker.
        with trio.move_on_after(CLOSING_TIMEOUT):
            await self._jobs.until_quiet()

    # --- What the server says ---------------------------------------------------------------------

    def _is_news(self, id: str, at: int) -> bool:
        """Tell whether what is said of a task is newer than all we know. Then an older offer holds no longer.

        Messages may come twice, and overtake replies.
        """
        active, offer = self._active.get(id), self._offers.get(id)
        if active is not None and at <= moment(active.held.version, is_acquired=True):
            return False
        if offer is not None:
            if at <= offer.moment:
                return False
            self._withdraw(offer, gives_back=False)
        return True

    def _hear(self, tasks: Sequence[HeldTask], beaten: Beaten) -> None:
        """Take what the server says of tasks that we thought to hold."""
        cancelled = {task.id for task in beaten.cancelled}
        for held in tasks:
            execution, offer = self._active.get(held.id), self._offers.get(held.id)
            if execution is not None and execution.held is held:
                if held.id in beaten.lost:
                    execution.lose("the server has taken the task back")
                elif held.id in cancelled:
                    execution.cancel()
            elif offer is not None and offer.held is held:
                if held.id in beaten.lost:
                    self._withdraw(offer, gives_back=False)
                elif held.id in cancelled:
                    held.is_cancelled = True

    def _withdraw(self, offer: Offer, *, gives_back: bool) -> None:
        """Have an offer not taken; release the task if it was acquired for us and may still be ours."""
        del self._offers[offer.message.id]
        offer.is_withdrawn = True
        offer.waiting.cancel()
        if offer.held is not None:
            self._leases.let_go(offer.held)
            if gives_back:
                self._jobs.start(self._give_up, offer.held.release, offer.held.id)

    # --- Taking tasks -----------------------------------------------------------------------------

    def _take(self, offer: Offer) -> None:
        """Take a task when there is a seat: at once, if there is one and it was acquired for us."""
        if offer.held is None:
            self._jobs.start(self._take_offered, offer)
            return
        try:
            self._seats.acquire_nowait()
        except trio.WouldBlock:
            self._jobs.start(self._take_acquired, offer)
        else:
            self._begin(offer)

    async def _take_acquired(self, offer: Offer) -> None:
        if await self._has_seat(offer):
            self._begin(offer)

    def _begin(self, offer: Offer) -> None:
        assert offer.held is not None
        assert offer.message.acquired is not None
        self._go_on(offer.held, offer.message.acquired, is_seated=True)

    async def _take_offered(self, offer: Offer) -> None:
        if not await self._has_seat(offer):
            return
        acquired = None
        asked_at = trio.current_time()
        try:
            acquired = await self._acquire(offer.message)
        finally:
            if acquired is None or offer.is_withdrawn:
                self._seats.release()
            if acquired is None and not offer.is_withdrawn:
                del self._offers[offer.message.id]
        if acquired is None:
            return
        held = self._leases.begin(acquired.task, asked_at)
        if offer.is_withdrawn:
            await self._give_up(held.release, held.id)
            return
        self._keep(held)
        self._go_on(held, acquired, is_seated=True)

    async def _has_seat(self, offer: Offer) -> bool:
        """Wait for a seat; tell whether the offer has one, and still holds."""
        has_seat = False
        with offer.waiting:
            await self._seats.acquire()
            has_seat = True
        if has_seat and offer.is_withdrawn:
            self._seats.release()
            return False
        return has_seat

    async def _acquire(self, message: Execute) -> Acquired | None:
        """Acquire a task that the server offers. If that fails, it is offered again, to us or to others.

        Raises:
            AuthenticationError, PermissionDeniedError: without a valid token there is no work for us at all.
        """
        parked = self._parked.get(message.id)
        is_parked = parked is not None and parked.held.version == message.version
        preload = parked is None or not is_parked or parked.waits_for_many
        request = TaskAcquire(message.id, message.version, self._options.pid, self.ttl_ms, preload=preload)
        patience = self._options.lease  # later than that, the lease would be over already
        try:
            reply = await self._runtime.link.ask(request, origin=origin_of(message.id), patience=patience)
            return None if reply.status in NOT_FOR_US else accepted(reply, Acquired)
        except (ServerUnreachableError, ServerError, RequestRefusedError) as error:
            logger.warning("%r was not acquired: %s", message.id, error)
            return None

    def _keep(self, held: HeldTask, *, is_unheard_of: bool = False) -> None:
        self._leases.keep(held, is_unheard_of=is_unheard_of)
        self._has_leases.set()

    # --- Running them -----------------------------------------------------------------------------

    def _go_on(self, held: HeldTask, acquired: Acquired, *, is_seated: bool) -> None:
        """Run a task that was acquired: where it was, if it is parked here, else from its start."""
        self._offers.pop(held.id, None)
        parked = self._parked.pop(held.id, None)
        # Acquiring is the only thing that changes a version.
        is_parked_here = parked is not None and parked.held.version == held.version - 1
        if parked is not None and not is_parked_here:
            parked.drop("the task went on elsewhere")
        if acquired.partial and not is_parked_here:  # released, it is sent with everything
            self._leases.let_go(held)
            if is_seated:
                self._seats.release()
            self._jobs.start(self._give_up, held.release, held.id)
            return
        stale = self._active.get(held.id)
        if stale is not None:
            stale.drop("the lease is over", Ending.LOST)
        if parked is not None and is_parked_here:
            execution = parked
            execution.resume(held, acquired.preload)
        else:
            execution = Execution(self._runtime, held, acquired.promise, acquired.preload, on_park=self._park)
            self._jobs.start(self._execute, execution)
        self._active[held.id] = execution
        if is_seated:
            self._seated.add(execution)

    async def _execute(self, execution: Execution) -> None:
        id = execution.promise.id
        if self._is_closing:
            execution.drop("the worker is closing")
        try:
            ending = await execution.run(root_work)
            if ending is Ending.FAILED:
                logger.warning("the execution of %r failed: %s", id, execution.life.reason)
                if not self._is_draining:
                    await trio.sleep(FAILURE_PAUSE)
            if ending is Ending.HALTED:
                await self._give_up(execution.held.halt, id)
            elif ending in {Ending.DROPPED, Ending.FAILED} and not execution.is_parked:
                await self._give_up(execution.held.release, id)
        finally:
            self._forget(execution)
        if ending is Ending.FULFILLED:
            self._runtime.instrument.task_finished(id, str(execution.settled_as))
        elif execution.life.divergence is not None:
            logger.error("%s", execution.life.divergence)
            self._runtime.instrument.task_halted(id, execution.life.divergence)
        else:
            logger.info("the execution of %r ended: %s", id, execution.life.reason)
            self._runtime.instrument.task_dropped(id, execution.life.reason)

    async def _give_up(self, request: Callable[[], Awaitable[None]], id: str) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + RELEASE_TIMEOUT):
            try:
                await request()
            except (LeaseLost, ResonateError) as error:
                logger.info("%r was not released: %s", id, error)

    def _park(self, execution: Execution) -> None:
        """Keep a suspended execution, within limits. The execution calls this when it is suspended."""
        id = execution.promise.id
        self._unseat(execution)
        self._leases.let_go(execution.held)
        del self._active[id]
        self._parked[id] = execution
        self._take_early(id)
        limit = 0 if self._is_draining else self._options.max_parked
        while len(self._parked) > limit:
            oldest = next(iter(self._parked))
            self._parked.pop(oldest).drop("suspended, and dropped from memory")

    def _take_early(self, id: str) -> None:
        """Take a task that came back before we knew that it was suspended, or lost."""
        offer = self._offers.get(id)
        if offer is not None and offer.is_early:
            offer.is_early = False
            self._take(offer)

    def _forget(self, execution: Execution) -> None:
        id = execution.promise.id
        self._unseat(execution)
        self._leases.let_go(execution.held)
        for table in (self._active, self._parked):
            if table.get(id) is execution:
                del table[id]
                self._take_early(id)

    def _unseat(self, execution: Execution) -> None:
        if execution in self._seated:
            self._seated.remove(execution)
            self._seats.release()

    async def _watch_leases(self) -> None:
        """End what has a lease that is over: somebody else may run it now."""
        while True:
            while not self._active and not self._offers:
                self._has_leases = trio.Event()
                await self._has_leases.wait()
            now = trio.current_time()
            ends = [now + self._options.lease / 2]  # some may begin meanwhile
            for execution in list(self._active.values()):
                if execution.held.lease.until <= now:
                    execution.drop("the lease is over", Ending.LOST)
                else:
                    ends.append(execution.held.lease.until)
            for offer in list(self._offers.values()):
                if offer.held is not None and offer.held.lease.until <= now:
                    self._withdraw(offer, gives_back=True)
                elif offer.held is not None:
                    ends.append(offer.held.lease.until)
            await trio.sleep_until(min(ends))
