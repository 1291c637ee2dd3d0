"""Processes that live as long as a nursery, and say on a pipe when they are ready."""

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final, Literal, final

import trio

START_TIMEOUT: Final = 30.0
"""Seconds that a process may take until it is ready."""


@final
class StartError(Exception):
    """A process did not get ready. The message has what it wrote."""


async def start_process(
    nursery: trio.Nursery, arguments: Sequence[str], *, says: Literal["stdout", "stderr"]
) -> str:
    """Start Python with some arguments; return the first line that it writes.

    What it writes later goes where our own errors go. It is terminated when the nursery is cancelled, and sees the
    end of its standard input if we die before. Should it fail, so does the nursery.

    Args:
        nursery: owns the process.
        arguments: of the interpreter.
        says: the pipe that the line comes from.

    Raises:
        StartError: it ended without a line, or was silent for too long.
    """
    pipes = {"stdin": subprocess.PIPE, says: subprocess.PIPE}
    process: trio.Process = await nursery.start(partial(trio.run_process, [sys.executable, *arguments], **pipes))
    output = process.stdout if says == "stdout" else process.stderr
    assert output is not None
    line, rest = await _first_line(output, " ".join(arguments))
    nursery.start_soon(_pass_on, rest, output)
    return line


async def _first_line(output: trio.abc.ReceiveStream, command: str) -> tuple[str, bytes]:
    """Return the first line, and what was read of the next one."""
    text = b""
    with trio.move_on_after(START_TIMEOUT):
        while b"\n" not in text:
            chunk = await output.receive_some()
            if not chunk:
                raise StartError(f"`{command}` ended before it was ready; it wrote {text.decode()!r}")
            text += chunk
        line, _, rest = text.partition(b"\n")
        return line.decode(), rest
    raise StartError(f"`{command}` was not ready after {START_TIMEOUT} s; it wrote {text.decode()!r}")


async def _pass_on(text: bytes, output: trio.abc.ReceiveStream) -> None:
    sys.stderr.write(text.decode(errors="replace"))
    async for chunk in output:
        sys.stderr.write(chunk.decode(errors="replace"))
