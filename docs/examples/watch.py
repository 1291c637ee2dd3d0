"""A worker that is watched."""

import trio

from resonate_trio import Context, Instrument, Resonate, WorkerOptions


class Printer(Instrument):
    """Prints what the worker does."""

    def task_started(self, id: str, function: str) -> None:
        """Print that a function begins."""
        print(f"{id}: {function} started")

    def task_suspended(self, id: str) -> None:
        """Print that a task waits for others, and keeps no worker busy."""
        print(f"{id}: suspended")

    def task_resumed(self, id: str) -> None:
        """Print that it goes on."""
        print(f"{id}: resumed")

    def step_executed(self, id: str, function: str) -> None:
        """Print that a local step ran."""
        print(f"{id}: step {function}")

    def task_finished(self, id: str, state: str) -> None:
        """Print how a task ended."""
        print(f"{id}: {state}")


resonate = Resonate(worker=WorkerOptions(instrument=Printer()))


@resonate.register
async def outer(ctx: Context) -> int:
    """Do one step here, and one elsewhere."""
    return await ctx.lfc(step) + await ctx.rfc(inner)


@resonate.register
async def inner() -> int:
    """Return 1."""
    return 1


async def step() -> int:
    """Return 1."""
    return 1


async def main() -> None:
    """Run one flow."""
    async with resonate:
        await resonate.rfc("flow", outer)


if __name__ == "__main__":
    trio.run(main)
