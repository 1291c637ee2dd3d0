"""Pytest fixtures: `pytest_plugins = ["resonate_trio.testing.plugin"]` in a conftest.py. They need pytest-trio."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
import trio

from ._time import run_virtually
from ._world import World, open_world

T = TypeVar("T")

FIXTURE = "resonate_world"
MARK = "resonate_world"


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers", f"{MARK}(seed=0, path=None): how the world of a test is opened, by its seed"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Have a test that asks for a world run in virtual time, whatever its own mark `trio` says."""
    if FIXTURE not in getattr(item, "fixturenames", ()):
        return
    mark = item.get_closest_marker(MARK)
    seed = int(mark.kwargs.get("seed", 0)) if mark else 0

    def run(
        async_fn: Callable[[], Awaitable[T]],
        *,
        clock: trio.abc.Clock | None = None,
        instruments: Sequence[trio.abc.Instrument] = (),
    ) -> T:
        return run_virtually(async_fn, seed=seed, clock=clock, instruments=instruments)

    item.add_marker(pytest.mark.trio(run=run), append=False)


@pytest.fixture
async def resonate_world(request: pytest.FixtureRequest) -> AsyncGenerator[World, None]:
    """Open a world for the test, which runs in virtual time. If it fails, its report has the seed and the trace.

    `@pytest.mark.resonate_world(seed=7)` opens it, and runs the test, with another seed.
    """
    mark = request.node.get_closest_marker(MARK)
    options = dict(mark.kwargs) if mark else {}
    async with open_world(**options) as world:
        try:
            yield world
        finally:
            report = f"seed {options.get('seed', 0)}\n{world.trace}"
            request.node.add_report_section("call", "resonate world", report)
