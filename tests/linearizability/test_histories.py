"""Many clients at once over HTTP, and what the search and the server's own trace make of their history."""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from attrs import frozen

from resonate_trio.protocol import PROTOCOL_VERSION
from tests.model.shapes import Wire

from .checker import Call, check
from .player import FAR_MS, FOR_HOLDERS, Player
from .reading import read_trace, repeated
from .server import Connection, Recording, ServerProcess, open_connection, open_processes, wall_clock_ms
from .specification import DEBUG_TIME, ModelSpecification, Operation, by_origin

pytestmark = [pytest.mark.trio, pytest.mark.slow]

logger = logging.getLogger(__name__)

CLIENTS = 4
"""How many clients share an origin."""
ORIGINS_AT_ONCE = 6
TURNS = 15
"""How many requests a client makes."""
EPOCH_MS = 1_000_000
DEADLINES_MS = (20, 100, 400, *[FAR_MS] * 7)
LEASES_MS = (10, 50, 200, FAR_MS)
"""Some promises expire and some leases end while their clients still play."""

HTTP_SERVERS = pytest.mark.parametrize("http_server", ["uvicorn", "hypercorn"])


@frozen
class Run:
    """What came of a run: what the clients recorded, and the trace of the server."""

    history: Sequence[Call[Operation]]
    trace: Sequence[Wire]

    @property
    def calls(self) -> dict[str, Call[Operation]]:
        """The calls, by correlation id."""
        return {call.operation.request["head"]["corrId"]: call for call in self.history}


@asynccontextmanager
async def a_server(folder: Path, http_server: str) -> AsyncGenerator[tuple[str, Path]]:
    """Run a server on a new database; yield its URL, and its trace."""
    trace = folder / "trace.jsonl"
    async with open_processes(folder) as kit:
        database = ("serve", "--db", str(folder / "server.db"), "--debug")
        server = ServerProcess(kit, *database, "--trace", str(trace), "--server", http_server)
        await server.start()
        yield server.url, trace


async def play(recording: Recording, url: str, origins: int, player: Callable[[str, str], Player]) -> None:
    """Have all clients of all origins play, some origins at a time."""
    limiter = trio.CapacityLimiter(ORIGINS_AT_ONCE)
    async with trio.open_nursery() as nursery:
        for number in range(origins):
            origin = f"o{number}"
            players = [player(origin, f"{origin}-{client}") for client in range(CLIENTS)]
            nursery.start_soon(play_origin, limiter, recording, url, players)


async def play_origin(
    limiter: trio.CapacityLimiter, recording: Recording, url: str, players: Sequence[Player]
) -> None:
    """Have the clients of one origin play, and at the end one of them read all."""
    async with limiter:
        async with trio.open_nursery() as nursery:
            for player in players:
                nursery.start_soon(recording.play, url, player, range(TURNS))
        await recording.read(url, players[0])


def control(kind: str, number: int, now: int, **data: object) -> Wire:
    """Write a request about the server as a whole."""
    head = {"corrId": f"{kind}-{number}", "version": PROTOCOL_VERSION, DEBUG_TIME: now}
    return {"kind": kind, "head": head, "data": data}


# --- With instants that the clients name ----------------------------------------------------------


class Time:
    """Time for a whole run. Only a tick moves it."""

    def __init__(self) -> None:
        self.now = EPOCH_MS

    def read(self) -> int:
        """Return the instant."""
        return self.now

    async def pass_by(self, recording: Recording, connection: Connection) -> None:
        """Go on by a little and have done what is due, over and over."""
        number = 0
        while True:
            number += 1
            self.now += (1, 7, 40)[number % 3]
            await recording.perform(connection, control("debug.tick", number, self.now, time=self.now))
            await trio.sleep(0.02)


async def run_dated(folder: Path, http_server: str, origins: int) -> Run:
    """Run with requests that name their instant, on a server that does nothing by itself but when it is told."""
    recording, passing = Recording(), Time()
    async with (
        a_server(folder, http_server) as (url, trace),
        open_connection(url) as connection,
    ):
        await connection.ask(control("debug.start", 0, EPOCH_MS))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(passing.pass_by, recording, connection)
            player = partial(a_player, clock=passing.read)
            await play(recording, url, origins, player)
            nursery.cancel_scope.cancel()
        return Run(recording.history, read_trace(trace)[1:])


def a_player(origin: str, name: str, *, clock: Callable[[], int], dated: bool = True) -> Player:
    """Return a client whose seed is its name, so that every run begins alike."""
    return Player(origin, name, name, clock, deadlines_ms=DEADLINES_MS, leases_ms=LEASES_MS, dated=dated)


@HTTP_SERVERS
async def test_many_clients_at_once_see_one_order(
    tmp_path: Path, http_server: str, pytestconfig: pytest.Config
) -> None:
    """For each origin, some order of all operations explains every reply; the order of the trace is one such."""
    run = await run_dated(tmp_path, http_server, pytestconfig.getoption("histories"))
    histories = by_origin(run.history)
    for history in histories.values():
        check(history, ModelSpecification())
    check_trace(run)
    check_variety(run)
    logger.info("%s histories, %s operations", len(histories), len(run.history))


# --- With the server's own clock ------------------------------------------------------------------


async def run_undated(folder: Path, http_server: str, origins: int) -> Run:
    """Run with a server that goes by the clock on the wall, and does what is due by itself."""
    recording = Recording()
    async with a_server(folder, http_server) as (url, trace):
        await play(recording, url, origins, partial(a_player, clock=wall_clock_ms, dated=False))
        return Run(recording.history, read_trace(trace))


async def test_trace_tells_what_the_server_did_by_itself(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """While leases end and deadlines pass by the server's own clock, the trace still explains every reply."""
    run = await run_undated(tmp_path, "uvicorn", pytestconfig.getoption("histories"))
    check_trace(run)
    logger.info("a trace of %s lines", len(run.trace))
    assert any("ticks" in line for line in run.trace)


# --- What holds of every run ----------------------------------------------------------------------


def check_trace(run: Run) -> None:
    """Check the trace: one line for each request, in an order that explains all, with replies as they came."""
    calls = run.calls
    lines = {line["res"]["head"]["corrId"]: line for line in run.trace}
    assert len(lines) == len(run.trace)
    assert {name: call.operation.reply for name, call in calls.items()}.items() <= {
        name: line["res"] for name, line in lines.items()
    }.items()
    check_real_time([calls[name] for name in lines if name in calls])
    for given, expected in repeated(run.trace):
        assert given == expected


def check_real_time(in_order: Sequence[Call[Operation]]) -> None:
    """Check that nobody returned before another one was called that is earlier in this order."""
    latest_call = -1
    for call in in_order:
        assert call.returned_at is not None
        assert call.returned_at > latest_call, f"{call.operation} had returned before those in front of it"
        latest_call = max(latest_call, call.called_at)


def check_variety(run: Run) -> None:
    """Check that the clients did get in each other's way: who always succeeds, or always fails, shows little."""
    statuses = Counter(
        call.operation.reply["head"]["status"]
        for call in run.history
        if call.operation.reply is not None and call.operation.request["kind"] in FOR_HOLDERS
    )
    assert min(statuses[200], statuses[409]) > statuses.total() / 20
