"""What the tests of the engine share: a clock, a store that can be watched, and short ways to ask."""

import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import pytest
from anyio.abc import TaskStatus
from attrs import define, field

from resonate_trio.protocol import (
    Envelope,
    Head,
    PromiseCreate,
    PromiseGet,
    PromiseReply,
    PromiseState,
    Reply,
    Request,
    TaskGet,
    TaskReply,
    TaskState,
)
from server_ref.clock import Clock
from server_ref.engine import Engine, open_engine
from server_ref.machine import Draft, Outgoing
from server_ref.store import MemoryStore, Store

waits = pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
"""Marks a test that waits: in virtual time, which only trio has."""

T = TypeVar("T")
EPOCH_MS = 1_700_000_000_000
FAR = 2**60


@define
class SettableClock:
    """A clock that stands still until it is set."""

    ms: int = EPOCH_MS

    def now_ms(self) -> int:
        """Return the instant."""
        return self.ms


@define
class ProbedStore:
    """A memory store that counts its transactions, can be held up in one, and can fail."""

    blocking: bool = False
    inner: MemoryStore = field(factory=MemoryStore)
    transactions: int = 0
    failure: Exception | None = None
    gate: threading.Event | None = None
    next_due_failure: Exception | None = None

    def open(self) -> None:
        """Open the store."""
        self.inner.open()

    def close(self) -> None:
        """Close the store."""
        self.inner.close()

    def transact(self, step: Callable[[Draft], T]) -> T:
        """Run a transaction, unless it is to fail."""
        self.transactions += 1
        if self.gate is not None:
            assert self.gate.wait(timeout=10)
        if self.failure is not None:
            raise self.failure
        return self.inner.transact(step)

    def next_due(self) -> int | None:
        """Return the next deadline, unless that is to fail."""
        if self.next_due_failure is not None:
            raise self.next_due_failure
        return self.inner.next_due()

    def outbox(self) -> Sequence[Outgoing]:
        """Return what waits."""
        return self.inner.outbox()

    def clock_floor(self) -> int:
        """Return the highest instant."""
        return self.inner.clock_floor()


@asynccontextmanager
async def an_engine(
    store: Store | None = None, *, clock: Clock | None = None, **options: Any
) -> AsyncGenerator[Engine]:
    """Open an engine, over a memory store and at the epoch if nothing else is said."""
    async with open_engine(store or MemoryStore(), clock=clock or SettableClock(), **options) as engine:
        yield engine


async def ask(engine: Engine, request: Request, *, debug_time: int | None = None) -> Reply:
    """Have a request performed."""
    return await engine.perform(Envelope(Head("c", debug_time=debug_time), request))


def create(id: str, *, timeout_at: int = FAR, **tags: str) -> PromiseCreate:
    """Return a request that creates a promise; `target="x"` stands for the tag `resonate:target`."""
    return PromiseCreate(id, timeout_at, {f"resonate:{name}": value for name, value in tags.items()})


async def state_of(engine: Engine, id: str) -> PromiseState | None:
    """Return the state of a promise, None if there is none."""
    reply = await ask(engine, PromiseGet(id))
    return reply.data.promise.state if isinstance(reply.data, PromiseReply) else None


async def task_state_of(engine: Engine, id: str) -> TaskState | None:
    """Return the state of a task, None if there is none."""
    reply = await ask(engine, TaskGet(id))
    return reply.data.task.state if isinstance(reply.data, TaskReply) else None


async def hand_in(
    engine: Engine,
    request: Request,
    replies: list[Reply],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Hand in a request, to be awaited with `TaskGroup.start`, and keep the reply."""
    task_status.started()
    replies.append(await ask(engine, request))
