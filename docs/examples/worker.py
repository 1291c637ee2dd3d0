"""A worker as one would run it for real: it stops cleanly when it is told to."""

import signal

import trio

from resonate_trio import Resonate, WorkerOptions

resonate = Resonate(group="reports", worker=WorkerOptions(capacity=10, lease=15, grace=20))


@resonate.register
async def render(title: str) -> str:
    """Render a report."""
    return f"<h1>{title}</h1>"


async def main() -> None:
    """Work until SIGINT or SIGTERM."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with resonate:
            print("taking tasks", flush=True)
            await anext(signals)
            print("finishing what runs", flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    trio.run(main)
