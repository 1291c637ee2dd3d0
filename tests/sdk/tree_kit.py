"""What the tests of cancelled trees share: several workers in one block, and what became of everything."""

from collections import UserList
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import trio

from resonate_trio import Resonate
from resonate_trio._context._children import is_cancellation
from resonate_trio.protocol import PromisePage, PromiseSearch, PromiseState, TaskState, tags

from .kit import World


class Log(UserList[str]):
    """What was cancelled, in that order."""

    @contextmanager
    def cleaning(self, name: str) -> Generator[None]:
        """Note that a block was cancelled, once it has ended."""
        try:
            yield
        except BaseException as error:
            if is_cancellation(error):
                self.append(name)
            raise


@asynccontextmanager
async def running(*apps: Resonate) -> AsyncGenerator[None]:
    """Run several workers."""
    async with trio.open_nursery() as nursery:
        for app in apps:
            await nursery.start(hold, app)
        try:
            yield
        finally:
            nursery.cancel_scope.cancel()


async def hold(app: Resonate, task_status: trio.TaskStatus[None]) -> None:
    """Run a worker until it is cancelled."""
    async with app:
        task_status.started()
        await trio.sleep_forever()


async def states(world: World, *, below: str = "") -> dict[str, PromiseState]:
    """Return the states of all promises whose ids begin so."""
    page = await world.ask(PromiseSearch(limit=1000), PromisePage)
    return {promise.id: promise.state for promise in page.promises if promise.id.startswith(below)}


async def task_states(world: World) -> set[TaskState]:
    """Return the states that tasks are in."""
    page = await world.ask(PromiseSearch(limit=1000), PromisePage)
    return {(await world.task(promise.id)).state for promise in page.promises if tags.has_task(promise.tags)}
