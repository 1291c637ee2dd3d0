"""Whether an execution goes on, and its access to the server for as long as it does."""

import enum
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar, final

import trio

from resonate_trio._errors import (
    AuthenticationError,
    DivergenceError,
    ExecutionDropped,
    PermissionDeniedError,
    RequestRefusedError,
    ServerError,
)

from ._held import HeldTask, LeaseLost

P = ParamSpec("P")
T = TypeVar("T")

# The server does not let us go on, or cannot: the task is for someone else, or for later.
PLATFORM_ERRORS = (AuthenticationError, PermissionDeniedError, ServerError)


class Ending(enum.Enum):
    """How an execution ended."""

    FULFILLED = "the promise is settled"
    LOST = "the task is not ours any more"
    DROPPED = "given up here; the task, if it is held, must be released"
    FAILED = "the server does not let us go on; the task must be released, but not at once"
    HALTED = "the code does not match what is stored; the task must be halted"


@final
class Life:
    """The life of one execution. Once it has ended, nothing durable may happen any more.

    Attributes:
        held: the task while it is held; while parked, as it was left.
        ending: how it ended; None while it goes on.
        reason: why it ended.
        divergence: what the code asked for, and what is stored, if it was halted.
        is_held: the task is ours; false from when we ask that it be suspended until it is ours again.
        on_cancelled: told, whenever the server is asked something, that the task is to be cancelled.
    """

    def __init__(self, held: HeldTask) -> None:
        self.held = held
        self.ending: Ending | None = None
        self.reason = ""
        self.divergence: DivergenceError | None = None
        self._scope: trio.CancelScope | None = None
        self.is_held = True
        self._held_again: trio.Event | None = None
        self.on_cancelled: Callable[[], None] = lambda: None
        self._shields: dict[trio.CancelScope, None] = {}

    def __repr__(self) -> str:
        return f"<Life of {self.held!r}: {'goes on' if self.ending is None else self.ending.name}>"

    def begin(self, scope: trio.CancelScope) -> None:
        """Note trio's scope around everything that runs."""
        self._scope = scope
        if self.ending is not None:
            scope.cancel()

    def check_lease(self) -> None:
        """End it if the lease is over by the clock. Raises ExecutionDropped then."""
        if not self.held.lease.remaining():
            self.end(f"the lease of {self.held.id!r} is over", Ending.LOST)
            self.check()

    def give_back(self) -> None:
        """Note that the task is being suspended."""
        self.is_held = False
        self._held_again = trio.Event()

    def take_up(self) -> None:
        """Note that the task is ours, still or again. Raises ExecutionDropped if it has ended."""
        self.is_held = True
        if self._held_again is not None:
            self._held_again.set()
        self.check()
        self._hear()

    async def until_held(self) -> None:
        """Wait until the task is ours."""
        if self._held_again is not None:
            await self._held_again.wait()

    def _hear(self) -> None:
        if self.held.is_cancelled and self.is_held:
            self.on_cancelled()

    def check(self) -> None:
        """Raise ExecutionDropped if it has ended: nothing durable may happen twice."""
        if self.ending is not None:
            raise ExecutionDropped

    def end(self, reason: str, ending: Ending) -> None:
        """End it: the frames unwind, shielded or not. Only the first reason counts."""
        if self.ending is None:
            self.ending = ending
            self.reason = reason
            if self._scope is not None:
                self._scope.cancel()
            for shield in self._shields:
                shield.shield = False

    def diverge(self, error: DivergenceError) -> ExecutionDropped:
        """End it, because the code does not match what is stored; return what is to be raised.

        Not the error itself: a function must not be able to handle it.
        """
        self.divergence = error
        self.end(str(error), Ending.HALTED)
        return ExecutionDropped(str(error))

    @contextmanager
    def shielded(self, *, deadline: float) -> Generator[trio.CancelScope]:
        """Shield a block from all cancellation but the end of this life.

        Args:
            deadline: until when, on trio's clock.
        """
        with trio.CancelScope(shield=self.ending is None, deadline=deadline) as shield:
            self._shields[shield] = None
            try:
                yield shield
            finally:
                del self._shields[shield]

    async def guard(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the server for this execution. If it is lost, nothing of it goes on. Raises RequestRefusedError."""
        self.check()
        try:
            result = await call(*args, **kwargs)
        except LeaseLost as error:
            self.end(str(error), Ending.LOST)
            raise ExecutionDropped from error
        except PLATFORM_ERRORS as error:
            self.end(str(error), Ending.FAILED)
            raise ExecutionDropped from error
        self.check()
        self._hear()
        return result

    async def insist(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the server, as `guard`, for what there is no way on without."""
        try:
            return await self.guard(call, *args, **kwargs)
        except RequestRefusedError as error:
            self.end(str(error), Ending.FAILED)
            raise ExecutionDropped from error
