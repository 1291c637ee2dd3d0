"""A worker process: `python -m benchmarks.systems.worker URL FUNCTIONS GROUP`. It ends with its standard input."""

import os
import signal
import sys

import trio

from resonate_trio import Resonate

from ._functions import register_functions


async def work(url: str, functions: str, group: str) -> None:
    """Execute the functions of the caller or of the callee for a group until standard input ends."""
    resonate = Resonate(url, group=group)
    register_functions(resonate, functions)
    async with resonate, trio.lowlevel.FdStream(os.dup(0)) as orders:
        print("open", flush=True)
        async for _ in orders:
            pass


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started us
    _, server, whose, own_group = sys.argv
    trio.run(work, server, whose, own_group)
