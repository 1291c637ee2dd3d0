"""Bad input to a server process: it lives on, its memory stays bounded, and its log stays empty."""

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import pytest
from hypothesis import given, settings, strategies as st

from resonate_trio.protocol import DebugSnap
from server_ref.limits import MIB
from tests.server.test_serve import HTTP_SERVERS, PATIENCE_S, Server, a_server

from .requests import envelope

pytestmark = pytest.mark.slow

MEMORY_LIMIT: Final = 400 * MIB
"""What the process may ever have used: one request of 8 MiB, decoded, is the most that is handled at a time."""
BODY: Final = orjson.dumps(envelope("promise.get", {"id": "p"}))
HEADS: Final = [
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
    b"GET /poll/g/w HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    (
        b"GET /poll/g/w HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ),
    (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n"
        b"Connection: upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n\r\n"
    ),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01x",
]


@st.composite
def exchanges(draw: st.DrawFn) -> bytes:
    """Draw what a client sends on one connection: heads and bodies, bent here and there, one after the other."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(HEADS), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(start + 10, len(data))))
        data[start:end] = draw(
            st.one_of(st.binary(max_size=3), st.sampled_from([b"\r\n", b"\0", b": ", b"\r\n\r\n"]))
        )
    return bytes(data)


def check_unharmed(server: Server) -> None:
    """Check that a server works, has logged nothing, and has never used more memory than it may."""
    assert server.ask(DebugSnap()).status_code == 200
    status = Path(f"/proc/{server.process.pid}/status")
    if status.exists():  # Linux
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        assert int(peak.split()[1]) * 1024 < MEMORY_LIMIT, peak
    server.process.terminate()
    assert server.process.wait(PATIENCE_S) == 0
    assert server.process.stderr is not None
    assert server.process.stderr.read() == ""


@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_bent_connections_harm_nobody(tmp_path: Path, http_server: str, inputs: Callable[[str], settings]) -> None:
    """Connections by the hundred that break the rules, closed at once or after an answer."""
    with a_server("dev", "--debug", "--server", http_server, cwd=tmp_path) as server:
        before = server.ask(DebugSnap()).json()["data"]

        @inputs("connections")
        @given(exchanges(), st.booleans(), st.booleans())
        def send(data: bytes, half_closes: bool, listens: bool) -> None:
            with server.connect("") as connection:
                connection.settimeout(0.05)
                try:
                    connection.sendall(data)
                    if half_closes:
                        connection.shutdown(socket.SHUT_WR)
                    answer = connection.recv(65_536) if listens else b""
                except OSError:  # closed by the server, or it waits for more
                    return
                assert b" 500 " not in answer[:20]

        send()
        assert server.ask(DebugSnap()).json()["data"] == before
        check_unharmed(server)


def _huge(kind: str, data: dict[str, Any]) -> bytes:
    return orjson.dumps(envelope(kind, data))[: 8 * MIB]


PROMISE: Final = {"id": "p", "timeoutAt": 2**60}
HUGE: Final[Mapping[str, Callable[[], bytes]]] = {
    "empty arrays": lambda: b"[" + b"[]," * (8 * MIB // 3 - 2) + b"[]]",
    "unknown fields": lambda: orjson.dumps({str(number): [] for number in range(600_000)}),
    "a million tags": lambda: _huge("promise.create", {**PROMISE, "tags": {str(n): "" for n in range(700_000)}}),
    "a huge tag": lambda: _huge("promise.create", {**PROMISE, "tags": {"resonate:target": "x" * (8 * MIB - 500)}}),
    "a huge name": lambda: _huge("promise.create", {**PROMISE, "tags": {"x" * (8 * MIB - 500): 1}}),
    "a huge id": lambda: _huge("promise.get", {"id": "\U0001f600" * 2_000_000}),
    "a huge kind": lambda: _huge("\t" * 3_000_000, {}),
    "a huge cron": lambda: _huge(
        "schedule.create",
        {
            "id": "s",
            "promiseId": "s",
            "promiseTimeout": 1,
            "promiseTags": {},
            "cron": "1-59/1," * 1_000_000 + "1 * * * *",
        },
    ),
    "a huge address": lambda: _huge(
        "promise.register_listener", {"awaited": "p", "address": "http://" + "h" * 8_000_000}
    ),
    "many bad actions": lambda: _huge("task.suspend", {"id": "t", "version": 1, "actions": [{}] * 2_000_000}),
    "one byte too many": lambda: b" " * (8 * MIB + 1),
}


@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_huge_requests_are_refused_in_bounded_memory(tmp_path: Path, http_server: str) -> None:
    """Bodies up to the limit that are as costly as can be: each is refused, by an answer not larger than it."""
    with (
        a_server("dev", "--debug", "--server", http_server, cwd=tmp_path) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=PATIENCE_S) as client,
    ):
        for name, make in HUGE.items():
            body = make()
            answer = client.post("/", content=body)
            assert answer.status_code in {400, 413}, name
            assert len(answer.content) < len(body) + 1000, name
        check_unharmed(server)
