"""The published Python client, as a worker or to do one thing.

Arguments: the URL of the server, a group, the lease in milliseconds; then nothing to work for the group until it
is killed, or a command and a JSON array of its arguments, to tell the outcome and end. It runs in an environment
of its own, which has that client and nothing of ours.
"""

import asyncio  # ruff: ignore[banned-api]  (what that client runs on)
import json
import os
import sys
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

from resonate.context import Context
from resonate.resonate import Resonate
from resonate.retry import Never
from resonate.types import Value

url, group, lease, *command = sys.argv[1:]


def say(line: str) -> None:
    """Write a line that the test hears at once."""
    print(line, flush=True)  # ruff: ignore[print]  (nothing but the client is installed here)


# --- Functions ------------------------------------------------------------------------------------


def echo(_: Context, value: object) -> object:
    """Return the argument."""
    return value


def pid(_: Context) -> int:
    """Return the process that runs this."""
    return os.getpid()


def tell(_: Context, what: str) -> None:
    """Say something."""
    say(f"told {what}")


def fail(_: Context, value: object) -> None:
    """Raise an error."""
    raise ValueError(value)


def repeat(_: Context, word: str, *, times: int) -> str:
    """Return a word, several times."""
    return word * times


async def relay(
    ctx: Context, target: str, func: str, args: list[Any], kwargs: dict[str, Any] | None = None
) -> object:
    """Return what a function of another group returns."""
    return await ctx.options(target=target).rpc(func, *args, **(kwargs or {}))


async def gather(ctx: Context, calls: list[Any]) -> list[Any]:
    """Invoke many functions at once, and return their outcomes."""
    futures = [ctx.options(target=target).rpc(func, *args) for target, func, args in calls]
    return [await outcome_of(future) for future in futures]


async def hand_over(ctx: Context, target: str, func: str, args: list[Any]) -> str:
    """Invoke a function that outlives this one."""
    await ctx.options(target=target).detached(func, *args)
    return "handed over"


async def factorial(ctx: Context, target: str, n: int) -> int:
    """Return n!, by invoking itself remotely."""
    return 1 if n < 2 else n * await ctx.options(target=target).rpc("factorial", target, n - 1)


async def nap(ctx: Context, seconds: float) -> str:
    """Sleep."""
    await ctx.sleep(timedelta(seconds=seconds))
    return "rested"


async def wonder(ctx: Context) -> object:
    """Return what somebody outside settles a promise with."""
    answer = ctx.promise()
    say(f"wonders {await answer.id()}")
    return await answer


def registered() -> Resonate:
    """Return the client with all functions. They are tried once."""
    resonate = Resonate(url=url, group=group, ttl=timedelta(milliseconds=int(lease)), retry_policy=Never())

    async def hold(_: Context, gate: str) -> object:
        """Keep this worker busy until a promise is settled."""
        say("holds")
        return await (await resonate.get(gate)).result()

    for func in (echo, pid, tell, fail, repeat, relay, gather, factorial, nap, wonder, hold):
        resonate.register(func)
    resonate.register(hand_over, name="handOver")
    return resonate


# --- Commands -------------------------------------------------------------------------------------


async def outcome_of(awaitable: Awaitable[object]) -> dict[str, object]:
    """Return a result or an error as data."""
    try:
        return {"value": await awaitable}
    except Exception as error:
        return {"error": [type(error).__name__, str(error)]}


async def perform(resonate: Resonate, name: str, arguments: list[Any]) -> object:
    """Do what a command says."""
    match name, arguments:
        case "run", [id, func, args]:
            return await resonate.run(id, func, *args).result()
        case "rpc", [id, target, func, args]:
            return await resonate.options(target=target).rpc(id, func, *args).result()
        case "resolve", [id, value]:
            await resonate.promises.resolve(id, Value(data=value))
        case "schedule", [id, cron, target, func, args]:
            await resonate.options(target=target).schedule(id, cron, func, tuple(args))
        case "unschedule", [id]:
            await resonate.schedules.delete(id)
        case _:
            raise ValueError(name)
    return None


async def main() -> None:
    """Work until the process is killed, or perform a command."""
    resonate = registered()
    if not command:
        await asyncio.Event().wait()
    name, arguments = command
    outcome = await outcome_of(perform(resonate, name, json.loads(arguments)))
    say(f"outcome {json.dumps(outcome)}")
    await resonate.stop()


asyncio.run(main())
