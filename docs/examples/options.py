"""Versions, timeouts and groups of invocations."""

import trio

from resonate_trio import Context, InvocationTimedOut, Resonate

resonate = Resonate(group="shop")


@resonate.register(version=1)
async def price(item: str) -> str:
    """Price an item, as we did last year."""
    return f"{item}: 10 €"


@resonate.register(name="price", version=2, timeout=60)
async def new_price(item: str) -> str:
    """Price an item, as we do now."""
    return f"{item}: 12 €"


@resonate.register
async def prices(ctx: Context, item: str) -> list[str]:
    """Price an item in each way, and by a service that nobody runs."""
    old = await ctx.rfc(price, item)
    new = await ctx.rfc(new_price, item)
    newest: str = await ctx.rfc("price", item)
    try:
        await ctx.options(group="rivals", timeout=0.1).rfc("price", item)
    except InvocationTimedOut:
        return [old, new, newest, "the rivals do not answer"]
    raise AssertionError


async def main() -> None:
    """Print the prices of a pear."""
    async with resonate:
        for line in await resonate.options(timeout=10).rfc("prices-1", prices, "pear"):
            print(line)


if __name__ == "__main__":
    trio.run(main)
