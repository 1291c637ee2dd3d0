"""A task group for helpers: they live as long as the block, and no longer."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def open_services() -> AsyncGenerator[TaskGroup]:
    """Open a task group whose tasks help the block and are cancelled at its end.

    Which exception the user sees: what the block raised, as it is and in no group. If a helper fails, the block is
    cancelled, and the helper's exception is raised as it is. If both fail, both, in a group.
    """
    raised: BaseException | None = None
    try:
        async with anyio.create_task_group() as services:
            try:
                yield services
            except BaseException as error:
                raised = error
                raise
            finally:
                services.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1 or group is raised:
            raise
        # `from None` would hide the cause that the exception may have; its context is only the group.
        raise group.exceptions[0] from group.exceptions[0].__cause__
