"""What the tests with real processes share: starting programs, reading what they say, killing them."""

import json
import re
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import final

import trio
from anyio.abc import TaskGroup

from resonate_trio import Client
from resonate_trio._services import open_services
from resonate_trio.cli.demo.processes import Child, run_child

LIMIT = 50.0
PROGRAMS = Path(__file__).parent / "programs"
_LISTENING = re.compile(r"listening on (http://\S+:(\d+))\b")


@final
class Program:
    """A process of the test, and what it has said so far.

    Attributes:
        said: the lines on its stdout.
        complained: the lines on its stderr.
        child: the process.
    """

    child: Child

    def __init__(self) -> None:
        self.said: list[str] = []
        self.complained: list[str] = []
        self._news = trio.Event()

    def __repr__(self) -> str:
        return f"<Program {self.child!r}: {len(self.said)} lines>"

    async def says(self, line: str) -> None:
        """Wait until it has said a line."""
        await self.until(lambda: line in self.said)

    async def complains(self, what: str) -> None:
        """Wait until a line on its stderr has held something."""
        await self.until(lambda: any(what in line for line in self.complained))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds of what it has said."""
        while not condition():
            await self._news.wait()

    def hear(self, lines: list[str], line: str) -> None:
        """Take a line."""
        lines.append(line)
        self._news.set()
        self._news = trio.Event()


@final
class Server:
    """A server by `resonate-trio serve`, on one file and one port for all its lives."""

    def __init__(self, kit: "Kit", database: Path) -> None:
        self._kit = kit
        self._database = database
        self._port = 0
        self.url = ""
        self.program = Program()

    def __repr__(self) -> str:
        return f"<Server at {self.url}>"

    async def start(self) -> None:
        """Start it, for the first time or again; return when it takes requests."""
        command = [sys.executable, "-m", "resonate_trio", "serve"]
        command += ["--db", str(self._database), "--port", str(self._port)]
        self.program = await self._kit.run("server", *command)
        await self.program.until(lambda: self._listening() is not None)
        heard = self._listening()
        assert heard is not None
        self.url, self._port = heard[1], int(heard[2])

    async def restart(self) -> None:
        """Kill it, and start it again."""
        await self.program.child.kill()
        await self.start()

    def _listening(self) -> re.Match[str] | None:
        return next(filter(None, map(_LISTENING.search, self.program.complained)), None)


@final
class Kit:
    """The processes of one test."""

    def __init__(self, services: TaskGroup, folder: Path) -> None:
        self.folder = folder
        self._services = services

    def __repr__(self) -> str:
        return f"<Kit in {self.folder}>"

    async def run(self, name: str, *command: str, **environment: str) -> Program:
        """Start a program, with some variables set."""
        program = Program()
        on_stdout = partial(program.hear, program.said)
        on_stderr = partial(program.hear, program.complained)
        run = partial(run_child, name, command, on_stdout, on_stderr, environment=environment)
        program.child = await self._services.start(run)
        return program

    async def script(self, name: str, *arguments: str) -> Program:
        """Start one of our programs by its name."""
        return await self.run(f"{name} {arguments[0]}", sys.executable, str(PROGRAMS / f"{name}.py"), *arguments)

    async def server(self) -> Server:
        """Start a server on a new database."""
        server = Server(self, self.folder / "server.db")
        await server.start()
        return server

    async def worker(self, server: Server, group: str, **options: float) -> Program:
        """Start a worker of a group; return when it takes tasks.

        Args:
            server: the server that it works for.
            group: its group.
            **options: those of WorkerOptions.
        """
        worker = await self.script("worker", group, server.url, json.dumps(options))
        await worker.says("ready")
        return worker

    async def serving(self, name: str, *arguments: str, **options: float) -> Program:
        """Start one of our programs that calls `Resonate.serve`; return when it takes tasks.

        Args:
            name: the program.
            *arguments: for it.
            **options: those of WorkerOptions, its last argument, if there are any.
        """
        worker = await self.script(name, *arguments, *([json.dumps(options)] if options else []))
        await worker.complains("executing tasks")
        return worker


@asynccontextmanager
async def open_kit(folder: Path) -> AsyncGenerator[Kit]:
    """Open a kit for one test, which must take less than 50 s. No process survives the block."""
    with trio.fail_after(LIMIT):
        async with open_services() as services:
            yield Kit(services, folder)


async def invoke_gate(client: Client, id: str) -> None:
    """Make a promise that functions can wait for, and that nothing but the test resolves: nobody executes it."""
    await client.options(group="nobody").rfi(id, "gate")
