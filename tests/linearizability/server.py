"""A server in a process of its own, and clients that record what they asked and were answered."""

import re
import sys
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final, final

import h11
import orjson
import trio

from resonate_trio._services import open_services
from tests.e2e.kit import Kit, Program
from tests.model.shapes import Wire

from .checker import Call
from .player import Player
from .specification import Operation

PATIENCE_S: Final = 20.0
"""How long anything may take that a server does at once."""
NOTHING_CHANGED: Final = 503
_LISTENING: Final = re.compile(r"listening on (http://\S+:(\d+)), ")


def wall_clock_ms() -> int:
    """Return the time of day, which all processes share."""
    return time.time_ns() // 1_000_000


@final
class ServerProcess:
    """A server process, at one port in all its lives.

    Attributes:
        url: where it is.
        program: its process.
    """

    def __init__(self, kit: Kit, *arguments: str) -> None:
        self._kit = kit
        self._arguments = arguments
        self._port = 0
        self.url = ""
        self.program = Program()

    def __repr__(self) -> str:
        return f"<ServerProcess at {self.url}>"

    async def start(self) -> None:
        """Start it, for the first time or again; return when it takes requests."""
        command = [sys.executable, "-m", "resonate_trio", *self._arguments, "--port", str(self._port)]
        self.program = await self._kit.run("server", *command)
        with trio.fail_after(PATIENCE_S):
            await self.program.until(lambda: self._listening() is not None)
        heard = self._listening()
        assert heard is not None
        self.url, self._port = heard[1], int(heard[2])

    def _listening(self) -> re.Match[str] | None:
        return next(filter(None, map(_LISTENING.search, self.program.complained)), None)


@asynccontextmanager
async def open_processes(folder: Path) -> AsyncGenerator[Kit]:
    """Open a kit of processes for as long as a long run takes. No process survives the block."""
    async with open_services() as services:
        yield Kit(services, folder)


@final
class Connection:
    """One connection to a server, for one request at a time. (A client library would do more, at a price.)"""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def ask(self, request: Wire) -> Wire | None:
        """Have a request performed; return the reply, or None if nobody can know whether it was performed."""
        body = orjson.dumps(request)
        headers = [("Host", "server"), ("Content-Length", str(len(body)))]
        try:
            with trio.fail_after(PATIENCE_S):
                await self._send(h11.Request(method="POST", target="/", headers=headers), h11.Data(body))
                status, content = await self._receive()
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            return None
        reply: Wire = orjson.loads(content)
        assert status == reply["head"]["status"]
        return reply

    async def _send(self, *events: h11.Event) -> None:
        for event in (*events, h11.EndOfMessage()):
            await self._stream.send_all(self._http.send(event) or b"")

    async def _receive(self) -> tuple[int, bytes]:
        status, content = 0, b""
        while not isinstance(event := self._http.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._stream.receive_some())
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                content += event.data
        self._http.start_next_cycle()
        return status, content


@asynccontextmanager
async def open_connection(url: str) -> AsyncGenerator[Connection]:
    """Connect to a server."""
    host, _, port = url.removeprefix("http://").partition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        yield Connection(stream)


@final
class Recording:
    """What clients asked and were answered.

    Attributes:
        history: the calls that may have changed something.
        refusals: how many were refused with 503, which have not.
    """

    def __init__(self) -> None:
        self.history: list[Call[Operation]] = []
        self.refusals = 0
        self._instants = count()

    async def perform(self, connection: Connection, request: Wire) -> Wire | None:
        """Have a request performed, and record it; return its reply.

        A request that was refused with 503 is only counted. If it has changed something nevertheless, the others
        will not be explained.
        """
        called_at = next(self._instants)
        reply = await connection.ask(request)
        if reply is not None and reply["head"]["status"] == NOTHING_CHANGED:
            self.refusals += 1
        else:
            returned_at = None if reply is None else next(self._instants)
            self.history.append(Call(Operation(request, reply), called_at, returned_at))
        return reply

    async def play(self, url: str, player: Player, turns: Iterable[object]) -> None:
        """Let a client do what it does, until the turns are over or its server is gone."""
        with suppress(OSError):  # it was gone before we came
            async with open_connection(url) as connection:
                for _ in turns:
                    reply = await self.perform(connection, player.request())
                    if reply is None:
                        return
                    player.learn(reply)

    async def read(self, url: str, player: Player) -> None:
        """Have a client read all that its origin has."""
        async with open_connection(url) as connection:
            for request in player.reads():
                assert await self.perform(connection, request) is not None
