"""What workloads say to the server past the SDK."""

import base64
import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, cast

import trio

from benchmarks.systems import CALLEE, System, WrongResultError, open_connection, ours
from resonate_trio.protocol import (
    MAX_MILLIS,
    BatchedRequest,
    Envelope,
    Head,
    PromiseCreate,
    PromiseSearch,
    PromiseState,
    Request,
    TaskSearch,
    TaskState,
    Value,
    tags,
)

BATCH: Final = 60
"""Requests that travel together."""
PAGE: Final = 1_000
"""The most that one reply lists."""


class BareConnection(Protocol):
    """A connection to a server."""

    async def read(self, request: Envelope[Request]) -> dict[str, object]:
        """Send a request; return the data of the reply."""

    async def ask_together(self, requests: Sequence[Envelope[BatchedRequest]]) -> Sequence[int]:
        """Send requests as one batch; return the status of each."""


@asynccontextmanager
async def connect(system: System) -> AsyncGenerator[BareConnection]:
    """Open a connection to a server that is a process of its own."""
    url = ours(system).url
    assert url is not None
    async with open_connection(url) as connection:
        yield connection


async def ask_all(connection: BareConnection, requests: Iterable[BatchedRequest]) -> None:
    """Send requests in batches.

    Raises:
        WrongResultError: one was not answered with 200.
    """
    pending: list[Envelope[BatchedRequest]] = []
    for request in requests:
        pending.append(Envelope(Head("benchmark"), request))
        if len(pending) == BATCH:
            await _ask(connection, pending)
            pending = []
    if pending:
        await _ask(connection, pending)


async def _ask(connection: BareConnection, requests: Sequence[Envelope[BatchedRequest]]) -> None:
    statuses = await connection.ask_together(requests)
    if list(statuses) != [200] * len(requests):
        wrong = sorted(set(statuses) - {200})
        raise WrongResultError(f"a batch beginning with {requests[0].data!r} was answered with status {wrong}")


def echo_call(id: str) -> PromiseCreate:
    """Return the request that has the callee's worker execute `echo`."""
    call = json.dumps({"func": "echo", "args": [1], "version": 1}).encode()
    param = Value(data=base64.b64encode(call).decode())
    return PromiseCreate(id, MAX_MILLIS, {tags.TARGET: f"poll://any@{CALLEE}"}, param)


async def wait_settled(connection: BareConnection, prefix: str) -> None:
    """Wait until no promise whose id begins with `prefix` is pending."""
    while await _page(connection, PromiseSearch(state=PromiseState.PENDING, prefix=prefix, limit=1), "promises"):  # ruff: ignore[async-busy-wait]
        await trio.sleep(0.005)


async def wait_suspended(connection: BareConnection, prefix: str, count: int) -> None:
    """Wait until `count` tasks whose ids begin with `prefix` are suspended."""
    while await _suspended(connection, prefix) < count:  # ruff: ignore[async-busy-wait]
        await trio.sleep(0.1)


async def _suspended(connection: BareConnection, prefix: str) -> int:
    total, cursor = 0, None
    while True:
        search = TaskSearch(state=TaskState.SUSPENDED, prefix=prefix, limit=PAGE, cursor=cursor)
        data = await connection.read(Envelope(Head("benchmark"), search))
        total += len(cast("list[object]", data["tasks"]))
        cursor = cast("str | None", data.get("cursor"))
        if cursor is None:
            return total


async def _page(connection: BareConnection, search: PromiseSearch, name: str) -> list[object]:
    return cast("list[object]", (await connection.read(Envelope(Head("benchmark"), search)))[name])
