"""A saga: book all of a trip, or give back what was booked of it."""

import trio

from resonate_trio import Context, InvocationCancelled, Never, Resonate

resonate = Resonate()
asked_in_rome = trio.Event()


@resonate.register
async def book_trip(ctx: Context, city: str) -> str:
    """Book one thing after the other; if that ends early, for whatever reason, undo it backwards."""
    booked: list[str] = []
    try:
        for what in ("flight", "car", "hotel"):
            booking = await ctx.rfc(book, what, city)
            booked.append(booking)
    except (Exception, trio.Cancelled):
        with ctx.shield(budget=20):
            for booking in reversed(booked):
                await ctx.rfc(give_back, booking)
        raise
    return f"booked: {', '.join(booked)}"


@resonate.register(retry=Never())
async def book(what: str, city: str) -> str:
    """Book one thing."""
    if what == "hotel" and city == "Atlantis":
        raise LookupError("no hotel in Atlantis")
    if what == "hotel" and city == "Rome":
        asked_in_rome.set()
        await trio.sleep(3600)
    return f"{what} to {city}" if what == "flight" else f"{what} in {city}"


@resonate.register
async def give_back(booking: str) -> None:
    """Give one thing back. Doing so twice does no harm."""
    print(f"given back: {booking}")


async def main() -> None:
    """Book a trip that works, one that fails, and one that is called off."""
    async with resonate:
        print(await resonate.rfc("trip-1", book_trip, "Lisbon"))

        try:
            await resonate.rfc("trip-2", book_trip, "Atlantis")
        except LookupError as error:
            print(error)

        trip = await resonate.rfi("trip-3", book_trip, "Rome")
        await asked_in_rome.wait()
        await resonate.cancel("trip-3", reason="the traveller is ill")
        try:
            await trip
        except InvocationCancelled as error:
            print(f"called off: {error.reason}")


if __name__ == "__main__":
    trio.run(main)
