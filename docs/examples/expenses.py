"""A service whose function waits for a human."""

import logging
from urllib.parse import quote

import trio
from attrs import frozen

from resonate_trio import Context, InvocationCancelled, InvocationTimedOut, Resonate

resonate = Resonate(group="expenses")


@frozen
class Decision:
    """What the human says."""

    approved: bool
    by: str


@resonate.register
async def expense(ctx: Context, amount: int) -> str:
    """Ask for a decision, and act on it."""
    decision = await ctx.promise(Decision, expires_after=7 * 24 * 3600)
    await ctx.lfc(ask_for_decision, decision.id, amount)
    try:
        said = await decision
    except InvocationTimedOut:
        return "nobody has decided within a week"
    except InvocationCancelled as error:
        return f"withdrawn: {error.reason}"
    return f"{amount} € are {'paid' if said.approved else 'refused'}, says {said.by}"


async def ask_for_decision(decision: str, amount: int) -> None:
    """Send a mail with a link. Here: print it."""
    print(f"pay {amount} €? please decide at /decisions/{quote(decision)}", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    trio.run(resonate.serve)
