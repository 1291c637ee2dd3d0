"""`resonate-trio serve` and `dev` as processes: how they start, and how they stop."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from attrs import define

from resonate_trio.protocol import (
    DebugSnap,
    Envelope,
    Head,
    PromiseCreate,
    PromiseGet,
    Request,
    encode_request,
)

pytestmark = pytest.mark.slow

HTTP_SERVERS = ["uvicorn", "hypercorn"]
PATIENCE_S = 20.0
"""How long a process may take for what it does at once."""
UNFINISHED = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
"""The beginning of a request. The server answers with `100 Continue` when it has begun to read."""
LISTENING = re.compile(r"resonate-trio (serve|dev): listening on https?://127\.0\.0\.1:(\d+), (.*)\n")


@define
class Server:
    """A server process that listens."""

    process: subprocess.Popen[str]
    port: int
    place: str

    def ask(self, request: Request) -> httpx.Response:
        """Have a request performed."""
        return httpx.post(f"http://127.0.0.1:{self.port}/", content=encode_request(Envelope(Head("c"), request)))

    def connect(self, text: str) -> socket.socket:
        """Open a connection, and send the beginning of a request."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        sock.sendall(text.encode())
        return sock


@contextmanager
def a_process(*args: str, cwd: Path, **env: str) -> Generator[subprocess.Popen[str]]:
    """Start the command, and kill it at the end if it still runs."""
    command = [sys.executable, "-m", "resonate_trio", *args]
    with subprocess.Popen(command, cwd=cwd, env=os.environ | env, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def a_server(*args: str, cwd: Path, **env: str) -> Generator[Server]:
    """Start a server on a free port, and wait until it listens."""
    with a_process(*args, "--port", "0", cwd=cwd, **env) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = LISTENING.fullmatch(line)
        assert found is not None, line + process.stderr.read()
        yield Server(process, int(found[2]), found[3])


def check_refusal(*args: str, cwd: Path) -> str:
    """Check that the command ends with status 2 and one line, and return it."""
    command = [sys.executable, "-m", "resonate_trio", *args]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    return ended.stderr


# --- Running --------------------------------------------------------------------------------------


@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_serve_keeps_everything_in_its_database(tmp_path: Path, http_server: str) -> None:
    """What one process acknowledged, the next one has; without --db it is in resonate.db, right here."""
    with a_server("serve", "--server", http_server, cwd=tmp_path) as server:
        assert server.place == "database resonate.db"
        assert httpx.get(f"http://127.0.0.1:{server.port}/ready").status_code == 200
        assert server.ask(PromiseCreate("p", 2**60, {})).status_code == 200
    assert (tmp_path / "resonate.db").exists()
    with a_server("serve", "--server", http_server, "--db", "resonate.db", cwd=tmp_path) as server:
        assert server.ask(PromiseGet("p")).status_code == 200


def test_dev_keeps_everything_in_memory(tmp_path: Path) -> None:
    """Nothing is written, and nothing is there the next time."""
    with a_server("dev", cwd=tmp_path) as server:
        assert server.place == "in memory"
        assert server.ask(PromiseCreate("p", 2**60, {})).status_code == 200
    assert list(tmp_path.iterdir()) == []


def test_debug_is_allowed_by_option_or_environment(tmp_path: Path) -> None:
    """Without --debug or RESONATE_DEBUG=true, debug requests are refused."""
    with a_server("dev", cwd=tmp_path) as server:
        assert server.ask(DebugSnap()).status_code == 403
    with a_server("dev", "--debug", cwd=tmp_path) as server:
        assert server.ask(DebugSnap()).status_code == 200
    with a_server("dev", cwd=tmp_path, RESONATE_DEBUG="true") as server:
        assert server.ask(DebugSnap()).status_code == 200


# --- Stopping -------------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_signal_stops_the_server_cleanly(tmp_path: Path, http_server: str, signum: signal.Signals) -> None:
    """With a worker that listens and a client that is idle, it ends at once, with status 0."""
    with a_server("serve", "--server", http_server, cwd=tmp_path) as server:
        worker = server.connect("GET /poll/g/a HTTP/1.1\r\nHost: x\r\n\r\n")
        idle = server.connect("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        with worker, idle:
            assert worker.recv(65_536)
            assert idle.recv(65_536)
            began = time.monotonic()
            server.process.send_signal(signum)
            assert server.process.wait(PATIENCE_S) == 0
            assert time.monotonic() - began < 8
            assert server.process.stderr is not None
            assert server.process.stderr.read() == ""
    assert not (tmp_path / "resonate.db-wal").exists()


def test_second_signal_ends_the_server_at_once(tmp_path: Path) -> None:
    """Who cannot wait for requests that are running presses Ctrl-C again."""
    with a_server("serve", cwd=tmp_path) as server, server.connect(UNFINISHED) as upload:
        assert b" 100 " in upload.recv(65_536)
        server.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(1)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_S) == -signal.SIGINT


@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_request_that_never_ends_does_not_keep_the_server(tmp_path: Path, http_server: str) -> None:
    """After the grace it is cut: the server has stopped 10 seconds after the signal."""
    with a_server("serve", "--server", http_server, cwd=tmp_path) as server, server.connect(UNFINISHED) as upload:
        assert b" 100 " in upload.recv(65_536)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - began < 10.5


# --- Refusing to start ----------------------------------------------------------------------------


def test_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    """The line names the port, and nothing was created."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = check_refusal("serve", "--port", port, cwd=tmp_path)
    assert port in line
    assert "in use" in line
    assert list(tmp_path.iterdir()) == []


def test_unknown_host_is_one_clear_line(tmp_path: Path) -> None:
    """An address that is not here is named."""
    assert "192.0.2.1" in check_refusal("dev", "--host", "192.0.2.1", cwd=tmp_path)


def test_database_that_is_a_directory_is_one_clear_line(tmp_path: Path) -> None:
    """A directory is no database."""
    assert "directory" in check_refusal("serve", "--port", "0", "--db", ".", cwd=tmp_path)


def test_database_in_a_missing_directory_is_one_clear_line(tmp_path: Path) -> None:
    """Directories are not created."""
    assert "nowhere" in check_refusal("serve", "--port", "0", "--db", "nowhere/r.db", cwd=tmp_path)


def test_file_that_is_no_database_is_one_clear_line(tmp_path: Path) -> None:
    """A file with other contents is left as it is."""
    path = tmp_path / "r.db"
    path.write_text("Dear diary, " * 100)
    assert "r.db" in check_refusal("serve", "--port", "0", "--db", "r.db", cwd=tmp_path)
    assert path.read_text().startswith("Dear diary")


def test_database_of_another_program_is_one_clear_line(tmp_path: Path) -> None:
    """A SQLite file that is not ours is left as it is."""
    connection = sqlite3.connect(tmp_path / "r.db")
    connection.execute("CREATE TABLE addresses (name TEXT)")
    connection.close()
    assert "r.db" in check_refusal("serve", "--port", "0", "--db", "r.db", cwd=tmp_path)


def test_database_of_a_newer_schema_is_one_clear_line(tmp_path: Path) -> None:
    """A file that a later version wrote is not touched by this one."""
    with a_server("serve", "--db", "r.db", cwd=tmp_path) as server:
        server.process.terminate()
        server.process.wait(PATIENCE_S)
    connection = sqlite3.connect(tmp_path / "r.db")
    connection.execute("PRAGMA user_version = 1000000")
    connection.close()
    assert "newer" in check_refusal("serve", "--port", "0", "--db", "r.db", cwd=tmp_path)


def test_database_that_another_server_holds_is_one_clear_line(tmp_path: Path) -> None:
    """Two servers never share a file."""
    with a_server("serve", "--db", "r.db", cwd=tmp_path) as server:
        assert "r.db" in check_refusal("serve", "--port", "0", "--db", "r.db", cwd=tmp_path)
        assert server.ask(PromiseCreate("p", 2**60, {})).status_code == 200
