"""The functions that run a program, and what they note of it."""

from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, final

import trio
from attrs import define, field, frozen

from resonate_trio import Context, Never, Nursery, Registry, RemoteError
from resonate_trio._context._calls import Calls
from resonate_trio.testing import Effects
from resonate_trio.testing._effects import Host, _current_host

from .programs import Block, Program

if TYPE_CHECKING:
    from resonate_trio import Handle

CLEANUP_S: Final = 0.5
"""How long a leaf of the kind "clean" takes to end when it is cancelled."""
VERSIONS: Final = (1, 3)
RETRY: Final = Never()


@final
class Boom(Exception):
    """What programs raise."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def shape(error: BaseException) -> str:
    """Return an exception as text, the same before and after it was stored."""
    if isinstance(error, BaseExceptionGroup):
        return f"group({', '.join(map(shape, error.exceptions))})"
    if isinstance(error, RemoteError):
        return error.type_name.rpartition(".")[2]
    return f"Boom({error.number})" if isinstance(error, Boom) else type(error).__name__


def digest(number: int, path: Sequence[str]) -> str:
    """Return the result of a function: short, but another one for another path."""
    return f"f{number}-{sha256(repr(list(path)).encode()).hexdigest()[:8]}"


@final
@frozen(eq=False)
class Running:
    """A leaf that runs: the id of its invocation, and the process."""

    id: str
    host: Host | None


@final
@define(eq=False)
class Notes:
    """What the functions of a world have noted.

    Attributes:
        effects: how often each leaf was begun, by its number in the program.
        paths: what the runs of each function saw, one list for each run.
        wakes: told of a promise that someone outside is to settle, and after how many seconds.
        troubles: what should never be.
        detached: what nobody waits for.
        is_late: tells whether the deadline of an invocation has passed. Nobody waits for what it still cleans up.
        may_fork: two executions of a task may run at a time for a while, as leases are cut short.
    """

    effects: Effects
    wakes: trio.MemorySendChannel[tuple[str, float]] | None = None
    may_fork: bool = False
    is_late: Callable[[str], bool] = lambda _: False
    paths: dict[str, list[list[str]]] = field(factory=dict)
    troubles: list[str] = field(factory=list)
    detached: set[str] = field(factory=set)
    _running: dict[Running, None] = field(factory=dict)

    def begin(self, id: str) -> list[str]:
        """Begin the path of a run."""
        path: list[str] = []
        if is_alive():
            self.paths.setdefault(id, []).append(path)
        return path

    @contextmanager
    def leaf(self, id: str, number: int) -> Generator[None]:
        """Note that a leaf runs."""
        self.effects.add("leaf", number)
        running = Running(id, _current_host())
        self._running[running] = None
        try:
            yield
        finally:
            del self._running[running]

    def check_joined(self, ids: Sequence[str], where: str) -> None:
        """See that nothing of some invocations still runs."""
        if self.may_fork or not is_alive():
            return
        for running in self._running:
            is_below = is_within(running.id, ids) and not is_within(running.id, self.detached)
            is_gone = running.host is not None and running.host.is_dead
            if is_below and not is_gone and not self.is_late(running.id):
                self.troubles.append(f"{running.id} still runs after {where} has closed")


def is_within(id: str, others: Iterable[str]) -> bool:
    """Tell whether an invocation is one of others, or was made below one of them."""
    return any(id == other or id.startswith((f"{other}:", f"{other}.")) for other in others)


def is_alive() -> bool:
    """Tell whether the process that runs this has not crashed."""
    host = _current_host()
    return host is None or not host.is_dead


def make_registry(program: Program, notes: Notes) -> Registry:
    """Return the functions that run a program."""

    async def flow(ctx: Context, number: int) -> str:
        player = _Player(program, notes, ctx, flow, work, step)
        await player.block(program[number])
        return digest(number, player.path)

    async def work(ctx: Context, number: int, kind: str, seconds: float) -> int:
        with notes.leaf(ctx.id, number):
            return await _leaf(number, kind, seconds)

    async def step(number: int, kind: str, seconds: float) -> int:
        notes.effects.add("leaf", number)
        return await _leaf(number, kind, seconds)

    registry = Registry()
    registry.register(flow, retry=RETRY)
    registry.register(work, retry=RETRY)
    registry.register_error(Boom)
    return registry


async def _leaf(number: int, kind: str, seconds: float) -> int:
    try:
        await trio.sleep(seconds)
    finally:
        if kind == "clean":
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLEANUP_S):
                await trio.sleep_forever()
    if kind == "fail":
        raise Boom(number)
    return number


@final
class _Player:
    """Runs the operations of one function."""

    def __init__(self, program: Program, notes: Notes, ctx: Context, flow: Any, work: Any, step: Any) -> None:
        self.path = notes.begin(ctx.id)
        self._program = program
        self._notes = notes
        self._ctx = ctx
        self._calls: Calls = ctx  # where operations stand: the innermost nursery
        self._flow, self._work, self._step = flow, work, step
        self._handles: dict[int, Handle[Any]] = {}
        self._started: list[list[str]] = [[]]  # of the nurseries around

    async def block(self, block: Block) -> None:
        """Run operations, one after another."""
        for name, *details in block:
            await getattr(self, f"_do_{name}")(*details)

    def _see(self, what: object) -> None:
        # What is dropped from memory unwinds, and may see anything: nothing that it does is stored.
        if is_alive() and self._ctx._frame.execution.life.ending is None:
            self.path.append(str(what))

    async def _seen(self, awaited: Awaitable[object]) -> None:
        try:
            self._see(await awaited)
        except Exception as error:
            self._see(f"!{shape(error)}")
            raise

    def _optioned(self, how: str, seconds: float | None) -> Calls:
        calls = self._calls if seconds is None else self._calls.options(timeout=seconds)
        return calls if how == "remote" else calls.options(retry=RETRY)

    def _function(self, what: Any) -> tuple[Any, Sequence[Any]]:
        return (self._flow, (what,)) if isinstance(what, int) else (self._work, what)

    # --- Invocations ------------------------------------------------------------------------------

    async def _do_step(self, leaf: Sequence[Any]) -> None:
        await self._seen(self._calls.options(retry=RETRY).lfc(self._step, *leaf))

    async def _do_call(self, how: str, what: Any, seconds: float | None) -> None:
        calls, (function, args) = self._optioned(how, seconds), self._function(what)
        await self._seen(calls.rfc(function, *args) if how == "remote" else calls.lfc(function, *args))

    async def _do_start(self, how: str, what: Any, seconds: float | None, label: int) -> None:
        calls, (function, args) = self._optioned(how, seconds), self._function(what)
        handle = calls.rfi(function, *args) if how == "remote" else calls.lfi(function, *args)
        self._handles[label] = handle
        self._started[-1].append(handle.id)

    async def _do_await(self, label: int) -> None:
        if label in self._handles:
            await self._seen(self._handles[label])

    async def _do_cancel(self, label: int, budget: float) -> None:
        if label in self._handles:
            self._handles[label].cancel(budget=budget)

    async def _do_detach(self, number: int) -> None:
        self._notes.detached.add(self._calls.detached(self._flow, number))

    async def _do_sleep(self, seconds: float) -> None:
        await self._seen(self._ctx.sleep(seconds))

    async def _do_promise(self, delay: float, expires: float | None, label: int) -> None:
        handle = await self._ctx.promise(expires_after=expires)
        self._handles[label] = handle
        if self._notes.wakes is not None and is_alive():
            self._notes.wakes.send_nowait((handle.id, delay))

    # --- Scopes -----------------------------------------------------------------------------------

    async def _do_nursery(self, fail_fast: bool, seconds: float | None, body: Block) -> None:
        outer = self._calls
        started: list[str] = []
        self._started.append(started)
        try:
            async with self._ctx.open_nursery(timeout=seconds, fail_fast=fail_fast) as self._calls:
                await self.block(body)
        except Exception:
            self._joined(started)
            raise
        else:
            self._joined(started)
        finally:
            self._calls = outer
            self._started.pop()

    def _joined(self, ids: Sequence[str]) -> None:
        self._notes.check_joined(ids, f"a nursery of {self._ctx.id}")

    async def _do_cancel_nursery(self) -> None:
        if isinstance(self._calls, Nursery):
            self._calls.cancel()

    async def _do_first(self) -> None:
        if isinstance(self._calls, Nursery):
            await self._seen(self._calls.first())

    async def _do_scope(self, kind: str, seconds: float, body: Block) -> None:
        is_shield = kind == "shield"
        with self._ctx.shield(budget=seconds) if is_shield else getattr(self._ctx, kind)(seconds) as scope:
            await self.block(body)
        self._see(f"{kind}: {'cut' if scope.cancelled_caught else 'whole'}")

    # --- Failures ---------------------------------------------------------------------------------

    async def _do_fail(self, number: int) -> None:
        raise Boom(number)

    async def _do_try(self, body: Block, handler: Block) -> None:
        try:
            await self.block(body)
        except Exception as error:
            self._see(f"caught {shape(error)}")
            await self.block(handler)

    async def _do_finally(self, body: Block, cleanup: Block) -> None:
        try:
            await self.block(body)
        finally:
            await self.block(cleanup)

    # --- Facts ------------------------------------------------------------------------------------

    async def _do_now(self) -> None:
        self._see(instant(self._ctx.now()))

    async def _do_uuid(self) -> None:
        self._see(self._ctx.uuid4())

    async def _do_version(self) -> None:
        self._see(await self._ctx.version("change", *VERSIONS))


def instant(when: datetime) -> str:
    """Return an instant as it stands in paths."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds")
