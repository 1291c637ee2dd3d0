"""One run of a program in a world, with everything that is checked of it."""

import logging
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Final, cast, final

import trio
from attrs import define, field, frozen

from resonate_trio import PromiseNotFoundError, ServerUnreachableError, WorkerOptions
from resonate_trio.protocol import Message, Promise, Request, tags
from resonate_trio.testing import Effects, Faults, History, World, open_world, run
from resonate_trio.testing._faults import Chaos
from server_ref.machine import TaskRecord
from server_ref.store import MemoryStore

from .flow import Notes, make_registry
from .invariants import Watch
from .plans import Plan
from .programs import Program
from .verdict import judge, judge_replays, outcome_text

WORKERS: Final = 3
LEASE_S: Final = 3.0
STORM_S: Final = 60.0
"""For how long there are faults. Then everything must come to its end."""
PATIENCE_S: Final = 900.0
"""How long that may take. A lost message is sent again after a minute."""
GRACE_S: Final = 2.0
END_S: Final = 100_000.0
"""When a run is long over, unless something in it hangs, shielded from cancellation."""


@final
@frozen
class Run:
    """A run.

    Attributes:
        troubles: what is wrong, in sentences.
        trace: what happened.
        outcomes: of all invocations, by id.
        digest: of all that happened and of all that is stored.
        steps: how often the records were looked at.
        promises: how many are stored.
        faults: how many of each kind happened.
    """

    troubles: Sequence[str]
    trace: str
    outcomes: Mapping[str, str]
    digest: str
    steps: int
    promises: int
    faults: Mapping[str, int]


def run_program(program: Program, plan: Plan, seed: int, *, replays: bool = True) -> Run:
    """Run a program as planned, and judge what came of it.

    Args:
        program: what the functions do.
        plan: what happens to them.
        seed: of all else that is random.
        replays: whether what is stored is replayed, too.
    """
    stage = _Stage(program, plan)
    with _logged(stage.troubles):
        try:
            run(stage.play, seed, seed=seed)
        except Exception as error:  # what hangs, or ends a worker
            stage.troubles.append(f"the world ended: {_text(error)}")
        else:
            stage.troubles += judge(program, plan, stage.promises, stage.tasks, stage.cancelled_at, stage.notes)
            if replays:
                stage.troubles += judge_replays(program, stage.promises, stage.histories)
    outcomes = {id: outcome_text(promise) for id, promise in stage.promises.items()}
    # Not the payloads: tracebacks have addresses of objects in them.
    records = [(id, p.created_at, p.settled_at, p.timeout_at) for id, p in sorted(stage.promises.items())]
    paths = sorted(stage.notes.paths.items())
    told = f"{stage.trace}\n{sorted(outcomes.items())}\n{records}\n{paths}"
    sha = sha256(told.encode()).hexdigest()
    return Run(stage.troubles, stage.trace, outcomes, sha, stage.steps, len(stage.promises), stage.faults)


@final
@define(eq=False)
class _Stage:
    program: Program
    plan: Plan
    troubles: list[str] = field(factory=list)
    trace: str = ""
    steps: int = 0
    promises: dict[str, Promise] = field(factory=dict)
    tasks: dict[str, TaskRecord] = field(factory=dict)
    cancelled_at: dict[str, int] = field(factory=dict)
    histories: list[History] = field(factory=list)
    faults: Counter[str] = field(factory=Counter)
    notes: Notes = field(factory=lambda: Notes(Effects()))

    async def play(self, seed: int) -> None:
        """Run everything, in a world."""
        trio.lowlevel.spawn_system_task(
            self._end_what_hangs
        )  # such a task outlives the cancellation of all others
        async with open_world(seed=seed) as world:
            send, wakes = trio.open_memory_channel[tuple[str, float]](1000)
            store = world._network.server._open_store()
            assert isinstance(store, MemoryStore)
            clock = world._network.server.clock

            def is_late(id: str) -> bool:
                return store._records.promises[id].timeout_at <= clock.now_ms()

            self.notes = Notes(world.effects, send, may_fork=self.plan.may_fork, is_late=is_late)
            watch = Watch(lambda: store._records.promises, lambda: store._records.tasks, clock.now_ms)
            world.crash_where(watch.passes)
            try:
                await self._play(world, wakes)
            finally:
                watch.look()
                self.trace, self.steps = str(world.trace), watch.steps
                self.troubles += watch.troubles
                self.cancelled_at |= watch.cancelled_at
                self.promises, self.tasks = dict(store._records.promises), dict(store._records.tasks)

    async def _play(self, world: World, wakes: trio.MemoryReceiveChannel[tuple[str, float]]) -> None:
        registry = make_registry(self.program, self.notes)
        options = WorkerOptions(
            lease=LEASE_S, grace=GRACE_S, max_parked=self.plan.max_parked, capacity=self.plan.capacity
        )
        for _ in range(WORKERS):
            await world.start_worker(registry, options=options)
        network = world._network
        network.chaos = cast("Chaos", _Counting(network.chaos, self.faults))
        world.faults = self.plan.faults
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._settle_promises, world, wakes, nursery)
            for cancel in self.plan.cancels:
                nursery.start_soon(self._cancel, world, *cancel)
            for stop in self.plan.stops:
                nursery.start_soon(self._stop, world, *stop)
            with trio.move_on_after(STORM_S):
                await self._roots(world)
                await world.settle()
            world.faults = Faults()
            with trio.move_on_after(PATIENCE_S) as patience:
                await self._roots(world)
                await world.settle()
            if patience.cancelled_caught:
                self.troubles.append("it does not come to its end")
            nursery.cancel_scope.cancel()
        self.histories = [await world.history(f"r{number}") for number in range(self.plan.roots)]

    async def _end_what_hangs(self) -> None:
        await trio.sleep(END_S)
        self.troubles.append("the world does not end: something is shielded, and waits")
        waiting = [trio.lowlevel.current_root_task()]
        while waiting:
            task = waiting.pop()
            if task is None:
                continue
            waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
            status: Any = task._cancel_status
            while status is not None:
                status._scope.shield = False
                status = status._parent

    async def _roots(self, world: World) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(self.plan.roots):
                nursery.start_soon(self._root, world, f"r{number}")

    async def _root(self, world: World, id: str) -> None:
        while True:
            try:
                await world.client.rfc(id, "flow", 0)
            except ServerUnreachableError:
                continue
            except Exception:
                return
            return

    # --- From outside -----------------------------------------------------------------------------

    async def _cancel(self, world: World, at: float, id: str, budget: float) -> None:
        await trio.sleep(at)
        while True:
            try:
                promise = await world.client.promises.get(id)
                if not tags.has_task(promise.tags):
                    return  # what runs within a task of another invocation is that one's to cancel
                # It may have taken effect, and be swept, before any worker asks for anything.
                self.cancelled_at.setdefault(id, world._network.server.clock.now_ms())
                await world.client.cancel(id, budget=budget)
            except ServerUnreachableError:
                continue
            except PromiseNotFoundError:
                return
            return

    async def _stop(self, world: World, at: float, number: int, pause: float) -> None:
        await trio.sleep(at)
        process = world.processes[number]
        if process.is_running:
            await process.stop()
            await trio.sleep(pause)
            if not world.processes[number].is_running:  # a fault may have started it
                await process.start()

    async def _settle_promises(
        self, world: World, wakes: trio.MemoryReceiveChannel[tuple[str, float]], nursery: trio.Nursery
    ) -> None:
        known = set()
        async for id, delay in wakes:
            if id not in known:
                known.add(id)
                nursery.start_soon(self._settle_promise, world, id, delay)

    async def _settle_promise(self, world: World, id: str, delay: float) -> None:
        await trio.sleep(delay)
        while True:
            try:
                await world.client.promises.resolve(id, f"told {id}")
            except ServerUnreachableError:
                continue
            return


@final
class _Counting:
    """Decides as `Chaos` does, and counts what it has decided."""

    def __init__(self, chaos: Chaos, counts: Counter[str]) -> None:
        self._chaos = chaos
        self._counts = counts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chaos, name)

    @property
    def faults(self) -> Faults:
        """How likely faults are."""
        return self._chaos.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._chaos.faults = faults

    def about_request(self, process: str, request: Request, *, is_worker: bool) -> set[str]:
        """Decide about a request."""
        return self._counted(self._chaos.about_request(process, request, is_worker=is_worker))

    def about_message(self, process: str, message: Message) -> set[str]:
        """Decide about a message."""
        return self._counted(self._chaos.about_message(process, message))

    def _counted(self, happens: set[str]) -> set[str]:
        self._counts.update(sorted(happens))
        return happens


@final
class _Ears(logging.Handler):
    def __init__(self, troubles: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._troubles = troubles

    def emit(self, record: logging.LogRecord) -> None:
        """Take what is logged as an error for a trouble."""
        self._troubles.append(f"logged: {record.getMessage()}")


@contextmanager
def _logged(troubles: list[str]) -> Generator[None]:
    ears = _Ears(troubles)
    loggers = [logging.getLogger(name) for name in ("resonate_trio", "server_ref")]
    for logger in loggers:
        logger.addHandler(ears)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(ears)


def _text(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_text(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"
