"""An application that is called without a network, over a store that holds something of everything."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import orjson
from anyio.lowlevel import checkpoint
from attrs import define, field, frozen
from starlette.types import ASGIApp

from resonate_trio.protocol import (
    DebugSnap,
    Envelope,
    Head,
    PromiseRegisterCallback,
    PromiseRegisterListener,
    PromiseSettle,
    PromiseState,
    Request,
    ScheduleCreate,
    ScheduleSearch,
    TaskCreate,
    TaskHalt,
    TaskSuspend,
)
from server_ref.app import create_app
from server_ref.engine import Engine, open_engine
from server_ref.store import MemoryStore, Store
from tests.server.engine_kit import EPOCH_MS, SettableClock, ask, create

PATIENCE_S: Final = 5.0
"""How long an answer may take. Each is a matter of milliseconds, on a machine that has time."""
TARGET: Final = "poll://any@g"


@frozen
class Answer:
    """An answer, as far as it was sent."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def check_envelope(self) -> None:
        """Check that the answer is a reply of the protocol, and is refused in the form of all others."""
        reply = orjson.loads(self.body)
        assert reply.keys() == {"kind", "head", "data"}
        assert reply["head"]["status"] == self.status
        assert isinstance(reply["head"]["corrId"], str)
        assert isinstance(reply["kind"], str)
        assert self.status < 400 or isinstance(reply["data"], str)


@define
class _Exchange:
    """What passes between a server and its application for one request."""

    chunks: list[bytes]
    ends: bool
    parts: list[Any] = field(factory=list)
    is_read: bool = False

    async def receive(self) -> dict[str, Any]:
        await checkpoint()
        if self.chunks:
            chunk = self.chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self.chunks) or not self.ends}
        if self.is_read or not self.ends:
            return {"type": "http.disconnect"}
        self.is_read = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, part: Any) -> None:
        await checkpoint()
        self.parts.append(part)


@frozen
class Target:
    """An application, and what it keeps."""

    engine: Engine
    app: ASGIApp

    async def call(
        self,
        body: bytes | Sequence[bytes] = b"",
        *,
        method: str = "POST",
        path: bytes = b"/",
        headers: Sequence[tuple[bytes, bytes]] = (),
        ends: bool = True,
    ) -> Answer:
        """Send a request, in chunks if there are several, and take the answer. One without an end is cut off."""
        exchange = _Exchange([body] if isinstance(body, bytes) else list(body), ends)
        path, _, query = path.partition(b"?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path.decode("latin1"),
            "raw_path": path,
            "query_string": query,
            "headers": list(headers),
        }
        began = time.perf_counter()
        with anyio.fail_after(PATIENCE_S):
            await self.app(scope, exchange.receive, exchange.send)
        assert time.perf_counter() - began < PATIENCE_S
        start, *rest = exchange.parts
        return Answer(start["status"], dict(start["headers"]), b"".join(part.get("body", b"") for part in rest))

    async def everything(self) -> tuple[object, object]:
        """Return all that is stored."""
        snap = await ask(self.engine, DebugSnap())
        schedules = await ask(self.engine, ScheduleSearch(limit=1000))
        return snap.data, schedules.data


@asynccontextmanager
async def a_target(store: Store | None = None) -> AsyncGenerator[Target]:
    """Open an application over a store that holds something of everything. Its clock stands still."""
    async with open_engine(store or MemoryStore(), clock=SettableClock(), debug=True) as engine:
        for request in _something_of_everything():
            reply = await ask(engine, request)
            assert reply.status == 200, reply
        yield Target(engine, create_app(engine))


def _something_of_everything() -> list[Request]:
    def held(id: str) -> TaskCreate:
        return TaskCreate("w", 60_000, Envelope(Head("c"), create(id, target=TARGET)))

    return [
        create("p"),
        create("p:1"),
        create("p:2", scope="local"),
        create("done"),
        PromiseSettle("done", PromiseState.REJECTED),
        create("expired", timeout_at=EPOCH_MS - 1),
        PromiseRegisterListener("p", "poll://uni@g/w"),
        create("t", target=TARGET),
        held("held"),
        create("held:1", target=TARGET),
        held("waits"),
        create("waits:1", target=TARGET),
        TaskSuspend("waits", 1, [Envelope(Head("c"), PromiseRegisterCallback("waits:1", "waits"))]),
        create("halted", target=TARGET),
        TaskHalt("halted"),
        ScheduleCreate("s", "* * * * *", "s.{{.timestamp}}", 1000, {"resonate:target": TARGET}),
    ]
