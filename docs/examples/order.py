"""An order that survives the death of its process."""

import os
import signal
from pathlib import Path

import trio

from resonate_trio import Context, Resonate

resonate = Resonate(path="app.db")


@resonate.register
async def place_order(ctx: Context, item: str, price: int) -> str:
    """Take the money, then send the parcel."""
    payment = await ctx.lfc(charge, price)
    parcel = await ctx.lfc(ship, item)
    return f"{parcel}, paid by {payment}"


def charge(price: int) -> str:
    """Take the money. A customer does not want this to happen twice."""
    print(f"charging {price} €", flush=True)
    return "payment-1"


def ship(item: str) -> str:
    """Send the parcel. The first time, the power fails."""
    if not Path("power-failed").exists():
        Path("power-failed").touch()
        print("the power fails", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    print(f"sending the {item}", flush=True)
    return f"one {item}"


async def main() -> None:
    """Place the order, or find it placed already."""
    async with resonate:
        print(await resonate.rfc("order-17", place_order, "umbrella", 20))


if __name__ == "__main__":
    trio.run(main)
