"""What happens when a function fails: it is tried again, unless it makes no sense."""

import trio

from resonate_trio import Constant, Context, Exponential, Never, Resonate

resonate = Resonate()
weather = iter(["storm", "rain", "sun"])


@resonate.register(retry=Exponential(initial=0.01, cap=1, max_attempts=10, non_retryable=(ValueError,)))
async def fly(destination: str) -> str:
    """Fly, once the weather allows it."""
    if destination == "Atlantis":
        raise ValueError("there is no such place")
    now = next(weather)
    print(f"{destination}: {now}")
    if now != "sun":
        raise RuntimeError(f"no flights, {now}")
    return f"arrived at {destination}"


@resonate.register(retry=Never())
async def travel(ctx: Context, destination: str) -> str:
    """Try to book a hotel, with a policy for this one call."""
    booking = ctx.options(retry=Constant(delay=0.01, max_attempts=2))
    try:
        await booking.lfc(book, destination)
    except OSError as error:
        print(f"no hotel: {error}")
    return await ctx.rfc(fly, destination)


async def book(destination: str) -> None:
    """Find no hotel."""
    print(f"looking for a hotel in {destination}")
    raise OSError("the line is busy")


async def main() -> None:
    """Travel to a place, and to one that does not exist."""
    async with resonate:
        print(await resonate.rfc("travel-1", travel, "Lisbon"))
        try:
            await resonate.rfc("travel-2", fly, "Atlantis")
        except ValueError as error:
            print(f"ValueError: {error}")


if __name__ == "__main__":
    trio.run(main)
