"""Task groups for helpers: they live as long as the block that they help, and no longer."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import anyio
import anyio.lowlevel
import trio
from anyio.abc import TaskGroup

ServicesT = TypeVar("ServicesT", TaskGroup, trio.Nursery)


def open_services() -> AbstractAsyncContextManager[TaskGroup]:
    """Open a task group whose tasks help the block and are cancelled at its end.

    Which exception the user sees: what the block raised, as it is and in no group. If a helper fails, the block is
    cancelled, and the helper's exception is raised as it is. If several fail, all of them, in a group; but in the
    same way, as by a token that the server refuses wherever it is shown, only the first.
    """
    return _services(anyio.create_task_group())


def open_trio_services() -> AbstractAsyncContextManager[trio.Nursery]:
    """Open a nursery of that kind: tasks of trio itself cost half of what they cost through anyio."""
    return _services(trio.open_nursery())


@asynccontextmanager
async def _services(group: AbstractAsyncContextManager[ServicesT]) -> AsyncGenerator[ServicesT]:
    raised: BaseException | None = None
    try:
        async with group as services:
            try:
                yield services
            except BaseException as error:
                raised = error
                raise
            finally:
                services.cancel_scope.cancel()
    except BaseExceptionGroup as errors:
        if len({type(error) for error in errors.exceptions}) > 1 or errors is raised:
            raise
        only = errors.exceptions[0]
        context, suppress = only.__context__, only.__suppress_context__
        try:
            raise only
        finally:  # the group is no context that anybody should see
            only.__context__, only.__suppress_context__ = context, suppress


@asynccontextmanager
async def open_shelter() -> AsyncGenerator[anyio.CancelScope]:
    """Shield a block from cancellation from outside, except for what it does within the scope that is yielded.

    So helpers that are needed for an orderly end are still there when the body is cancelled:

    ```python
    async with open_shelter() as body, open_services() as services:
        services.start_soon(helper)
        with body:
            ...
        await use(helper)
    ```
    """
    body = anyio.CancelScope()
    async with open_services() as outside:
        outside.start_soon(_pass_on_cancellation, body)
        with anyio.CancelScope(shield=True):
            yield body
    await anyio.lowlevel.checkpoint_if_cancelled()  # which the body has heard of, and our caller must


async def _pass_on_cancellation(body: anyio.CancelScope) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        body.cancel()
