"""Processes that live as long as a nursery, and say on a pipe when they are ready."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Literal, final

import trio

START_TIMEOUT: Final = 60.0
"""Seconds that a process may take until it is ready."""
ROOT: Final = Path(__file__).parents[2]
"""Where `-m benchmarks` works."""


@final
class StartError(Exception):
    """A process did not get ready. The message has what it wrote."""


async def start_silent(
    nursery: trio.Nursery,
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
) -> trio.Process:
    """Start a process whose output is of no interest, and of which someone else finds out when it is ready.

    Args:
        nursery: owns the process: terminates it when it is cancelled, and fails if it fails.
        command: the program and its arguments.
        environment: its environment variables; None: ours.
        user: who it runs as; None: who we are.
    """
    nothing = subprocess.DEVNULL
    options = {"env": environment, "user": user, "cwd": ROOT}
    running = partial(trio.run_process, command, stdin=nothing, stdout=nothing, stderr=nothing, **options)
    process: trio.Process = await nursery.start(running)
    return process


async def start_process(
    nursery: trio.Nursery,
    command: Sequence[str],
    *,
    says: Literal["stdout", "stderr"],
    until: str = "\n",
    user: str | None = None,
) -> tuple[trio.Process, str]:
    """Start a process; return it with what it wrote until it was ready.

    What it writes later is for the reader of its stdout, and of stderr it goes where our own errors go. It is
    terminated when the nursery is cancelled, and sees the end of its standard input if we die before. Should it
    fail, so does the nursery.

    Args:
        nursery: owns the process.
        command: the program and its arguments.
        says: the pipe that it speaks on.
        until: what it says there when it is ready.
        user: who it runs as; None: who we are.

    Raises:
        StartError: it ended before it was ready, or was silent for too long.
    """
    options = {"stdin": subprocess.PIPE, says: subprocess.PIPE, "user": user, "cwd": ROOT}
    process: trio.Process = await nursery.start(partial(trio.run_process, command, **options))
    output = process.stdout if says == "stdout" else process.stderr
    assert output is not None
    text = await _read_until(output, until, " ".join(command))
    if says == "stderr":
        nursery.start_soon(_pass_on, output)
    return process, text


async def _read_until(output: trio.abc.ReceiveStream, marker: str, command: str) -> str:
    text = b""
    with trio.move_on_after(START_TIMEOUT):
        while marker.encode() not in text:
            chunk = await output.receive_some()
            if not chunk:
                raise StartError(f"`{command}` ended before it was ready; it wrote {text.decode()!r}")
            text += chunk
        return text.decode()
    raise StartError(f"`{command}` was not ready after {START_TIMEOUT} s; it wrote {text.decode()!r}")


async def _pass_on(output: trio.abc.ReceiveStream) -> None:
    async for chunk in output:
        sys.stderr.write(chunk.decode(errors="replace"))
