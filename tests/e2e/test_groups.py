"""Several workers of one group."""

from functools import partial
from pathlib import Path

import pytest

from resonate_trio import Client

from .kit import Program, invoke_gate, open_kit

pytestmark = [pytest.mark.trio, pytest.mark.slow]


def _holds(worker: Program, count: int) -> bool:
    return len(worker.said) == 1 + count  # it is ready, and holds so many


async def test_two_workers_of_a_group_share_its_tasks(tmp_path: Path) -> None:
    """Of 20 tasks, two workers with 10 seats each run 10, and none is run twice."""
    numbers = range(20)
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        workers = [await kit.worker(server, "holders", capacity=10) for _ in range(2)]
        async with Client(server.url) as client:
            await invoke_gate(client, "gate")
            holders = client.options(group="holders")
            handles = [await holders.rfi(f"held-{number}", "hold", "gate", number) for number in numbers]
            for worker in workers:
                await worker.until(partial(_holds, worker, 10))
            await client.promises.resolve("gate", "open")
            assert [await handle for handle in handles] == ["open"] * 20
        said = [line for worker in workers for line in worker.said if line != "ready"]
        assert sorted(said) == sorted(f"holds {number}" for number in numbers)
