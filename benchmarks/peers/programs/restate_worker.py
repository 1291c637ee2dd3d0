"""A worker process of Restate: `... restate_worker ROLE PORT`, with the role `caller` or `callee`."""

import asyncio
import sys

import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

caller = restate.Service("caller")
callee = restate.Service("callee")


@callee.handler("echo")
async def echo(_: restate.Context, value: int) -> int:
    """Return the value."""
    return value


async def step() -> int:
    """Return 1."""
    return 1


@caller.handler("steps")
async def steps(ctx: restate.Context, count: int) -> int:
    """Run local steps one after the other; return how many."""
    total = 0
    for _ in range(count):
        total += await ctx.run_typed("step", step)
    return total


@caller.handler("calls")
async def calls(ctx: restate.Context, count: int) -> int:
    """Call the other worker one time after the other; return how often."""
    total = 0
    for _ in range(count):
        total += await ctx.service_call(echo, 1)
    return total


@caller.handler("fan_out")
async def fan_out(ctx: restate.Context, count: int) -> int:
    """Call the other worker many times at once; return how often."""
    futures = [ctx.service_call(echo, 1) for _ in range(count)]
    await restate.gather(*futures)
    return sum([await future for future in futures])


@caller.handler("empty")
async def empty(_: restate.Context) -> None:
    """Do nothing."""


async def main(role: str, port: int) -> None:
    """Serve the functions of a role until SIGTERM, which ends the process at once: it has nothing to lose."""
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    app = restate.app([caller] if role == "caller" else [callee])
    await serve(app, config, shutdown_trigger=asyncio.Event().wait)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
