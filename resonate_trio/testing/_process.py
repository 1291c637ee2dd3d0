"""Processes of a world: each runs a worker, and can crash."""

from typing import final

import attrs
import trio
from attrs import frozen

from resonate_trio import Registry, Resonate, UsageError, WorkerOptions
from resonate_trio._sources import Killed

from ._client import WorldClient
from ._effects import hosted
from ._network import Line, Network


@final
@frozen
class _Life:
    """A process from a start to its end."""

    app: Resonate
    line: Line
    scope: trio.CancelScope
    is_over: trio.Event


@final
class Process:
    """A simulated process that runs a worker. `World.start_worker` starts one.

    A crash is like one of a real process: from that instant on nothing that it does reaches anybody. Its
    executions unwind without writing anything, nothing is released, and its leases end when their time is over.

    Attributes:
        name: what it is called in traces: its group and a number.
        group: the group that it works for.
        client: calls from outside, which do not go down with the process.
    """

    def __init__(
        self,
        network: Network,
        client: WorldClient,
        name: str,
        group: str,
        registry: Registry,
        options: WorkerOptions,
    ) -> None:
        self.name = name
        self.group = group
        self.client = client
        self._network = network
        self._registry = registry
        self._options = options
        self._starts = 0
        self._life: _Life | None = None

    def __repr__(self) -> str:
        return f"<Process {self.name!r}, {'running' if self.is_running else 'not running'}>"

    @property
    def is_running(self) -> bool:
        """Whether it was started, and has neither crashed nor been stopped."""
        return self._life is not None and not self._life.line.is_dead

    @property
    def app(self) -> Resonate:
        """The application that runs here; another one after each start. Raises UsageError if it does not run."""
        if self._life is None:
            raise UsageError(f"the process {self.name!r} does not run: await process.start()")
        return self._life.app

    async def start(self) -> None:
        """Start it, for the first time or again, with nothing in its memory.

        Raises:
            UsageError: it runs already.
        """
        if self.is_running:
            raise UsageError(
                f"the process {self.name!r} runs already: process.crash() or await process.stop() first"
            )
        self._starts += 1
        pid = self.name if self._starts == 1 else f"{self.name}.{self._starts}"
        line = self._network.worker_line(pid, self._crash_and_restart)
        options = attrs.evolve(self._options, pid=pid)
        app = Resonate(engine=line, registry=self._registry, group=self.group, worker=options)
        self._life = life = _Life(app, line, trio.CancelScope(), trio.Event())
        await self._network.nursery.start(_live, life)
        self._network.trace.add(pid, "is started")

    def crash(self) -> None:
        """Have it be gone, at once. `start` starts it again."""
        if self._life is not None:
            self._network.trace.add(self._life.line.name, "crashes")
        self._kill()

    async def stop(self) -> None:
        """Stop it as SIGTERM would: it drains, and releases what is left then."""
        life = self._life
        if life is not None:
            life.scope.cancel()
            await life.is_over.wait()
            self._network.trace.add(life.line.name, "is stopped")
            self._life = None

    def cut(self) -> None:
        """Cut its connection to the server, until `mend`. Raises UsageError if it does not run."""
        self._line().cut()

    def mend(self) -> None:
        """Let its connection come back. Raises UsageError if it does not run."""
        self._line().mend()

    def _line(self) -> Line:
        if self._life is None:
            raise UsageError(f"the process {self.name!r} does not run: await process.start()")
        return self._life.line

    def _kill(self) -> None:
        life, self._life = self._life, None
        if life is not None:
            life.line.die()

    def _crash_and_restart(self) -> None:
        """Crash by a fault; come back after a while."""
        self._kill()
        self._network.nursery.start_soon(self._restart_after, self._network.chaos.outage())

    async def _restart_after(self, seconds: float) -> None:
        await trio.sleep(seconds)
        if not self.is_running:
            await self.start()


async def _live(life: _Life, *, task_status: trio.TaskStatus[None]) -> None:
    try:
        with hosted(life.line), life.scope:
            async with life.app:
                task_status.started()
                await trio.sleep_forever()
    except* Killed:
        pass
    finally:
        life.is_over.set()
