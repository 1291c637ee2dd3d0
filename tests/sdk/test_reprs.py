"""What objects say of themselves, in logs and in a debugger: what they are, and how they stand."""

from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from resonate_trio import Context
from resonate_trio._sources import EmbeddedSource, PollSource
from resonate_trio._transport import EmbeddedTransport, Link

from .kit import World, in_virtual_time

if TYPE_CHECKING:
    from resonate_trio._execution import Execution

pytestmark = in_virtual_time


async def test_objects_inside_a_durable_function_name_their_invocation(world: World) -> None:
    """Whoever prints one sees where it belongs."""
    app = world.resonate()
    seen: list[str] = []

    @app.register
    async def flow(ctx: Context) -> None:
        block = ctx.open_nursery()
        async with block as nursery:
            handle = nursery.lfi(trio.sleep, 1)
            scope = ctx.move_on_after(5)
            with scope:
                seen.append(repr(scope))
                scope.cancel()
                seen.append(repr(scope))
        frame, execution = ctx._frame, ctx._frame.execution
        seen.extend(map(repr, [ctx, handle, nursery, block, frame]))
        seen.extend(map(repr, [frame.run, execution.life, execution.ledger]))

    async with app:
        await app.rfc("a", flow)
    assert seen == [
        "<CancelScope 'a#2'>",
        "<CancelScope 'a#2', cancelled>",
        "<Context of 'a'>",
        "<Handle 'a:1' of sleep>",
        "<Nursery: <Children of 'a': 1>>",
        "<NurseryManager of <Nursery: <Children of 'a': 1>>>",
        "<Frame of 'a': 2 durable calls>",
        "<Run of flow>",
        "<Life of <HeldTask 'a' at version 1, <Lease until inf>>: goes on>",
        "<Ledger: <Journal of 2 promises>>",
    ]


async def test_execution_says_what_its_bodies_do(world: World) -> None:
    """It runs, or is parked."""
    executions: list[Execution] = []
    seen: list[str] = []

    app = world.resonate()

    @app.register
    async def flow(ctx: Context) -> None:
        executions.append(ctx._frame.execution)
        seen.append(repr(executions[0]))
        await ctx.sleep(10)

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(1)
        seen.extend([repr(executions[0]), repr(handle), repr(app._require_running().worker).split(": ")[1]])
    assert seen == [
        "<Execution of 'a' at version 1: <Bodies: 1 running, 0 blocked>>",
        "<Execution of 'a' at version 1: parked>",
        "<RootHandle 'a' pending>",
        "0 active, 1 parked>",
    ]


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
async def test_application_says_where_it_works(world: World, is_open: bool) -> None:
    """And whether it is open."""
    app = world.resonate("g")
    if is_open:
        async with app:
            assert repr(app) == "<Resonate 'g' on an engine, open>"
    assert repr(app) == "<Resonate 'g' on an engine, closed>"


async def test_ways_to_a_server_name_it(world: World) -> None:
    """Transports, links and sources."""
    transport = EmbeddedTransport(world.engine)
    async with transport, httpx.AsyncClient() as client:
        sources = [EmbeddedSource(world.engine, "g", "p"), PollSource(client, "u", "g", "p")]
        things = [transport, Link(transport), *sources]
    assert [repr(thing) for thing in things] == [
        "<EmbeddedTransport>",
        "<Link to the embedded server>",
        "<EmbeddedSource g/p>",
        "<PollSource u/poll/g/p>",
    ]
