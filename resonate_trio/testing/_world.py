"""A world for tests: a server, processes and a client in one trio run, with faults from a seed."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from os import PathLike
from random import Random
from typing import Final, final

import trio
from attrs import define, field

from resonate_trio import Registry, Resonate, ResonateError, UsageError, WorkerOptions
from resonate_trio._services import open_services
from resonate_trio.protocol import (
    Promise,
    PromisePage,
    PromiseSearch,
    Request,
    Task,
    TaskPage,
    TaskSearch,
    TaskState,
)
from server_ref.clock import LoopClock
from server_ref.machine import OFFERED
from server_ref.store import MemoryStore, SqliteStore, Store

from ._client import WorldClient, open_client
from ._effects import Effects
from ._faults import Chaos, Fault, Faults
from ._history import History, history_of
from ._network import Line, Network, Side
from ._process import Process
from ._server import Server
from ._trace import Trace

START: Final = datetime(2025, 1, 1, tzinfo=UTC)
PATIENCE_S: Final = 1000 * 365 * 24 * 3600.0
MOST_JUMPS: Final = 10_000
"""How often the clock may jump with nothing to be seen. A server offers a task that nobody takes for ever."""
PAGE: Final = 1000


@final
class Stuck(ResonateError):
    """Nothing is left that could happen, and the test still waits."""


@final
class World:
    """A server, processes that run workers, and a client, in one trio run. `open_world` opens one.

    Attributes:
        client: calls from outside. Functions run in the group of the worker that was started first.
        effects: for fakes to note what they were asked to do.
        trace: what happened so far. The same seed gives the same trace.
    """

    def __init__(self, network: Network, client: WorldClient) -> None:
        self.client = client
        self.effects = Effects()
        self.trace = network.trace
        self._network = network
        self._outsider = client
        self._processes: list[Process] = []

    def __repr__(self) -> str:
        return f"<World of {self._processes!r}, {self._network.server!r}>"

    @property
    def processes(self) -> tuple[Process, ...]:
        """The processes that were started, in order."""
        return tuple(self._processes)

    async def start_worker(
        self,
        *functions: Resonate | Registry | Callable[..., object],
        group: str = "default",
        options: WorkerOptions | None = None,
    ) -> Process:
        """Start a process that runs a worker, and return it.

        Args:
            *functions: what it can execute: an application or a registry of yours, as it is, or functions.
            group: the group that it works for.
            options: how it works; the pid is chosen by the world.

        Raises:
            UsageError: there is nothing to execute, or an application among several things.
        """
        registry = as_registry(functions)
        number = 1 + sum(process.group == group for process in self._processes)
        client = self._outsider.for_group(registry, group)
        if not self._processes:
            self.client = client
        name = f"{group}-{number}"
        process = Process(self._network, client, name, group, registry, options or WorkerOptions())
        self._processes.append(process)
        await process.start()
        return process

    # --- Faults -----------------------------------------------------------------------------------

    @property
    def faults(self) -> Faults:
        """How likely faults are from now on. It is there to be set, as in `world.faults = Faults(cut=0.1)`."""
        return self._network.chaos.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._network.chaos.faults = faults

    def plan(
        self,
        fault: Fault,
        *,
        kind: str | None = None,
        id: str | None = None,
        process: Process | None = None,
        after: int = 0,
        times: int = 1,
    ) -> None:
        """Have a fault happen to certain requests or messages to come.

        ```python
        world.plan("crash_after", kind="promise.settle", id="order-1:2")  # when its second step was stored
        ```

        Args:
            fault: its name, a field of `Faults`.
            kind: those of this kind, as traces show them; what a `task.fence` carries is meant, too.
            id: those about this promise or task.
            process: those of this process.
            after: how many of them pass before the first one that is hit.
            times: how many are hit.

        Raises:
            UsageError: there is no such fault.
        """
        name = None if process is None else process.name
        self._network.chaos.plan(fault, kind=kind, id=id, process=name, after=after, times=times)

    async def restart_server(self, *, down_for: float = 0.0) -> None:
        """Kill the server and start it again on its store, after `down_for` seconds; return when it is up.

        What was not committed is gone; nobody hears of what was.
        """
        self.trace.add("server", "goes down")
        self._network.server.go_down(down_for)
        await self._network.server.wait_up()
        self.trace.add("server", "is up")

    async def expire_lease(self, id: str) -> bool:
        """End the lease of a task on the server, whoever holds it. Tell whether anybody did."""
        return await self._network.expire_lease(id)

    def crash_where(self, crashes_at: Callable[[str, Request, Side], bool]) -> None:
        """Ask a function at each boundary of a worker whether it crashes there.

        Args:
            crashes_at: called with the name of the process, the request, and "before" (it is sent) or "after" (it
                took effect, and its reply was not heard of yet). It comes back within `faults.max_outage` seconds.
        """
        self._network.crashes_at = crashes_at

    # --- What is there ----------------------------------------------------------------------------

    async def promises(self) -> list[Promise]:
        """Return all promises of the server, by id."""
        found: list[Promise] = []
        cursor = None
        while True:
            reply = await self._network.server.ask(PromiseSearch(limit=PAGE, cursor=cursor))
            assert isinstance(reply.data, PromisePage), reply
            found += reply.data.promises
            cursor = reply.data.cursor
            if cursor is None:
                return found

    async def tasks(self) -> list[Task]:
        """Return all tasks of the server, by id."""
        found: list[Task] = []
        cursor = None
        while True:
            reply = await self._network.server.ask(TaskSearch(limit=PAGE, cursor=cursor))
            assert isinstance(reply.data, TaskPage), reply
            found += reply.data.tasks
            cursor = reply.data.cursor
            if cursor is None:
                return found

    async def settle(self) -> None:
        """Wait until every invocation has ended, detached ones too. Those that are halted do not count.

        What waits for someone outside, or for a worker that does not come, is waited for.
        """
        over = {TaskState.FULFILLED, TaskState.HALTED}
        while open_tasks := [task for task in await self.tasks() if task.state not in over]:
            handle = await self._outsider.get(open_tasks[0].id)
            try:
                await handle
            except Exception:
                continue

    async def history(self, id: str) -> History:
        """Return what is stored of the execution of the root invocation `id`. See `replay`."""
        return history_of(id, await self.promises())


@asynccontextmanager
async def open_world(
    *,
    seed: int = 0,
    path: str | PathLike[str] | None = None,
    start: datetime = START,
    extensions: frozenset[str] = OFFERED,
) -> AsyncGenerator[World]:
    """Open a world, for the length of the block. Run it by `run`, or by a test with the fixture `resonate_world`.

    At the end all processes are gone, as if they had crashed.

    Args:
        seed: decides which faults happen, of those that are made likely, and when.
        path: a SQLite file for the server, opened anew at each restart. Without it the store is in memory.
        start: the time at the beginning.
        extensions: those of the protocol that the server offers; without an argument, all.

    Raises:
        Stuck: nothing is left that could happen, and the block still waits.
    """
    began = trio.current_time()
    store = MemoryStore()
    clock = LoopClock(round(start.timestamp() * 1000))
    server = Server(lambda: store if path is None else _unblocked(path), clock, extensions)
    trace = Trace(lambda: trio.current_time() - began)
    async with open_services() as services:
        await services.start(server.run)
        async with open_services() as nursery:
            network = Network(server, trace, Chaos(Random(seed)), nursery)
            nursery.start_soon(_give_up, trace)
            async with open_client(Line(network, "client")) as client:
                world = World(network, client)
                try:
                    yield world
                finally:
                    network.kill_all()


@final
@define(eq=False)
class _Jumps(trio.abc.Instrument):
    """Notices when the clock jumps on and on, and nothing comes of it."""

    trace: Trace
    are_in_vain: trio.Event = field(factory=trio.Event)
    _count: int = 0
    _now: float = 0.0
    _length: int = 0

    def after_io_wait(self, timeout: float) -> None:
        """Look whether time has passed, and anything has happened."""
        now, length = trio.current_time(), len(self.trace.lines)
        if length != self._length:
            self._count = 0
        elif now != self._now:
            self._count += 1
        self._now, self._length = now, length
        if self._count > MOST_JUMPS:
            self.are_in_vain.set()


async def _give_up(trace: Trace) -> None:
    jumps = _Jumps(trace)
    trio.lowlevel.add_instrument(jumps)
    try:
        with trio.move_on_after(PATIENCE_S):
            await jumps.are_in_vain.wait()
    finally:
        trio.lowlevel.remove_instrument(jumps)
    last = "\n".join(trace.lines[-20:])
    raise Stuck(f"nothing is left that could happen, and the test still waits. What happened last:\n{last}")


def _unblocked(path: str | PathLike[str]) -> Store:
    store = SqliteStore(path)
    store.blocking = False  # what a thread does takes no virtual time, but an unknown order
    return store


def as_registry(functions: tuple[Resonate | Registry | Callable[..., object], ...]) -> Registry:
    """Return the registry of an application, a registry as it is, or one of functions. Raises UsageError."""
    first = functions[0] if functions else None
    if isinstance(first, Resonate | Registry) and len(functions) == 1:
        return first.registry if isinstance(first, Resonate) else first
    registry = Registry()
    for fn in functions:
        if isinstance(fn, Resonate | Registry):
            raise UsageError("an application or a registry stands alone: start_worker(app), or start_worker(f, g)")
        registry.register(fn)
    if not functions:
        raise UsageError("a worker needs something to execute: start_worker(app), or start_worker(function)")
    return registry
