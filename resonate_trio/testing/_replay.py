"""New code, run against recorded executions: the real runtime, on a server that holds what was recorded.

Whatever is beyond the record gets no answer: a step that was not finished does not run, and nothing is invoked. So
the run ends with the record at the latest, and touches nothing outside.
"""

from collections.abc import Callable
from os import PathLike
from typing import Any, Final, Self, final

import attrs
import trio
from attrs import define, field

from resonate_trio import DecodingError, Instrument, Never, Registry, Resonate, UsageError, WorkerOptions
from resonate_trio._clock import FOREVER_MS, Clock
from resonate_trio._codec import Call, Codec
from resonate_trio._errors import DivergenceError
from resonate_trio._outcome import outcome_of
from resonate_trio._sources import EmbeddedSource, Terms
from resonate_trio.protocol import (
    EMPTY,
    Envelope,
    PollAddress,
    Promise,
    PromiseCreate,
    PromiseState,
    Reply,
    Request,
    TaskFulfill,
    TaskHalt,
    TaskRelease,
    TaskState,
    parse_address,
    tags,
)
from server_ref.clock import LoopClock
from server_ref.engine import Engine, open_engine
from server_ref.machine import Draft, TaskRecord
from server_ref.store import MemoryStore

from ._history import History
from ._time import run
from ._trace import parts

PATIENCE_S: Final = 24 * 3600.0
"""How long a function may pause by itself, in virtual time, until it counts as waiting for what is missing."""


@final
class _Unfinished:
    def __repr__(self) -> str:
        return "UNFINISHED"


UNFINISHED: Final = _Unfinished()
"""What `replay` returns when the record ends before the function does."""


def replay(
    history: History | str | PathLike[str], *functions: Resonate | Registry | Callable[..., object]
) -> object:
    """Run code against a recorded execution, without a server; return its result.

    The function gets the arguments and all outcomes that were recorded. Steps that were stored do not run, those
    that were not do not either, and nothing is invoked.

    It starts an event loop, so call it in a plain test, not in an async one.

    Args:
        history: what was recorded, or the file that it was saved to.
        *functions: your application or registry; or functions, of which the first one takes the part of the root
            invocation, whatever its name.

    Returns:
        The result, or UNFINISHED if the record ends before the function does.

    Raises:
        DivergenceError: the code asks for something else than what was recorded.
        Exception: what the function raises.
        UsageError: the file is no history, or its arguments do not fit the function.
        OSError: the file cannot be read.
    """
    recorded = history if isinstance(history, History) else History.load(history)
    return run(_replay, recorded, functions)


async def _replay(history: History, functions: tuple[Any, ...]) -> object:
    latest = max(promise.settled_at or promise.created_at for promise in history.promises.values())
    store = MemoryStore()
    store.transact(lambda draft: _fill(draft, history, latest))
    call = Codec().decode_call(history.root.param)
    registry = _registry(functions, call)
    async with open_engine(store, clock=LoopClock(latest)) as engine:
        tape = _Tape(engine, history)
        watch = _Watch()
        options = WorkerOptions(instrument=watch, grace=0)
        async with Resonate(engine=tape, registry=registry, group=_group(history.root), worker=options):
            with trio.move_on_after(PATIENCE_S):
                await tape.is_over.wait()
            return _result(history, registry, call, tape, watch)


def _result(history: History, registry: Registry, call: Call, tape: "_Tape", watch: "_Watch") -> object:
    if watch.divergence is not None:
        raise watch.divergence
    if tape.beyond and not history.root.is_pending:
        id, what = next(iter(tape.beyond.items()))
        raise DivergenceError(id, asked=what, stored="nothing, for it ended without")
    if tape.outcome is None:
        return UNFINISHED
    function = registry.named(call.func, call.version)
    return outcome_of(tape.outcome, function.result_type, Codec(registry.errors)).unwrap()


def _registry(functions: tuple[Any, ...], call: Call) -> Registry:
    if not functions:
        raise UsageError("replay needs code to run: replay(history, function), or replay(history, app)")
    first, *others = functions
    if isinstance(first, Resonate | Registry):
        return first.registry if isinstance(first, Resonate) else first
    registry = Registry()
    registry.register(first, name=call.func, version=call.version or 1, retry=Never())
    for fn in others:
        registry.register(fn)
    return registry


def _group(root: Promise) -> str:
    address = parse_address(root.tags[tags.TARGET])
    return address.group if isinstance(address, PollAddress) else "default"


def _fill(draft: Draft, history: History, now: int) -> None:
    """Store what was recorded, with the root to be executed, and nothing else that could go on."""
    draft.changes.now = now
    for promise in history.promises.values():
        is_root = promise.id == history.id
        if is_root:
            promise = attrs.evolve(promise, state=PromiseState.PENDING, value=EMPTY, settled_at=None)
        if promise.is_pending:
            if not is_root and promise.tags.get(tags.SCOPE) == tags.LOCAL:
                continue  # a step that was not finished: it gets no answer
            promise = attrs.evolve(promise, timeout_at=FOREVER_MS)
        draft.put_promise(promise)
        if tags.TARGET in promise.tags and promise.tags.get(tags.TIMER) != "true":
            state = (
                TaskState.PENDING if is_root else TaskState.HALTED if promise.is_pending else TaskState.FULFILLED
            )
            draft.put_task(TaskRecord(promise.id, state, 0, due_at=now if is_root else None))


@final
@define(eq=False)
class _Tape:
    """A transport to the engine that holds what was recorded. Requests beyond that are never answered.

    Attributes:
        beyond: what was asked for that is not recorded, by id.
        outcome: the promise of the root, once the function has ended.
    """

    engine: Engine
    history: History
    name: str = field(default="the record", init=False)
    clock: Clock = field(init=False)
    shares_fate: bool = field(default=True, init=False)
    extensions: frozenset[str] = field(default=frozenset(), init=False)
    beyond: dict[str, str] = field(factory=dict, init=False)
    outcome: Promise | None = field(default=None, init=False)
    is_over: trio.Event = field(factory=trio.Event, init=False)

    @clock.default
    def _engine_clock(self) -> Clock:
        return self.engine.clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    def source(self, group: str, pid: str, _: Terms | None = None) -> EmbeddedSource:
        """Return the source of messages. Tasks are to be acquired, as by a server without extensions."""
        return EmbeddedSource(self.engine, group, pid)

    async def send(self, request: Envelope[Request]) -> Reply:
        """Answer from what was recorded, or never."""
        for part in parts(request.data):
            if isinstance(part, PromiseCreate) and self._is_beyond(part):
                await trio.sleep_forever()
            if isinstance(part, TaskFulfill):
                settle = part.action.data
                self.outcome = attrs.evolve(self.history.root, state=settle.state, value=settle.value)
        reply = await self.engine.perform(request)
        if isinstance(request.data, TaskFulfill | TaskHalt | TaskRelease):
            self.is_over.set()
        return reply

    def _is_beyond(self, create: PromiseCreate) -> bool:
        stored = self.history.promises.get(create.id)
        if stored is None:
            self.beyond[create.id] = _what(create)
            return True
        return stored.is_pending and stored.tags.get(tags.SCOPE) == tags.LOCAL


def _what(create: PromiseCreate) -> str:
    try:
        return f"{Codec().decode_call(create.param).func!r}"
    except DecodingError:
        return "a promise"


@final
class _Watch(Instrument):
    """Keeps what the runtime finds in the code that does not match the record."""

    def __init__(self) -> None:
        self.divergence: DivergenceError | None = None

    def task_halted(self, id: str, error: DivergenceError) -> None:
        """Keep it."""
        self.divergence = error
