"""Who may not have a database is told so in one line, and whoever has it is not disturbed."""

import os
import sqlite3
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

from tests.linearizability.checker import check
from tests.linearizability.player import Player
from tests.linearizability.server import PATIENCE_S, Recording, ServerProcess, open_processes, wall_clock_ms
from tests.linearizability.specification import ModelSpecification, by_origin

from .troubles import DATABASE, change_attribute, open_full_disk

pytestmark = [pytest.mark.trio, pytest.mark.slow]

ORIGINS = ("o1", "o2", "o3")
CLIENTS = 2


async def refusal(database: Path) -> str:
    """Check that a server on a database ends with status 2 and one line, and return the line."""
    command = [sys.executable, "-m", "resonate_trio", "serve", "--port", "0", "--db", str(database)]
    with trio.fail_after(PATIENCE_S):
        ended = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    line = ended.stderr.decode()
    assert (ended.returncode, ended.stdout, line.count("\n")) == (2, b"", 1), line
    assert str(database) in line
    return line


@asynccontextmanager
async def a_server(folder: Path, database: Path) -> AsyncGenerator[ServerProcess]:
    """Run a server on a database."""
    async with open_processes(folder) as kit:
        server = ServerProcess(kit, "serve", "--db", str(database), "--debug")
        await server.start()
        yield server


@asynccontextmanager
async def under_load(server: ServerProcess) -> AsyncGenerator[None]:
    """Keep a server under load for the length of the block; every request must be performed, and rightly so."""
    recording, is_over = Recording(), trio.Event()
    async with trio.open_nursery() as nursery:
        for origin in ORIGINS:
            for client in range(CLIENTS):
                player = Player(origin, f"{origin}-{client}", f"{origin}-{client}", wall_clock_ms)
                until_over = iter(is_over.is_set, True)
                nursery.start_soon(recording.play, server.url, player, until_over)
        try:
            yield
        finally:
            is_over.set()
    assert len(recording.history) > 100
    assert recording.refusals == 0
    assert all(call.returned_at is not None for call in recording.history)
    for history in by_origin(recording.history).values():
        check(history, ModelSpecification())


# --- Locks ----------------------------------------------------------------------------------------


async def test_second_server_is_refused_while_the_first_is_under_load(tmp_path: Path) -> None:
    """However often it is tried, the first goes on; when it is killed, the file is free at once."""
    database = tmp_path / DATABASE
    async with a_server(tmp_path, database) as server:
        async with under_load(server):
            for _ in range(2):
                assert "another server or tool holds it open" in await refusal(database)
        await server.program.child.kill()
        await server.start()


async def test_tool_is_locked_out_of_a_running_server_s_database(tmp_path: Path) -> None:
    """Neither its reads nor its transactions get in, and the server does not even notice."""
    database = tmp_path / DATABASE
    async with a_server(tmp_path, database) as server, under_load(server):
        for statement in ["SELECT count(*) FROM promises", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] * 5:
            with (
                closing(sqlite3.connect(database, timeout=0)) as tool,
                pytest.raises(sqlite3.OperationalError, match="locked"),
            ):
                tool.execute(statement)
            await trio.sleep(0.05)


async def test_server_is_refused_while_a_tool_s_transaction_holds_its_database(tmp_path: Path) -> None:
    """Once the transaction has ended, it starts, and everything is there."""
    database = tmp_path / DATABASE
    recording = Recording()
    async with a_server(tmp_path, database) as server:
        await recording.play(server.url, Player("o", "o", "o", wall_clock_ms), range(30))
    with closing(sqlite3.connect(database, timeout=0)) as tool:
        for statement in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"]:
            tool.execute(statement)
            assert "another server or tool holds it open" in await refusal(database)
            tool.execute("ROLLBACK")
    async with a_server(tmp_path, database) as server:
        await recording.read(server.url, Player("o", "reader", "reader", wall_clock_ms))
    check(recording.history, ModelSpecification())


# --- Disks ----------------------------------------------------------------------------------------


async def test_server_is_refused_on_a_read_only_file(tmp_path: Path) -> None:
    """It could keep nothing; once the file can be written, it starts."""
    database = tmp_path / DATABASE
    async with a_server(tmp_path, database):
        pass
    if os.geteuid() == 0:  # whom permissions do not stop
        change_attribute("+i", database)
    else:
        database.chmod(0o444)
    try:
        assert "cannot be opened" in await refusal(database)
    finally:
        if os.geteuid() == 0:
            change_attribute("-i", database)
    database.chmod(0o644)
    async with a_server(tmp_path, database) as server, under_load(server):
        await trio.sleep(0.5)


async def test_server_is_refused_on_a_full_disk(tmp_path: Path) -> None:
    """There is no room for an empty database; once there is, it starts."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with open_full_disk(folder) as disk:
        disk.cause(0)
        (folder / "more").write_bytes(bytes(500 * 1024))
        assert "the disk is full" in await refusal(folder / DATABASE)
        disk.cure(0)
        async with a_server(folder, folder / DATABASE) as server, under_load(server):
            await trio.sleep(0.5)
