"""Code that is deployed wrongly, noticed, and put right by those who operate it."""

import signal
import sys
from pathlib import Path

import pytest
import trio

from resonate_trio import Client, PromiseNotFoundError

from .kit import Kit, Server, open_kit

pytestmark = [pytest.mark.trio, pytest.mark.slow]


async def continue_flow(kit: Kit, server: Server, id: str) -> int:
    """Do what the log advises to do."""
    command = [sys.executable, "-m", "resonate_trio", "continue", id, "--url", server.url]
    return await (await kit.run("continue", *command)).child.wait()


async def until_stored(client: Client, id: str) -> None:
    """Wait until a flow has made an invocation."""
    while True:
        try:
            await client.promises.get(id)
        except PromiseNotFoundError:
            await trio.sleep(0.01)
        else:
            return


async def test_flow_that_was_halted_goes_on_once_the_code_is_right(tmp_path: Path) -> None:
    """No wrong result comes of it; continuing too early, or what is not halted, harms nothing."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        async with Client(server.url) as client:
            right = await kit.serving("changing", server.url, "+")
            flow = await client.options(group="changing").rfi("flow", "flow", "gate")
            await until_stored(client, "flow:2")
            await right.child.signal(signal.SIGTERM)
            await client.promises.resolve("flow:2", "open")

            wrong = await kit.serving("changing", server.url, "-")
            await wrong.complains("resonate-trio continue")
            assert await continue_flow(kit, server, "flow") == 0
            await wrong.until(lambda: sum("resonate-trio continue" in line for line in wrong.complained) == 2)
            await wrong.child.signal(signal.SIGTERM)

            fixed = await kit.serving("changing", server.url, "+")
            assert await continue_flow(kit, server, "flow") == 0
            assert await flow == "3 open 7"
            assert await continue_flow(kit, server, "flow") == 1
            assert not any("changed" in line for line in fixed.complained)
