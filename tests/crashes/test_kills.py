"""A server under load is killed at random moments, again and again, and started again on the same file."""

import logging
import sys
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import final

import pytest
import trio

from resonate_trio import Client
from tests.e2e.kit import Kit
from tests.linearizability.checker import check
from tests.linearizability.player import Player
from tests.linearizability.server import (
    PATIENCE_S,
    Recording,
    ServerProcess,
    open_connection,
    open_processes,
    wall_clock_ms,
)
from tests.linearizability.specification import ModelSpecification, by_origin

from .invariants import check_consistent, check_nothing_taken_back, snapshot

pytestmark = [pytest.mark.trio, pytest.mark.slow]

logger = logging.getLogger(__name__)

FLOWS = Path(__file__).parent / "programs" / "flows.py"
ORIGINS = 3
CLIENTS = 3
FLOWS_A_ROUND = 3
LIFE_S = 0.8
"""How long a server lives at most once it is under load."""


@final
class Crashes:
    """Rounds of load, each of which a crash ends.

    Attributes:
        replies: how many requests were answered before their server was killed.
        unanswered: how many were under way when it was.
    """

    def __init__(self, server: ServerProcess) -> None:
        self.replies = 0
        self.unanswered = 0
        self._server = server
        self._random = Random("crashes")
        self._snap = dict[str, list[object]](promises=[], tasks=[])

    def __str__(self) -> str:
        return f"{self.replies} replies, {self.unanswered} requests unanswered"

    async def round(self, number: int) -> None:
        """Kill the server under load, start it, and check what it kept."""
        recording = Recording()
        origins = [f"r{number}o{place}" for place in range(ORIGINS)]
        async with trio.open_nursery() as nursery:
            for origin in origins:
                for client in range(CLIENTS):
                    player = Player(origin, f"{origin}-{client}", f"{origin}-{client}", wall_clock_ms)
                    nursery.start_soon(recording.play, self._server.url, player, count())
            await trio.sleep(self._random.uniform(0, LIFE_S))
            await self._server.program.child.kill()
        unanswered = sum(call.returned_at is None for call in recording.history)
        self.unanswered += unanswered
        self.replies += len(recording.history) - unanswered
        await self._server.start()
        await self._check(recording, origins)

    async def _check(self, recording: Recording, origins: list[str]) -> None:
        """Check that all replies, before the crash and after it, are those of one server that never crashed."""
        for origin in origins:
            await recording.read(self._server.url, Player(origin, f"{origin}-reader", "reader", wall_clock_ms))
        for history in by_origin(recording.history).values():
            check(history, ModelSpecification())
        async with open_connection(self._server.url) as connection:
            snap = await snapshot(connection)
        check_consistent(snap)
        check_nothing_taken_back(self._snap, snap)
        self._snap = snap


async def expect_total(client: Client, number: int, *, after: float) -> None:
    """Run a flow, and check its result."""
    await trio.sleep(after)
    result = await client.options(group="flows").rfc(f"flow-{number}", "total", number)
    assert result == 2 * number + 5


async def start_flows(kit: Kit, server: ServerProcess) -> None:
    """Start the worker that executes the flows."""
    worker = await kit.run("flows", sys.executable, str(FLOWS), server.url)
    await worker.says("ready")


async def test_killed_server_keeps_what_it_acknowledged_and_nothing_else(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """No reply is contradicted by a later one, what is final stays, and flows end with the right result."""
    rounds: int = pytestconfig.getoption("crash_rounds")
    async with open_processes(tmp_path) as kit:
        server = ServerProcess(kit, "serve", "--db", str(tmp_path / "server.db"), "--debug")
        await server.start()
        await start_flows(kit, server)
        crashes = Crashes(server)
        async with Client(server.url) as client, trio.open_nursery() as flows:
            for number in range(rounds):
                for place in range(FLOWS_A_ROUND):
                    after = place * LIFE_S / FLOWS_A_ROUND
                    flow = number * FLOWS_A_ROUND + place
                    flows.start_soon(partial(expect_total, client, flow, after=after))
                await crashes.round(number)
            flows.cancel_scope.deadline = trio.current_time() + PATIENCE_S
        assert not flows.cancel_scope.cancelled_caught, "a flow has not ended"
    logger.info("%s rounds: %s", rounds, crashes)
    assert crashes.unanswered > 0, "no crash came while a request was under way"
