"""The fixtures, as a test of a user has them."""

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from resonate_trio import testing

from .flows import YEAR_S, remind


async def test_a_test_has_a_world_in_virtual_time(resonate_world: testing.World) -> None:
    """It needs no mark, and no clock."""
    await resonate_world.start_worker(remind)
    assert await resonate_world.client.rfc("a", remind, "it") == "do not forget it"
    assert trio.current_time() >= YEAR_S


@pytest.mark.trio
@pytest.mark.resonate_world(seed=3)
async def test_a_mark_chooses_the_seed(resonate_world: testing.World) -> None:
    """And a mark for trio does no harm."""
    await trio.sleep(YEAR_S)
    assert isinstance(resonate_world, testing.World)


FAILING = """
import pytest

pytest_plugins = ["resonate_trio.testing.plugin"]


@pytest.mark.resonate_world(seed=7)
async def test_fails(resonate_world):
    async def flow():
        return 1

    await resonate_world.start_worker(flow)
    assert await resonate_world.client.rfc("a", flow) == 2
"""


def test_a_failing_test_shows_its_seed_and_its_trace(tmp_path: Path) -> None:
    """So it can be repeated, and understood."""
    path = tmp_path / "test_failing.py"
    path.write_text(FAILING)
    command = [sys.executable, "-m", "pytest", "-p", "resonate_trio.testing.plugin", "--strict-markers", str(path)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "seed 7" in ended.stdout
    assert "task.fulfill a at 1: resolved" in ended.stdout
    assert "1 failed" in ended.stdout


STORM = """
import sys
from resonate_trio import testing
from tests.testing.test_faults import stormy
from tests.testing.test_world import in_world
print(in_world(stormy, seed=5)[1])
"""


def test_the_same_seed_gives_the_same_trace_in_every_process() -> None:
    """Nothing hangs on the hashes of strings, the addresses of objects, or the clock on the wall."""
    root = Path(__file__).parents[2]
    traces = set()
    for hash_seed in "12":
        command = [sys.executable, "-c", STORM]
        env = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)}
        ended = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=60, check=True)
        traces.add(ended.stdout)
    assert len(traces) == 1
