"""DBOS on Postgres: the workflows and whoever calls them in this process, as DBOS is meant to be used.

It has no call from one process to another but queues, which are polled: its remote call is a child workflow.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping

from dbos import DBOS

from ._drive import serve_orders


@DBOS.step()
async def echo(value: int) -> int:
    """Return the value."""
    return value


@DBOS.workflow()
async def echo_flow(value: int) -> int:
    """Return the value."""
    return value


@DBOS.workflow()
async def steps(count: int) -> int:
    """Run local steps one after the other; return how many."""
    total = 0
    for _ in range(count):
        total += await echo(1)
    return total


@DBOS.workflow()
async def calls(count: int) -> int:
    """Run child workflows one after the other; return how many."""
    total = 0
    for _ in range(count):
        total += await echo_flow(1)
    return total


@DBOS.workflow()
async def fan_out(count: int) -> int:
    """Start child workflows, then wait for all; return how many."""
    handles = [await DBOS.start_workflow_async(echo_flow, 1) for _ in range(count)]
    return sum([await handle.get_result() for handle in handles])


@DBOS.workflow()
async def empty() -> None:
    """Do nothing."""


FUNCTIONS: Mapping[str, Callable[..., Awaitable[object]]] = {
    "echo": echo_flow,
    "steps": steps,
    "calls": calls,
    "fan_out": fan_out,
    "empty": empty,
}


async def call(function: str, arguments: list[object]) -> object:
    """Run a workflow; return its result."""
    return await FUNCTIONS[function](*arguments)


async def main(database: str) -> None:
    """Carry out orders."""
    DBOS(config={"name": "benchmark", "system_database_url": database, "log_level": "ERROR"})
    DBOS.launch()
    try:
        await serve_orders(call)
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
