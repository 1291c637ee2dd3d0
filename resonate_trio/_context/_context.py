"""The context: the first argument of a durable function."""

import math
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from random import Random
from typing import Any, TypeVar, final, overload
from uuid import UUID

from resonate_trio._errors import UsageError
from resonate_trio._execution import Execution
from resonate_trio._ids import Lineage
from resonate_trio._instrument import InvocationKind
from resonate_trio._options import NO_OPTIONS
from resonate_trio.protocol import PromiseCreate, tags

from ._calls import Calls
from ._frame import Frame
from ._handle import Handle
from ._nursery import NurseryManager
from ._scope import Scope

T = TypeVar("T")


@final
class Context(Calls):
    """What a durable function invokes others with. It is passed by the runtime as the first argument.

    Invocations that are made through the context itself belong to the function: it does not end before they have.
    One that failed raises where its handle is awaited; one that nobody awaited raises at the end of the function,
    in an ExceptionGroup.

    Attributes:
        id: the id of this invocation.
    """

    __resonate_context__ = True  # by this the registry, which lies below, knows the class in a signature

    def __init__(self, execution: Execution, lineage: Lineage, timeout_at: int) -> None:
        self.id = lineage.id
        super().__init__(Scope(Frame(execution, lineage, timeout_at, Context)), NO_OPTIONS)

    def __repr__(self) -> str:
        return f"<Context of {self.id!r}>"

    def open_nursery(self) -> NurseryManager:
        """Open a durable nursery: `async with ctx.open_nursery() as nursery`.

        The end of the block waits for all invocations made through `nursery`; the task is suspended meanwhile, if
        they run elsewhere. See `Nursery` for failures.
        """
        return NurseryManager(self._scope, self._options)

    async def sleep(self, seconds: float) -> None:
        """Sleep durably: through suspension, crashes and restarts, until `seconds` after the first run came here.

        Args:
            seconds: 0 or more. A sleep ends at the deadline of the function at the latest.

        Raises:
            UsageError: `seconds` is negative or no number.
        """
        if math.isnan(seconds) or seconds < 0:
            raise UsageError(f"ctx.sleep({seconds!r}): the seconds to sleep are a number, 0 or greater")
        await self._sleep("ctx.sleep()", seconds)

    async def sleep_until(self, when: datetime) -> None:
        """Sleep durably until an instant; not at all if it is past. Otherwise as `sleep`.

        Raises:
            UsageError: `when` has no time zone.
        """
        if when.tzinfo is None:
            raise UsageError(f"ctx.sleep_until({when!r}): an instant needs a time zone, as in datetime.now(UTC)")
        await self._sleep("ctx.sleep_until()", when.timestamp() - self._frame.runtime.clock.now_ms() / 1000)

    def now(self) -> datetime:
        """Return the time, in UTC: the instant of the latest stored fact that this function has seen.

        That is the outcome it received last, or its own invocation. So it costs nothing, a replay sees the same,
        and a long computation does not move it.
        """
        return datetime.fromtimestamp(self._frame.latest_ms / 1000, UTC)

    @cached_property
    def random(self) -> Random:
        """Random numbers, the same in every run of this invocation; no secrets, as its id is the seed."""
        return Random(sha256(self.id.encode()).digest())

    def uuid4(self) -> UUID:
        """Return a new UUID, the same in every run of this invocation. It is no secret: it comes from `random`."""
        return UUID(int=self.random.getrandbits(128), version=4)

    @overload
    async def promise(self, result_type: type[T], *, expires_after: float | None = None) -> Handle[T]: ...
    @overload
    async def promise(self, result_type: Any = object, *, expires_after: float | None = None) -> Handle[Any]: ...
    async def promise(self, result_type: Any = object, *, expires_after: float | None = None) -> Handle[Any]:
        """Create a promise that someone outside settles, and return its handle once it is stored.

        Its `id` is what to hand out: `client.promises.resolve(id, value)` or `.reject(id, error)` settles it.
        `await handle` waits for that; the task is suspended meanwhile.

        Args:
            result_type: what the value is read as.
            expires_after: seconds after which awaiting it raises InvocationTimedOut; at the function's own
                deadline at the latest.
        """
        self._frame.check_task("ctx.promise()")
        self._scope.check_open("ctx.promise()")
        request = self._latent("external", tags.EXTERNAL, "promise", expires_after)
        await self._frame.execution.create(request)
        return Handle(self._frame, request.id, "promise", result_type)

    @property
    def is_leaf(self) -> bool:
        """Tell whether no durable call was made so far, so that the function may be tried again."""
        return self._frame.is_leaf

    async def close(self, error: Exception | None) -> None:
        """Wait for all that belongs to the function. The runtime calls this when the function has ended.

        Raises:
            ExceptionGroup: failures that nobody has awaited, after `error` if there is one.
        """
        self._frame.check_task("the end of the function")
        failures = await self._scope.join(awaited_ones_too=False)
        self._scope.close()
        if failures:
            own = [] if error is None else [error]
            raise ExceptionGroup(f"{len(failures)} failed in {self.id!r} that were not awaited", own + failures)

    async def _sleep(self, call: str, seconds: float) -> None:
        self._frame.check_task(call)
        self._scope.check_open(call)
        request = self._latent("timer", tags.TIMER, "sleep", seconds)
        await self._frame.execution.create(request)
        await self._frame.execution.wait([request.id])
        self._frame.see(request.id)

    def _latent(self, kind: InvocationKind, tag: str, name: str, seconds: float | None) -> PromiseCreate:
        """Describe a promise that no worker executes, but that this task may await."""
        frame = self._frame
        lineage = frame.next_local()
        frame.runtime.instrument.invoked(lineage.id, kind, name, self.id)
        wire_tags = {**lineage.tags(), tags.SCOPE: tags.GLOBAL, tag: "true"}
        return PromiseCreate(lineage.id, frame.child_deadline(seconds), wire_tags)
