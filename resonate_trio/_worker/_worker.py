"""One worker: takes tasks of its group, and runs as many at a time as it has seats.

A suspended execution leaves its seat and is parked; it gets another when its task comes back.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

import trio

from resonate_trio._clock import FOREVER_MS
from resonate_trio._context import root_work
from resonate_trio._errors import (
    RequestRefusedError,
    ResonateError,
    ServerError,
    ServerUnreachableError,
)
from resonate_trio._execution import Ending, Execution, HeldTask, Lease, LeaseLost, Runtime
from resonate_trio._services import open_trio_services
from resonate_trio._transport import accepted
from resonate_trio.protocol import Acquired, Beaten, Execute, Task, TaskAcquire, origin_of

from ._heartbeat import Heartbeat
from ._link_heartbeat import LinkHeartbeat
from ._options import WorkerOptions

logger = logging.getLogger("resonate_trio.worker")

JOB: Final = "a job of a worker"
"""The name of all these tasks: trio would write one for each."""
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
        transport = runtime.link.transport
        # A server in this process cannot outlive us, so its leases need no end and no heartbeat.
        self._shares_fate = transport.shares_fate
        self._heartbeat: Heartbeat | LinkHeartbeat | None = None
        if transport.name.startswith("http"):
            self._heartbeat = Heartbeat(
                transport.name, token=token, pid=options.pid, lease=options.lease, hear=self._hear
            )
        elif not self._shares_fate:
            self._heartbeat = LinkHeartbeat(runtime.link, pid=options.pid, lease=options.lease, hear=self._hear)
        self._nursery: trio.Nursery | None = None
        self._seats = trio.Semaphore(options.capacity)
        self._seated: set[Execution] = set()
        self._active: dict[str, Execution] = {}  # held, or being suspended
        self._parked: dict[str, Execution] = {}  # the one that waits longest first
        self._early: dict[str, Execute] = {}  # messages that overtook the reply to a suspension
        self._taking: set[tuple[str, int]] = set()
        self._is_draining = False
        self._is_closing = False  # what starts now must not run
        self._jobs = 0
        self._quiet = trio.Event()
        self._has_active = trio.Event()

    def __repr__(self) -> str:
        return f"<Worker {self._options.pid}: {len(self._active)} active, {len(self._parked)} parked>"

    @property
    def ttl_ms(self) -> int:
        """How long a lease lasts on the server."""
        return FOREVER_MS if self._shares_fate else round(self._options.lease * 1000)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run tasks until cancelled."""
        async with open_trio_services() as self._nursery:
            if self._heartbeat is not None:
                self._nursery.start_soon(self._heartbeat.run)
                self._nursery.start_soon(self._watch_leases)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                # Some are inside a shield, which our own cancellation does not pass.
                for execution in [*self._active.values(), *self._parked.values()]:
                    execution.drop("the worker has ended")

    def receive(self, message: Execute) -> None:
        """Take a task that the server offers, when there is a seat."""
        key = (message.id, message.version)
        if self._is_draining or key in self._taking or self._is_old(message):
            return
        self._taking.add(key)
        self._start(self._take, message)

    def cancel(self, id: str, version: int) -> None:
        """Take the news that a task which we hold is to be cancelled."""
        execution = self._active.get(id)
        if execution is not None and execution.held.version == version:
            execution.cancel()

    def _hear(self, tasks: Sequence[HeldTask], beaten: Beaten) -> None:
        """Take what the server says of tasks that we thought to hold."""
        cancelled = {task.id for task in beaten.cancelled}
        for held in tasks:
            execution = self._active.get(held.id)
            if execution is None or execution.held is not held:
                continue
            if held.id in beaten.lost:
                execution.lose("the server has taken the task back")
            elif held.id in cancelled:
                execution.cancel()

    def start(self, acquired: Acquired, asked_at: float) -> None:
        """Run a task that was acquired already: at once, whatever the seats."""
        self._start(self._go_on, self._hold(acquired.task, asked_at), acquired, False)

    async def drain(self) -> None:
        """Take nothing new, give running functions their grace, and release what is left then."""
        self._is_draining = True
        for execution in list(self._parked.values()):
            execution.drop("the worker is closing")
        with trio.move_on_after(self._options.grace):
            await self._until_quiet()
        self._is_closing = True
        for execution in list(self._active.values()):
            execution.drop("the worker is closing")
        # What hangs even then (a request that nobody answers) is cancelled with the worker.
        with trio.move_on_after(CLOSING_TIMEOUT):
            await self._until_quiet()

    # --- Taking tasks -----------------------------------------------------------------------------

    def _is_old(self, message: Execute) -> bool:
        active = self._active.get(message.id)
        if active is None:
            return False
        if message.version < active.held.version:
            return True  # offered again before our acquisition was known
        if active.is_suspending:
            self._early[message.id] = message
            return True
        # Offered at the version that we hold: our lease has ended, whatever our clock says.
        active.drop("the lease is over", Ending.LOST)
        return False

    async def _take(self, message: Execute) -> None:
        await self._seats.acquire()
        acquired = None
        try:
            asked_at = trio.current_time()
            if not self._is_draining:
                acquired = await self._acquire(message)
        finally:
            self._taking.discard((message.id, message.version))
            if acquired is None:
                self._seats.release()
        if acquired is not None:
            await self._go_on(self._hold(acquired.task, asked_at), acquired, True)

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

    def _hold(self, task: Task, asked_at: float) -> HeldTask:
        lease = Lease(math.inf if self._shares_fate else asked_at + self._options.lease)
        held = HeldTask(self._runtime.link, task, lease)
        if self._heartbeat is not None:
            self._heartbeat.add(held)
        return held

    def _let_go(self, held: HeldTask) -> None:
        if self._heartbeat is not None:
            self._heartbeat.remove(held)

    # --- Running them -----------------------------------------------------------------------------

    async def _go_on(self, held: HeldTask, acquired: Acquired, seated: bool) -> None:
        """Run a task that was acquired: where it was, if it is parked here, else from its start."""
        execution = self._parked.pop(held.id, None)
        # Acquiring is the only thing that changes a version.
        is_parked_here = execution is not None and execution.held.version == held.version - 1
        if execution is None or not is_parked_here:
            if execution is not None:
                execution.drop("the task went on elsewhere")
            execution = Execution(self._runtime, held, acquired.promise, acquired.preload, on_park=self._park)
        stale = self._active.get(held.id)
        if stale is not None:
            stale.drop("the lease is over", Ending.LOST)
        self._active[held.id] = execution
        self._has_active.set()
        if seated:
            self._seated.add(execution)
        if is_parked_here:
            execution.resume(held, acquired.preload)
        else:
            await self._execute(execution)

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
        self._let_go(execution.held)
        del self._active[id]
        self._parked[id] = execution
        limit = 0 if self._is_draining else self._options.max_parked
        while len(self._parked) > limit:
            oldest = next(iter(self._parked))
            self._parked.pop(oldest).drop("suspended, and dropped from memory")
        self._receive_early(id)

    def _receive_early(self, id: str) -> None:
        early = self._early.pop(id, None)
        if early is not None:
            self.receive(early)

    def _forget(self, execution: Execution) -> None:
        id = execution.promise.id
        self._unseat(execution)
        self._let_go(execution.held)
        for table in (self._active, self._parked):
            if table.get(id) is execution:
                del table[id]
                self._receive_early(id)

    def _unseat(self, execution: Execution) -> None:
        if execution in self._seated:
            self._seated.remove(execution)
            self._seats.release()

    async def _watch_leases(self) -> None:
        """Drop executions whose lease has ended: somebody else may run them now."""
        while True:
            while not self._active:
                self._has_active = trio.Event()
                await self._has_active.wait()
            ends = [trio.current_time() + self._options.lease]
            for execution in list(self._active.values()):
                lease = execution.held.lease
                if lease.remaining():
                    ends.append(lease.until)
                else:
                    execution.drop("the lease is over", Ending.LOST)
            await trio.sleep_until(min(ends))

    # --- Jobs: what `drain` waits for -------------------------------------------------------------

    def _start(self, job: Callable[..., Awaitable[None]], *args: object) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(self._run_job, job, args, name=JOB)
        self._jobs += 1

    async def _run_job(self, job: Callable[..., Awaitable[None]], args: Sequence[object]) -> None:
        try:
            await job(*args)
        finally:
            self._jobs -= 1
            if not self._jobs:
                self._quiet.set()

    async def _until_quiet(self) -> None:
        while self._jobs:
            self._quiet = trio.Event()
            await self._quiet.wait()
