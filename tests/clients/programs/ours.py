"""Our own client as a worker. Arguments: the URL of the server and its group."""

import sys
from typing import Any

import trio

from resonate_trio import Context, Never, RemoteError, Resonate

url, group = sys.argv[1:3]
resonate = Resonate(url, group=group)


@resonate.register
def echo(value: object) -> object:
    """Return the argument."""
    return value


@resonate.register(retry=Never())
def fail(value: object) -> None:
    """Raise an error."""
    raise ValueError(value)


@resonate.register(retry=Never())
def fail_twice(message: str) -> None:
    """Raise two errors at once."""
    raise ExceptionGroup("both", [ValueError(message), OSError(message)])


@resonate.register
def repeat(word: str, *, times: int) -> str:
    """Return a word, several times."""
    return word * times


@resonate.register
async def relay(ctx: Context, target: str, func: str, args: list[Any]) -> object:
    """Return what a function of another group returns."""
    return await ctx.options(group=target).rfc(func, *args)


@resonate.register
async def gather(ctx: Context, calls: list[Any]) -> list[Any]:
    """Invoke many functions at once, and return their outcomes."""
    handles = [ctx.options(group=target).rfi(func, *args) for target, func, args in calls]
    outcomes: list[dict[str, object]] = []
    for handle in handles:
        try:
            outcomes.append({"value": await handle})
        except RemoteError as error:
            outcomes.append({"error": [error.type_name, error.message], "data": error.data})
        except Exception as error:
            outcomes.append({"error": [type(error).__name__, str(error)]})
    return outcomes


async def main() -> None:
    """Work until the process is killed."""
    async with resonate:
        await trio.sleep_forever()


trio.run(main)
