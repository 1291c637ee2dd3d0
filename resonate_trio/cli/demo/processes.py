"""Processes that are started, read line by line, killed, and never left behind."""

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

import trio

KEPT_LINES: Final = 40
"""How much of what a process wrote to stderr is kept."""


@final
class ProcessFailedError(Exception):
    """A process ended that nobody had asked to."""

    def __init__(self, name: str, status: int, stderr: Sequence[str]) -> None:
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        said = "\n  ".join(["Its stderr ends with:", *stderr]) if stderr else "It wrote nothing to stderr."
        super().__init__(f"the process {name} {how}, unasked. {said}")


@final
class Child:
    """A process that we have started. It lives no longer than the nursery that it was started in.

    Attributes:
        name: what we call it.
    """

    def __init__(self, name: str, process: trio.Process) -> None:
        self.name = name
        self._process = process
        self._stderr: deque[str] = deque(maxlen=KEPT_LINES)
        self._may_end = False
        self._has_ended = trio.Event()

    def __repr__(self) -> str:
        return f"<Child {self.name}, process {self.pid}>"

    @property
    def pid(self) -> int:
        """The id that the system gave it."""
        return self._process.pid

    async def signal(self, signum: signal.Signals) -> int:
        """Send a signal that ends it; return its status once it is gone and all it wrote was read."""
        self._may_end = True
        self._process.send_signal(signum)
        return await self.wait()

    async def kill(self) -> None:
        """End it as a crash would: no code of its own runs any more."""
        await self.signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end, which is no failure; return its status."""
        self._may_end = True
        await self._has_ended.wait()
        status = self._process.returncode
        assert status is not None
        return status

    async def watch(self, on_line: Callable[[str], None], on_error_line: Callable[[str], None]) -> None:
        """Read what it writes until it has ended. Raises ProcessFailedError if nobody asked for that."""
        stdout, stderr = self._process.stdout, self._process.stderr
        assert stdout is not None
        assert stderr is not None

        def on_stderr(line: str) -> None:
            self._stderr.append(line)
            on_error_line(line)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_lines, stdout, on_line)
            nursery.start_soon(_read_lines, stderr, on_stderr)
            await self._process.wait()
        self._has_ended.set()
        if not self._may_end:
            raise ProcessFailedError(self.name, self._process.returncode or 0, self._stderr)


async def run_child(
    name: str,
    command: Sequence[str],
    on_line: Callable[[str], None] = lambda _: None,
    on_error_line: Callable[[str], None] = lambda _: None,
    *,
    environment: Mapping[str, str] | None = None,
    task_status: trio.TaskStatus[Child] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a process until it ends; tell its `Child` when it has started. Cancelled, it ends the process first.

    It is in a process group of its own, so that Ctrl-C in a terminal does not reach it: ending it is our business.

    Args:
        name: what to call it.
        command: program and arguments.
        on_line: called with each line that it writes to stdout.
        on_error_line: called with each line that it writes to stderr.
        environment: variables that are set for it, besides ours.
        task_status: told the `Child`.

    Raises:
        ProcessFailedError: it ended, and nobody had asked for that.
    """
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(_run_process, command, {**os.environ, **(environment or {})})
        child = Child(name, process)
        task_status.started(child)
        await child.watch(on_line, on_error_line)


async def _run_process(
    command: Sequence[str], environment: Mapping[str, str], *, task_status: trio.TaskStatus[trio.Process]
) -> None:
    await trio.run_process(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        env=environment,
        process_group=0,
        task_status=task_status,
    )


async def _read_lines(stream: trio.abc.ReceiveStream, on_line: Callable[[str], None]) -> None:
    rest = b""
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            on_line(line.decode(errors="replace"))
    if rest:
        on_line(rest.decode(errors="replace"))
