"""What a worker does in the background, and the wait until nothing of it is left."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

import trio

JOB: Final = "a job of a worker"
"""The name of all these tasks: trio would write one for each."""


@final
class Jobs:
    """Starts jobs, and counts them. `tasks` must be set before the first one."""

    def __init__(self) -> None:
        self.tasks: trio.Nursery | None = None
        self._count = 0
        self._quiet = trio.Event()

    def __repr__(self) -> str:
        return f"<{self._count} jobs>"

    def start(self, job: Callable[..., Awaitable[None]], *args: object) -> None:
        """Start a job."""
        assert self.tasks is not None
        self.tasks.start_soon(self._run, job, args, name=JOB)
        self._count += 1

    async def until_quiet(self) -> None:
        """Wait until there is no job."""
        while self._count:
            self._quiet = trio.Event()
            await self._quiet.wait()

    async def _run(self, job: Callable[..., Awaitable[None]], args: Sequence[object]) -> None:
        try:
            await job(*args)
        finally:
            self._count -= 1
            if not self._count:
                self._quiet.set()
