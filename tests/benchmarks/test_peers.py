"""Peers: what is found of them, and how their programs take orders. None of them is needed here."""

import json
import sys
from pathlib import Path

import pytest
import trio

from benchmarks.peers.find import Peers, find_peers
from benchmarks.peers.install import NoInterpreterError, find_interpreter
from benchmarks.systems import PEERS, Calls, Mode, PeerMissingError, WrongResultError, open_system
from benchmarks.systems._peer import open_driver

PROGRAM = """
import asyncio
from benchmarks.peers.programs._drive import serve_orders

async def call(function, arguments):
    return arguments[0]

asyncio.run(serve_orders(call))
"""
ALL = {"restate-sdk": "1", "dbos": "3", "resonate-sdk": "0.8"}


def test_nothing_is_found_where_nothing_is_installed(tmp_path: Path) -> None:
    """Each peer that is not here is named, with the command that brings it."""
    peers = find_peers(tmp_path)
    for mode in PEERS:
        missing = peers.missing(mode)
        assert missing is not None
        assert "install-peers" in missing


@pytest.mark.parametrize(
    ("peers", "mode", "missing"),
    [
        (Peers(Path("python"), ALL, None, None), Mode.RESONATE_SDK, None),
        (Peers(Path("python"), ALL, None, None), Mode.RESTATE, "restate-server"),
        (Peers(Path("python"), ALL, Path("server"), None), Mode.RESTATE, None),
        (Peers(Path("python"), ALL, None, None), Mode.DBOS, "Postgres"),
        (Peers(Path("python"), {}, None, Path("postgres")), Mode.DBOS, "no dbos"),
        (Peers(Path("python"), ALL, None, Path("postgres")), Mode.DBOS, None),
    ],
)
def test_peer_needs_its_package_and_its_server(peers: Peers, mode: Mode, missing: str | None) -> None:
    """What is missing is said; a peer that has all it needs lacks nothing."""
    found = peers.missing(mode)
    assert found is None if missing is None else found is not None and missing in found


def test_interpreter_for_the_peers_must_be_new_enough() -> None:
    """What does not run, or is no Python, is passed over; and if that was all, the message says what to do."""
    with pytest.raises(NoInterpreterError, match="--python"):
        find_interpreter(["no-such-python", "false"])


@pytest.mark.trio
async def test_missing_peer_is_not_started() -> None:
    """A peer that is not installed is refused by its name."""
    with pytest.raises(PeerMissingError, match="dbos"):
        async with open_system(Mode.DBOS):
            pass


@pytest.mark.slow
@pytest.mark.trio
async def test_program_makes_the_calls_that_it_is_ordered() -> None:
    """A program of a peer times as many calls as there are jobs, and says when a result is wrong."""
    async with trio.open_nursery() as processes:
        system = await open_driver(processes, [sys.executable, "-c", PROGRAM])
        times = await system.time_calls(Calls("echo", [7], 7, jobs=5, width=2))
        assert len(times.samples_ns) == 5
        assert times.elapsed_ns > 0
        with pytest.raises(WrongResultError, match=r"echo\(7,\) returned 7, not 8"):
            await system.time_calls(Calls("echo", [7], 8))
        processes.cancel_scope.cancel()


def test_peers_are_pinned() -> None:
    """Figures are of versions: whoever installs the peers later gets the same ones."""
    folder = Path(__file__).parents[2] / "benchmarks" / "peers"
    requirements = [
        line for line in (folder / "requirements.txt").read_text().splitlines() if not line.startswith("#")
    ]
    assert all("==" in line for line in requirements)
    package = json.loads((folder / "package.json").read_text())
    assert all(version[0].isdigit() for version in package["dependencies"].values())
