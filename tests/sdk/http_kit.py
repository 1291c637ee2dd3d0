"""Servers for the tests that need HTTP, each in threads of its own: a real one, and one that only answers."""

import json
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, final

import anyio
import anyio.from_thread

from server_ref.clock import SystemClock
from server_ref.engine import open_engine
from server_ref.machine import OFFERED, Extensions, Settings
from server_ref.serving import bind, serve, url_of
from server_ref.store import MemoryStore

Answer = Callable[[str, bytes], tuple[int, bytes]]
"""Is given the path and the body of a request; returns a status and a body."""
NO_HEADERS: Mapping[str, str] = {}


@contextmanager
def serving(extensions: Extensions = OFFERED) -> Generator[str]:
    """Run a server in memory that offers these extensions, and return its URL."""
    with bind("127.0.0.1", 0) as sock, anyio.from_thread.start_blocking_portal() as portal:
        stop = portal.call(anyio.Event)

        async def run() -> None:
            settings = Settings(extensions=extensions)
            async with open_engine(MemoryStore(), clock=SystemClock(), settings=settings) as engine:
                await serve(engine, sock, stop, http_server="uvicorn")

        running = portal.start_task_soon(run)
        try:
            yield url_of(sock)
        finally:
            portal.call(stop.set)
            running.result(timeout=15)


@final
class Handler(BaseHTTPRequestHandler):
    """Answers every request as it is told."""

    def __init__(self, answer: Answer, headers: Mapping[str, str], *args: Any) -> None:
        self._answer = answer
        self._extra_headers = headers
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer a poll: with a status of 200 it is a stream of events that ends at once."""
        self._reply(b"", "text/event-stream")

    def do_POST(self) -> None:
        """Answer a request."""
        self._reply(self.rfile.read(int(self.headers["content-length"])), "application/json")

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _reply(self, body: bytes, content_type: str) -> None:
        status, data = self._answer(self.path, body)
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        for name, value in self._extra_headers.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):  # of a client that is gone
            self.wfile.write(data)


@contextmanager
def answering(answer: Answer, headers: Mapping[str, str] = NO_HEADERS) -> Generator[str]:
    """Run a server that answers as it is told, with these headers, and return its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, answer, headers)) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def refusal(status: int, body: bytes, message: str) -> tuple[int, bytes]:
    """Return the reply of this protocol that refuses a request."""
    envelope = json.loads(body)
    head = {"corrId": envelope["head"]["corrId"], "status": status, "version": "2026-04-01"}
    return status, json.dumps({"kind": envelope["kind"], "head": head, "data": message}).encode()
