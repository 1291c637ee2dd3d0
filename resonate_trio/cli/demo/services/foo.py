"""The service foo: whatever a flow of the demo is about, foo is what is called first."""

import trio

from resonate_trio import Context, Resonate

from .program import SOME_TIME, WORKER, run

resonate = Resonate(group="foo", worker=WORKER)


@resonate.register
async def fan_out(ctx: Context) -> int:
    """Invoke two services at once, and add up what they return."""
    async with ctx.open_nursery() as nursery:
        bar = nursery.options(group="bar").rfi("one")
        baz = nursery.options(group="baz").rfi("one")
    total: int = bar.value + baz.value
    return total


@resonate.register
async def chain(ctx: Context) -> int:
    """Call a service that calls a service; each adds 1 on the way back."""
    on_the_way: int = await ctx.options(group="bar").rfc("chain")
    return on_the_way + 1


@resonate.register
async def send(ctx: Context) -> str:
    """Hand a parcel over, and return without waiting for what becomes of it."""
    await trio.sleep(SOME_TIME)
    ctx.options(group="bar").detached("pack")
    return "sent"


@resonate.register
async def factorial(ctx: Context, n: int) -> int:
    """Multiply by the factorial of n - 1, for which any worker of this group is asked."""
    return n * await ctx.rfc(factorial, n - 1) if n > 1 else 1


@resonate.register
async def ask(ctx: Context) -> int:
    """Have someone think, until the promise that is handed out is resolved; add 1 to what comes of it."""
    answer = (await ctx.promise(int)).id
    thought: int = await ctx.options(group="bar").rfc("think", answer)
    return thought + 1


@resonate.register
async def checkout(ctx: Context, items: int) -> int:
    """Three steps, a call to another service, and one step more."""
    reserved = await ctx.lfc(reserve, items)
    price = await ctx.lfc(quote, reserved)
    price = await ctx.lfc(discount, price)
    shipping: int = await ctx.options(group="bar").rfc("ship")
    return await ctx.lfc(charge, price + shipping)


async def reserve(items: int) -> int:
    """Reserve so many items."""
    await trio.sleep(SOME_TIME)
    return items


async def quote(items: int) -> int:
    """Ask what they cost."""
    await trio.sleep(SOME_TIME)
    return 10 * items


async def discount(price: int) -> int:
    """Take something off."""
    await trio.sleep(SOME_TIME)
    return price - 3


async def charge(amount: int) -> int:
    """Take the money: this of all steps should not be run twice."""
    await trio.sleep(SOME_TIME)
    return amount


if __name__ == "__main__":
    run(resonate)
