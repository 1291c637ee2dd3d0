"""The service bar."""

import trio

from resonate_trio import Context, Resonate

resonate = Resonate(group="bar")


@resonate.register
async def one() -> int:
    """Return 1, after some time."""
    await trio.sleep(0.1)
    return 1


@resonate.register
async def chain(ctx: Context) -> int:
    """Add 1 to what the next service returns."""
    result: int = await ctx.options(group="baz").rfc("one")
    return result + 1


@resonate.register
async def pack(ctx: Context, parcel: str) -> None:
    """Hand the parcel on, and forget about it."""
    print(f"bar packs {parcel}", flush=True)
    ctx.options(group="baz").detached("deliver", parcel)


if __name__ == "__main__":
    trio.run(resonate.serve)
