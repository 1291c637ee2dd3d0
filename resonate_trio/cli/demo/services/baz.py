"""The service baz, the last in every row."""

import trio

from resonate_trio import Context, Resonate

from .program import SOME_TIME, WORKER, run

resonate = Resonate(group="baz", worker=WORKER)


@resonate.register
async def one() -> int:
    """Return 1, after some time."""
    await trio.sleep(SOME_TIME)
    return 1


@resonate.register
async def deliver(ctx: Context) -> str:
    """Wait, durably, for someone outside to sign for the parcel; return who did."""
    return await (await ctx.promise(str))


if __name__ == "__main__":
    run(resonate)
