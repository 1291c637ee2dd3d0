"""The file that `--trace` writes: what is in it, when, and what if it cannot be written."""

import errno
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import pytest
from attrs import define

from resonate_trio.protocol import (
    PROTOCOL_VERSION,
    DebugStart,
    DebugTick,
    Envelope,
    Head,
    PromiseCreate,
    PromiseGet,
    Reply,
    Request,
    TaskCreate,
)
from server_ref.engine import Engine, open_engine
from server_ref.store import MemoryStore, SqliteStore, Store, StoreError
from server_ref.trace import open_trace
from tests.model.shapes import Wire

from .reading import read_trace

pytestmark = pytest.mark.anyio

START_MS = 1_000_000
CREATE = PromiseCreate("p", 2_000_000, {"resonate:target": "poll://any@g"})


@define
class SettableClock:
    """A clock that stands still until it is set."""

    ms: int = START_MS

    def now_ms(self) -> int:
        """Return the instant."""
        return self.ms


@asynccontextmanager
async def a_traced_engine(
    path: Path, *, store: Store | None = None, clock: SettableClock | None = None, debug: bool = False
) -> AsyncGenerator[Engine]:
    """Open an engine that writes a trace."""
    with closing(open_trace(path)) as trace:
        async with open_engine(
            store or MemoryStore(), clock=clock or SettableClock(), debug=debug, trace=trace
        ) as engine:
            yield engine


async def ask(engine: Engine, request: Request, *, debug_time: int | None = None) -> Reply:
    """Have a request performed."""
    return await engine.perform(Envelope(Head("c", debug_time=debug_time), request))


def without_ticks(line: Wire) -> Wire:
    """Return a line without what the server did by itself."""
    return {name: value for name, value in line.items() if name != "ticks"}


async def test_line_has_the_kind_the_instant_the_request_and_the_whole_reply(tmp_path: Path) -> None:
    """In the words of the protocol, refused requests as well as others."""
    path = tmp_path / "t.jsonl"
    clock = SettableClock()
    async with a_traced_engine(path, clock=clock) as engine:
        await ask(engine, CREATE)
        clock.ms += 5
        await ask(engine, PromiseGet("q"))
    created, missing = map(without_ticks, read_trace(path))
    promise = {"id": "p", "tags": {"resonate:target": "poll://any@g"}, "timeoutAt": 2_000_000, "param": {}}
    head = {"corrId": "c", "status": 200, "version": PROTOCOL_VERSION}
    stored = {**promise, "state": "pending", "value": {}, "createdAt": START_MS}
    assert created == {
        "kind": "promise.create",
        "now": START_MS,
        "req": promise,
        "res": {"kind": "promise.create", "head": head, "data": {"promise": stored}},
    }
    assert missing == {
        "kind": "promise.get",
        "now": START_MS + 5,
        "req": {"id": "q"},
        "res": {
            "kind": "promise.get",
            "head": head | {"status": 404},
            "data": "the promise 'q' does not exist",
        },
    }


async def test_line_is_there_when_the_reply_is(tmp_path: Path) -> None:
    """Whoever has a reply finds it in the file, whatever becomes of the server."""
    path = tmp_path / "t.jsonl"
    store = SqliteStore(tmp_path / "r.db")
    async with a_traced_engine(path, store=store) as engine:
        for number in range(1, 4):
            await ask(engine, PromiseGet("p"))
            assert len(read_trace(path)) == number


async def test_what_the_server_did_by_itself_is_told_by_the_next_line(tmp_path: Path) -> None:
    """At which instants: as `debug.tick` would have done it."""
    path = tmp_path / "t.jsonl"
    clock = SettableClock()
    async with a_traced_engine(path, clock=clock) as engine:
        for _ in range(3):
            await ask(engine, CREATE)
            clock.ms += 10
    # The first request may come in before the first look at what is due.
    first, *others = [line.get("ticks", []) for line in read_trace(path)]
    assert first in ([], [START_MS])
    assert others == [[START_MS], [START_MS + 10]]


async def test_paused_server_does_nothing_by_itself(tmp_path: Path) -> None:
    """While debug.start holds there are no ticks but those that are requests, and instants are those asked for."""
    path = tmp_path / "t.jsonl"
    async with a_traced_engine(path, debug=True) as engine:
        await ask(engine, DebugStart())
        await ask(engine, CREATE, debug_time=7)
        await ask(engine, DebugTick(9))
        await ask(engine, CREATE)
    started, *others = read_trace(path)
    assert started["kind"] == "debug.start"
    assert [(line["kind"], line["now"], line.get("ticks")) for line in others] == [
        ("promise.create", 7, None),
        ("debug.tick", START_MS, None),
        ("promise.create", START_MS, None),
    ]


async def test_lines_are_in_the_order_in_which_requests_were_performed(tmp_path: Path) -> None:
    """Requests of one turn as well: the first of them creates, the others find it."""
    path = tmp_path / "t.jsonl"
    replies: dict[str, Reply] = {}
    async with a_traced_engine(path) as engine:

        async def create(value: str) -> None:
            request = PromiseCreate("p", 2_000_000 + int(value), {})
            replies[value] = await engine.perform(Envelope(Head(value), request))

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(create, str(number))
    lines = read_trace(path)
    deadlines = {line["res"]["data"]["promise"]["timeoutAt"] for line in lines}
    assert deadlines == {lines[0]["req"]["timeoutAt"]}
    assert {line["res"]["head"]["corrId"] for line in lines} == replies.keys()


async def test_request_that_was_not_stored_is_not_in_the_trace(tmp_path: Path) -> None:
    """It has changed nothing, and was told so."""
    path = tmp_path / "t.jsonl"
    store = SqliteStore(tmp_path / "r.db")
    async with a_traced_engine(path, store=store) as engine:
        store._opened().execute("PRAGMA query_only = ON")
        assert (await ask(engine, CREATE)).status == 503
        store._opened().execute("PRAGMA query_only = OFF")
        assert (await ask(engine, PromiseGet("p"))).status == 404
    assert [line["kind"] for line in read_trace(path)] == ["promise.get"]


async def test_tokens_of_requests_within_requests_are_left_out(tmp_path: Path) -> None:
    """A trace is read by more people than may do what a token allows."""
    path = tmp_path / "t.jsonl"
    async with a_traced_engine(path) as engine:
        inner = Envelope(Head("c", auth="secret"), CREATE)
        envelope = Envelope(Head("c", auth="secret"), TaskCreate("a", 10, inner))
        assert (await engine.perform(envelope)).status == 200
    assert b"secret" not in path.read_bytes()
    assert read_trace(path)[0]["req"]["action"]["head"] == {"corrId": "c", "version": PROTOCOL_VERSION}


async def test_trace_is_added_to_what_is_there(tmp_path: Path) -> None:
    """So a server that is started again goes on with it; a line that was cut is ended first."""
    path = tmp_path / "t.jsonl"
    path.write_text('{"kind":')
    for _ in range(2):
        async with a_traced_engine(path) as engine:
            await ask(engine, PromiseGet("p"))
    cut, *lines = path.read_text().splitlines()
    assert cut == '{"kind":'
    assert len(lines) == 2


async def test_trace_that_cannot_be_written_ends_and_nothing_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was committed is acknowledged; the log says once where the trace ends."""

    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "t.jsonl"
    async with a_traced_engine(path) as engine:
        await ask(engine, PromiseGet("p"))
        monkeypatch.setattr("server_ref.trace._write", write)
        assert (await ask(engine, CREATE)).status == 200
        monkeypatch.undo()
        assert (await ask(engine, PromiseGet("p"))).status == 200
    assert len(read_trace(path)) == 1
    assert caplog.text.count("the trace ends here") == 1
    assert str(path) in caplog.text


async def test_store_that_cannot_be_opened_leaves_no_trace(tmp_path: Path) -> None:
    """Nothing was performed."""
    path = tmp_path / "t.jsonl"
    with pytest.raises(StoreError):
        async with a_traced_engine(path, store=SqliteStore(tmp_path)):
            pytest.fail("a directory is no database")
    assert path.read_bytes() == b""


def test_trace_in_a_missing_directory_is_refused_at_start(tmp_path: Path) -> None:
    """One clear line, and exit status 2."""
    command = [sys.executable, "-m", "resonate_trio", "dev", "--port", "0", "--trace", "nowhere/t.jsonl"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "Error: cannot write the trace nowhere/t.jsonl: No such file or directory\n"


def test_trace_that_cannot_be_gone_on_with_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk not even the cut line can be ended: the error says so, and the file is closed."""

    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "t.jsonl"
    path.write_text('{"kind":')
    monkeypatch.setattr("server_ref.trace._write", write)
    with pytest.raises(OSError, match="No space left"):
        open_trace(path)
    assert path.read_text() == '{"kind":'
