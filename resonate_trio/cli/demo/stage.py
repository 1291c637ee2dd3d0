"""Where the flows are played: a server, services, a client, and the graph of what they tell."""

import re
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, final

import trio

from resonate_trio import Client, RootHandle

from .graph import Invocation, State
from .processes import run_child
from .screen import Screen
from .wire import perform

if TYPE_CHECKING:
    from .graph import CallGraph
    from .processes import Child

T = TypeVar("T")

SERVER: Final = "server"
CAST: Final = ("foo", "bar", "baz", "foo")
"""The services that are started at first. Of foo there are two, so that a flow can move from one to the other."""
START_LIMIT: Final = 20.0
"""Seconds that a process may take to start, on a machine that has much else to do."""

_LISTENING: Final = re.compile(r"listening on (http://\S+:(\d+))\b")


@final
class Stage:
    """The running processes, by name: `server`, and `foo/1`, `foo/2` … for those of the service foo."""

    def __init__(self, nursery: trio.Nursery, database: Path, screen: Screen) -> None:
        self.graph: CallGraph = screen.graph
        self._nursery = nursery
        self._database = database
        self._screen = screen
        self._children: dict[str, Child] = {}
        self._ready: set[str] = set()
        self._started = dict.fromkeys(CAST, 0)
        self._port = 0  # the first server takes any, those after it take the same
        self._url = ""
        self._client: Client | None = None
        self._changed = trio.Event()

    def __repr__(self) -> str:
        return f"<Stage of {', '.join(self._children)}>"

    # --- Processes --------------------------------------------------------------------------------

    async def start_server(self) -> None:
        """Start the server, on the same file and port each time; return when it takes requests."""
        command = [sys.executable, "-m", "resonate_trio", "serve"]
        command += ["--db", str(self._database), "--host", "127.0.0.1", "--port", str(self._port)]
        await self._start(SERVER, command, lambda _: None, self._hear_server)

    async def start_service(self, service: str) -> str:
        """Start one more process of a service; return its name when it takes tasks."""
        self._started[service] += 1
        name = f"{service}/{self._started[service]}"
        command = [sys.executable, "-m", f"resonate_trio.cli.demo.services.{service}"]
        await self._start(name, command, partial(self._hear_service, name), lambda _: None)
        return name

    async def kill(self, name: str) -> None:
        """End a process by SIGKILL; return when it is gone, and all that it told is in the graph."""
        await self._children.pop(name).kill()
        self._ready.discard(name)
        self.graph.killed(name)
        self._screen.process_killed(name)
        self._note_change()

    async def _start(
        self, name: str, command: list[str], on_line: Callable[[str], None], on_error_line: Callable[[str], None]
    ) -> None:
        self._screen.process_starting(name)
        environment = {"RESONATE_URL": self._url}
        run = partial(run_child, name, command, on_line, on_error_line, environment=environment)
        child: Child = await self._nursery.start(run)
        self._children[name] = child
        with trio.move_on_after(START_LIMIT):
            await self.until(lambda: name in self._ready)
        if name not in self._ready:
            raise TimeoutError(f"the process {name} did not start in {START_LIMIT:.0f} s")
        self._screen.process_started(name, child.pid)

    def _hear_server(self, line: str) -> None:
        heard = _LISTENING.search(line)
        if heard:
            self._url, self._port = heard[1], int(heard[2])
            self._is_ready(SERVER)

    def _hear_service(self, name: str, line: str) -> None:
        if perform(line, self.graph.observer(name)):
            perform(line, self._screen.observer(name))
            self._note_change()
        else:
            self._is_ready(name)

    def _is_ready(self, name: str) -> None:
        self._ready.add(name)
        self._note_change()

    # --- Flows ------------------------------------------------------------------------------------

    @asynccontextmanager
    async def open_client(self) -> AsyncGenerator[None]:
        """Connect to the server, for the block."""
        async with Client(self._url) as self._client:
            yield

    @property
    def client(self) -> Client:
        """What the flows are started with."""
        assert self._client is not None
        return self._client

    async def invoke(self, id: str, function: str, *args: object) -> RootHandle[object]:
        """Begin a flow in the service foo."""
        self.graph.invocation(id).name = function
        return await self.client.options(group="foo").rfi(id, function, *args)

    async def until(self, find: Callable[[], T | None]) -> T:
        """Wait until `find` finds something, asking again after each event; return that."""
        while not (found := find()):
            await self._changed.wait()
        return found

    async def seen(self, id: str, function: str, state: State) -> Invocation:
        """Wait until an invocation of a function is in a state, in the flow `id`; return it."""
        return await self.until(lambda: next(self.graph.find(id, function, state), None))

    async def settle_open(self, id: str, value: object) -> None:
        """Resolve the promise that the flow `id` has left open for someone outside."""
        promise = await self.seen(id, "promise", State.OPEN)
        await self.client.promises.resolve(promise.id, value)
        self.graph.settled(promise.id)
        self._note_change()

    def say(self, text: str) -> None:
        """Tell the audience what happens."""
        self._screen.said(text)
        self._note_change()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_stage(folder: Path, screen: Screen) -> AsyncGenerator[Stage]:
    """Start server and services on a database in `folder`. At the end of the block all processes are gone.

    Raises:
        ExceptionGroup: of ProcessFailedError, when one of them ended unasked, at any time; of TimeoutError, when
            one did not start in time.
    """
    async with trio.open_nursery() as nursery:
        stage = Stage(nursery, folder / "demo.db", screen)
        await stage.start_server()
        async with stage.open_client():
            async with trio.open_nursery() as starting:
                for service in CAST:
                    starting.start_soon(stage.start_service, service)
            yield stage
        nursery.cancel_scope.cancel()
