"""A worker as one would run it for real: it says what it does, and stops cleanly when it is told to."""

import logging

import trio

from resonate_trio import Resonate, WorkerOptions

resonate = Resonate(group="reports", worker=WorkerOptions(capacity=10, lease=15, grace=20))


@resonate.register
async def render(title: str) -> str:
    """Render a report."""
    return f"<h1>{title}</h1>"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it has a line for every request
    trio.run(resonate.serve)  # until SIGINT or SIGTERM
