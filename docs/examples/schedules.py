"""A function that runs by the calendar."""

import trio

from resonate_trio import Resonate

resonate = Resonate()
has_run = trio.Event()


@resonate.register
async def report(kind: str) -> str:
    """Write a report."""
    has_run.set()
    return f"a report on {kind}"


async def main() -> None:
    """Have a report written every second, and read one."""
    async with resonate:
        await resonate.schedule("sales", "* * * * * *", report, "sales")
        await has_run.wait()
        schedule = await resonate.schedules.get("sales")
        assert schedule.last_run_id is not None
        print(await (await resonate.get(schedule.last_run_id, str)))
        await resonate.schedules.delete("sales")


if __name__ == "__main__":
    trio.run(main)
