"""A flow and its test. Run it with pytest."""

from resonate_trio import Context, testing

pytest_plugins = ["resonate_trio.testing.plugin"]

YEAR = 365 * 24 * 3600


async def remind(ctx: Context, text: str) -> str:
    """Wait for a year, then say it."""
    await ctx.sleep(YEAR)
    return f"do not forget {text}"


async def test_reminds_after_a_year(resonate_world: testing.World) -> None:
    """A year of durable sleep takes milliseconds."""
    await resonate_world.start_worker(remind)
    assert await resonate_world.client.rfc("reminder-1", remind, "the milk") == "do not forget the milk"
