"""What the tests of the SDK's runtime run in."""

from collections.abc import AsyncIterator

import pytest

from resonate_trio._transport import EmbeddedTransport
from server_ref.clock import LoopClock
from server_ref.engine import open_engine
from server_ref.store import MemoryStore

from .kit import EPOCH_MS, Recorder, Wire, World


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run tests as on a machine where nothing is configured."""
    for name in ("RESONATE_URL", "RESONATE_TOKEN", "RESONATE_GROUP"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An engine for workers of several groups. Its time is that of trio."""
    async with open_engine(MemoryStore(), clock=LoopClock(EPOCH_MS)) as engine:
        yield World(engine, Wire(engine))


@pytest.fixture
def recorder() -> Recorder:
    """Return an instrument that keeps what a worker tells."""
    return Recorder()


@pytest.fixture
def finite_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat the engine as a server elsewhere: leases end. Heartbeats do not reach it, so they end in any case."""
    monkeypatch.setattr(EmbeddedTransport, "shares_fate", False)
