"""The disk fails under a running server, and works again: nobody has to do anything about the server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from resonate_trio.protocol import PROTOCOL_VERSION
from tests.linearizability.server import PATIENCE_S, Connection, ServerProcess, open_connection, open_processes

from .troubles import DATABASE, TROUBLES, Trouble

pytestmark = [pytest.mark.trio, pytest.mark.slow]

BIG = "x" * 50_000
DEADLINE_MS = 10**13


@pytest.fixture(params=list(TROUBLES.values()), ids=list(TROUBLES))
def trouble(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trouble]:
    """Prepare each kind of disk in turn."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with request.param(folder) as trouble:
        yield trouble


async def ask(connection: Connection, kind: str, **data: object) -> tuple[int, object]:
    """Have a request performed; return its status and data."""
    head = {"corrId": "c", "version": PROTOCOL_VERSION}
    reply = await connection.ask({"kind": kind, "head": head, "data": data})
    assert reply is not None
    return reply["head"]["status"], reply["data"]


async def create(connection: Connection, id: str) -> int:
    """Create a big promise, and return the status."""
    data = {"id": id, "timeoutAt": DEADLINE_MS, "param": {"data": BIG}, "tags": {}}
    status, said = await ask(connection, "promise.create", **data)
    if status != 200:
        assert (status, said) == (503, "the server could not store this, nothing was changed: try again")
    return status


async def create_until(connection: Connection, status: int, prefix: str) -> dict[str, int]:
    """Create promises until a request has this status; return the status of each."""
    statuses: dict[str, int] = {}
    while status not in statuses.values():
        assert len(statuses) < 200
        id = f"{prefix}{len(statuses)}"
        statuses[id] = await create(connection, id)
    return statuses


async def present(connection: Connection, *ids: str) -> set[str]:
    """Return which promises there are."""
    statuses = {id: (await ask(connection, "promise.get", id=id))[0] for id in ids}
    assert set(statuses.values()) <= {200, 404}
    return {id for id, status in statuses.items() if status == 200}


async def test_failing_disk_loses_nothing_and_the_server_recovers_by_itself(
    tmp_path: Path, trouble: Trouble
) -> None:
    """Writes are refused and reads answered meanwhile; what was refused has left nothing, even after a crash."""
    async with open_processes(tmp_path) as kit:
        server = ServerProcess(kit, "serve", "--db", str(trouble.folder / DATABASE))
        await server.start()
        pid = server.program.child.pid
        async with open_connection(server.url) as connection:
            statuses = {"before": await create(connection, "before")}
            trouble.cause(pid)
            statuses |= await create_until(connection, 503, "full")
            assert await create(connection, "again") == 503
            acknowledged = {id for id, status in statuses.items() if status == 200}
            assert await present(connection, *statuses, "again") == acknowledged
            trouble.cure(pid)
            assert await create(connection, "after") == 200
            assert await create(connection, "again") == 200
        await check_log(server, trouble)
        await server.program.child.kill()
        await server.start()
        async with open_connection(server.url) as connection:
            assert await present(connection, *statuses, "again", "after") == acknowledged | {"again", "after"}


async def check_log(server: ServerProcess, trouble: Trouble) -> None:
    """Check that the log tells of the trouble once, and of its end."""
    with trio.fail_after(PATIENCE_S):
        await server.program.until(lambda: len(server.program.complained) >= 3)
    _, began, ended = server.program.complained
    assert "nothing can be stored" in began
    assert DATABASE in began
    assert trouble.reason in began
    assert "the store works again" in ended


async def test_server_killed_while_its_disk_fails_keeps_what_it_acknowledged(
    tmp_path: Path, trouble: Trouble
) -> None:
    """What was refused just before has left nothing behind that the next server would take for stored."""
    async with open_processes(tmp_path) as kit:
        server = ServerProcess(kit, "serve", "--db", str(trouble.folder / DATABASE))
        await server.start()
        pid = server.program.child.pid
        async with open_connection(server.url) as connection:
            statuses = {"before": await create(connection, "before")}
            trouble.cause(pid)
            statuses |= await create_until(connection, 503, "full")
        trouble.cure(pid)
        await server.program.child.kill()
        await server.start()
        acknowledged = {id for id, status in statuses.items() if status == 200}
        async with open_connection(server.url) as connection:
            assert await present(connection, *statuses) == acknowledged
