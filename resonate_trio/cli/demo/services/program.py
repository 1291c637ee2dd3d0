"""What the three programs have in common: how their workers work, and how they run."""

from typing import Final

import trio

from resonate_trio import Resonate, WorkerOptions
from resonate_trio.cli.demo.wire import EventWriter

SOME_TIME: Final = 0.2
"""Seconds that the work of one function takes, so that there is something to see."""

# A short lease, for the audience: it is how long a killed worker's task waits until another worker gets it.
# It is no shorter, because a worker that gets no processor for so long would be taken for dead.
WORKER: Final = WorkerOptions(lease=2.0, instrument=EventWriter())


def run(resonate: Resonate) -> None:
    """Run a service until it is told to end. Where the server is, RESONATE_URL says."""
    trio.run(_run, resonate)


async def _run(resonate: Resonate) -> None:
    async with resonate:
        EventWriter().ready()
        await trio.sleep_forever()
