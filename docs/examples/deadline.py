"""A deadline over a chain of calls, however many processes it goes through."""

import trio
from trio.testing import MockClock

from resonate_trio import Context, Resonate
from server_ref.clock import LoopClock
from server_ref.engine import open_engine
from server_ref.store import MemoryStore

resonate = Resonate()

MINUTE = 60


@resonate.register
async def quote(ctx: Context, item: str) -> str:
    """Return a price within a minute: today's, or else the one of the catalogue."""
    with ctx.move_on_after(MINUTE) as scope:
        price, source = await ctx.rfc(todays_price, item), "today"
    if scope.cancelled_caught:
        price, source = await ctx.lfc(catalogue, item), "in the catalogue"
    return f"{item}: {price} € {source}"


@resonate.register
async def must_be_quick(ctx: Context, item: str) -> str:
    """Return today's price within a minute, or fail."""
    with ctx.fail_after(MINUTE):
        price = await ctx.rfc(todays_price, item)
    return f"{item}: {price} € today"


@resonate.register
async def todays_price(ctx: Context, item: str) -> int:
    """Ask the supplier, and add what is ours."""
    return await ctx.rfc(supplier, item) + 1


@resonate.register
async def supplier(item: str) -> int:
    """Look it up, which takes an hour for some."""
    try:
        await trio.sleep(1 if item == "apple" else 60 * MINUTE)
    except trio.Cancelled:
        print(f"the supplier stops looking for a price of the {item}")
        raise
    return 2


async def catalogue(item: str) -> int:
    """Look up the price in the catalogue."""
    return len(item)


async def main() -> None:
    """Ask for the price of something that the supplier knows, and of something that it has to look for."""
    async with (
        open_engine(MemoryStore(), clock=LoopClock(0)) as engine,
        Resonate(engine=engine, registry=resonate.registry) as app,
    ):
        print(await app.rfc("quote-1", quote, "apple"))
        print(await app.rfc("quote-2", quote, "pear"))
        try:
            await app.rfc("quote-3", must_be_quick, "pear")
        except trio.TooSlowError:
            print(f"too slow, after {trio.current_time():.0f} seconds in all")


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))  # jumps ahead whenever everybody waits
