"""What the tests of the SDK's runtime run in."""

from collections.abc import AsyncIterator
from typing import Final, cast

import pytest
import trio
from _pytest.mark import ParameterSet

from resonate_trio._transport import EmbeddedTransport
from resonate_trio._worker._link_heartbeat import LinkHeartbeat
from server_ref.clock import LoopClock
from server_ref.engine import open_engine
from server_ref.machine import OFFERED, Extensions, Settings
from server_ref.store import MemoryStore

from .kit import EPOCH_MS, Recorder, Wire, World

ALL: Final = pytest.param(OFFERED, id=pytest.HIDDEN_PARAM)
NONE: Final = pytest.param(frozenset(), id="no extension")
CORE: Final = {
    "test_cancel_scopes",
    "test_cancelling_moments",
    "test_cancelling_trees",
    "test_deadlines_durable",
    "test_divergence",
    "test_flows",
    "test_nurseries",
    "test_nursery_failures",
    "test_plain_scopes",
    "test_steps",
    "test_suspension",
    "test_versions",
    "test_waits",
}
"""The tests that are run twice: on a server that offers all extensions, and on one that offers none."""


def pytest_configure(config: pytest.Config) -> None:
    """Add the marks of the tests in this folder."""
    config.addinivalue_line(
        "markers", "needs_extension(name): what is tested is there only if the server offers it"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the servers of a test."""
    if "server_extensions" in metafunc.fixturenames:
        metafunc.parametrize("server_extensions", _servers(metafunc), indirect=True)


def _servers(metafunc: pytest.Metafunc) -> list[ParameterSet]:
    with_all, with_none = [ALL], [NONE]
    if metafunc.definition.get_closest_marker("needs_extension") is not None:
        with_none = []
    if metafunc.config.getoption("--extensions") == "none":
        return with_none
    return with_all + with_none if metafunc.module.__name__.rpartition(".")[2] in CORE else with_all


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run tests as on a machine where nothing is configured."""
    for name in ("RESONATE_URL", "RESONATE_TOKEN", "RESONATE_GROUP"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server_extensions(request: pytest.FixtureRequest) -> Extensions:
    """Return the extensions of the protocol that the server offers."""
    return cast("Extensions", request.param)


@pytest.fixture
async def world(server_extensions: Extensions) -> AsyncIterator[World]:
    """An engine for workers of several groups. Its time is that of trio."""
    settings = Settings(extensions=server_extensions)
    async with open_engine(MemoryStore(), clock=LoopClock(EPOCH_MS), settings=settings) as engine:
        yield World(engine, Wire(engine))


@pytest.fixture
def recorder() -> Recorder:
    """Return an instrument that keeps what a worker tells."""
    return Recorder()


@pytest.fixture
def server_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat the engine as a server elsewhere: leases end if no heartbeat extends them."""
    monkeypatch.setattr(EmbeddedTransport, "shares_fate", False)


@pytest.fixture
def finite_leases(server_elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat the engine as a server elsewhere, which heartbeats do not reach: leases end in any case."""

    async def run(_: LinkHeartbeat) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(LinkHeartbeat, "run", run)
