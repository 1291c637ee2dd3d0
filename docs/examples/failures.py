"""Failures: as they are raised at a call, in a nursery, and after they crossed processes."""

import trio
from attrs import define

from resonate_trio import Context, InvocationTimedOut, Never, RemoteError, Resonate

resonate = Resonate()


class OutOfStockError(Exception):
    """There is none left."""


@resonate.register_error
@define
class TooManyError(Exception):
    """There are not as many; registered, so that it arrives with its fields."""

    item: str
    available: int


@resonate.register(retry=Never())
async def reserve(item: str) -> str:
    """Reserve an item, if it can be."""
    if item == "unicorn":
        raise KeyError(item)
    if item == "pear":
        raise OutOfStockError("no pears before autumn")
    if item == "apples":
        raise TooManyError(item, available=3)
    return f"reserved: {item}"


@resonate.register
async def one_by_one(ctx: Context) -> str:
    """Handle a failure where it is raised: at the call."""
    try:
        return await ctx.rfc(reserve, "unicorn")
    except KeyError:
        return await ctx.rfc(reserve, "horse")


@resonate.register
async def all_at_once(ctx: Context) -> list[str]:
    """Handle all failures of a nursery, as a group: this one does not cancel the others when one fails."""
    handles = []
    problems = []
    try:
        async with ctx.open_nursery(fail_fast=False) as nursery:
            handles = [nursery.rfi(reserve, item) for item in ("plum", "unicorn", "pear")]
    except* KeyError as group:
        problems += [f"not in the catalogue: {error}" for error in group.exceptions]
    except* RemoteError as group:
        problems += [str(error) for error in group.exceptions]
    return [handles[0].value, *problems]


async def main() -> None:
    """Print how it ends, in each case."""
    async with resonate:
        print(await resonate.rfc("reserve-1", one_by_one))
        for line in await resonate.rfc("reserve-2", all_at_once):
            print(line)
        try:
            await resonate.rfc("reserve-3", reserve, "pear")
        except RemoteError as error:
            print(f"{error.type_name} in {error.id}: {error.message}")
        try:
            await resonate.rfc("reserve-4", reserve, "apples")
        except TooManyError as error:
            print(f"only {error.available} {error.item} left")
        try:
            await resonate.options(group="nobody", timeout=0.1).rfc("reserve-5", "reserve", "plum")
        except InvocationTimedOut as error:
            print(f"{error.id} has timed out")


if __name__ == "__main__":
    trio.run(main)
