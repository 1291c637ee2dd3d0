"""Background tasks of a resource that is open for the length of a block."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def open_service_tasks() -> AsyncGenerator[TaskGroup]:
    """Open a task group for helpers that run as long as the block does, and are cancelled at its end.

    An error of the block comes out as it is, not in an exception group: who opens a server should not see
    that it has tasks inside. An error of a helper cancels the block, and comes out in a group.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except Exception as error:
            if tasks.cancel_scope.cancel_called:
                raise
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
