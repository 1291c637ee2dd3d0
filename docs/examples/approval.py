"""A flow that sleeps, and that waits for a human."""

import trio

from resonate_trio import Context, InvocationTimedOut, Resonate

resonate = Resonate()
inbox_send, inbox = trio.open_memory_channel[str](1)


@resonate.register
async def expense(ctx: Context, amount: int) -> str:
    """Ask for approval, and pay after a while."""
    approval = await ctx.promise(bool, expires_after=7 * 24 * 3600)
    await ctx.lfc(ask_for_approval, approval.id, amount)
    try:
        if not await approval:
            return "refused"
    except InvocationTimedOut:
        return "nobody has answered within a week"
    await ctx.sleep(0.1)
    return f"{amount} € are paid"


async def ask_for_approval(approval: str, amount: int) -> None:
    """Send a mail with a link that contains the id of the promise. Here: hand it to `boss`."""
    print(f"can {amount} € be paid? please answer to {approval}")
    await inbox_send.send(approval)


async def boss() -> None:
    """Click on the link. The web application behind it settles the promise."""
    approval = await inbox.receive()
    await resonate.promises.resolve(approval, True)


async def main() -> None:
    """Claim an expense, and have it approved."""
    async with resonate, trio.open_nursery() as nursery:
        nursery.start_soon(boss)
        print(await resonate.rfc("expense-1", expense, 120))


if __name__ == "__main__":
    trio.run(main)
