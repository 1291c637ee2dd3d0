"""Servers, callers and callees are killed in the middle of a flow, and the flow goes on."""

import signal
from pathlib import Path

import pytest

from resonate_trio import Client

from .kit import invoke_gate, open_kit

pytestmark = [pytest.mark.trio, pytest.mark.slow]

RESULT = ["pick", "pack", "open", "ship"]


async def test_killed_callee_is_replaced_by_another_of_its_group(tmp_path: Path) -> None:
    """When the lease of a dead worker is over, another one runs its task from the start."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        first = await kit.worker(server, "holders", lease=1.0)
        async with Client(server.url) as client:
            await invoke_gate(client, "gate")
            held = await client.options(group="holders").rfi("held", "hold", "gate")
            await first.says("holds 0")
            await first.child.kill()
            second = await kit.worker(server, "holders", lease=1.0)
            await second.says("holds 0")
            await client.promises.resolve("gate", "open")
            assert await held == "open"


async def test_killed_caller_goes_on_elsewhere_without_running_finished_steps_again(tmp_path: Path) -> None:
    """Another worker replays the stored steps of a dead caller and runs those that are left."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        first = await kit.worker(server, "shops", lease=1.0)
        holder = await kit.worker(server, "holders")
        async with Client(server.url) as client:
            await invoke_gate(client, "gate")
            shop = await client.options(group="shops").rfi("shop", "shop", "gate")
            await holder.says("holds 0")
            await first.child.kill()
            second = await kit.worker(server, "shops", lease=1.0)
            await client.promises.resolve("gate", "open")
            assert await shop == RESULT
            assert first.said == ["ready", "runs pick", "runs pack"]
            assert second.said == ["ready", "runs ship"]
            assert holder.said == ["ready", "holds 0"]


async def test_killed_server_loses_nothing_that_it_had_acknowledged(tmp_path: Path) -> None:
    """A flow goes on where it was when the server is back: suspended tasks, running ones, and whoever waits."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        shops = await kit.worker(server, "shops", lease=30.0)
        holder = await kit.worker(server, "holders", lease=30.0)
        async with Client(server.url) as client:
            await invoke_gate(client, "gate")
            shop = await client.options(group="shops").rfi("shop", "shop", "gate")
            await holder.says("holds 0")
            await server.restart()
            await client.promises.resolve("gate", "open")
            assert await shop == RESULT
            assert shops.said == ["ready", "runs pick", "runs pack", "runs ship"]
            assert holder.said == ["ready", "holds 0"]


async def test_worker_that_leaves_its_block_hands_its_tasks_to_another(tmp_path: Path) -> None:
    """Draining releases what is still running after the grace: nobody waits for a lease of a minute."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        first = await kit.worker(server, "holders", lease=60.0, grace=0.1)
        async with Client(server.url) as client:
            await invoke_gate(client, "gate")
            held = await client.options(group="holders").rfi("held", "hold", "gate")
            await first.says("holds 0")
            second = await kit.worker(server, "holders", lease=60.0)
            assert await first.child.signal(signal.SIGTERM) == 0
            assert first.said == ["ready", "holds 0", "drained"]
            await second.says("holds 0")
            await client.promises.resolve("gate", "open")
            assert await held == "open"


async def test_embedded_flow_goes_on_when_its_program_is_started_again(tmp_path: Path) -> None:
    """With `Resonate(path=...)`, a killed program that is started again runs only what had not finished."""
    database = str(tmp_path / "app.db")
    async with open_kit(tmp_path) as kit:
        killed = await kit.script("embedded", database, "hang")
        await killed.says("runs three")
        await killed.child.kill()
        again = await kit.script("embedded", database)
        assert await again.child.wait() == 0
        assert killed.said == ["runs one", "runs two", "runs three"]
        assert again.said == ["runs three", "result ['one', 'two', 'three']"]
