"""One history played: the real execution, over a server that does what a story says."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Self, cast, final

import trio
import trio.testing
from attrs import define, field, frozen

from resonate_trio import Context, Never, Registry
from resonate_trio._codec import Call
from resonate_trio._context import root_work
from resonate_trio._execution import Ending, Execution, HeldTask, Lease, Runtime
from resonate_trio._outcome import outcome_of
from resonate_trio._sources import Source, Terms
from resonate_trio._transport import Link
from resonate_trio.protocol import (
    Acquired,
    Envelope,
    Promise,
    PromiseState,
    Reply,
    Request,
    TaskFulfill,
    TaskState,
    extensions,
    tags,
)
from resonate_trio.testing._time import run_virtually

from .choices import Choices
from .server import GROUP, ROOT, Manner, Server
from .stage import Paths, Stage, described
from .story import CODEC, Bounds, Story

if TYPE_CHECKING:
    from resonate_trio._transport import Transport

Body = Callable[[Context], Awaitable[object]]
Make = Callable[[Stage], Body]
"""Makes the function that is tried; it tells the stage what it sees."""

PENDING: Final = "pending"
STEP_HOLD_S: Final = 0.01
"""By when the runtime has stored that a step began."""


@final
@frozen
class Fact:
    """What is stored of a promise, as far as a function can see it. It may be left pending, or must not."""

    id: str
    may_be_left: bool
    cut_by: str | None
    outcome: str


Facts = tuple[Fact, ...]


@final
@frozen
class Flow:
    """A function to be tried.

    Attributes:
        make: makes it.
        may_be_cancelled: histories in which it is cancelled from outside are tried, too.
    """

    make: Make
    may_be_cancelled: bool = False


@final
@frozen
class Played:
    """What came of a history.

    Attributes:
        runs: the paths of each run of the function, the last one last.
        facts: what is stored at the end.
        result: how the function ended; None if nobody let it, so that its last path may not be the whole.
        story: what happened.
        stored: all that is stored, to be replayed.
    """

    runs: Sequence[Paths]
    facts: Facts
    result: str | None
    story: Story
    stored: Server


def play(flow: Flow, manner: Manner, bounds: Bounds, choices: Choices) -> Played:
    """Play one history to its end."""

    async def main() -> Played:
        server = Server(manner)
        may_cancel = flow.may_be_cancelled and extensions.CANCEL in manner.offers
        story = Story(server, Stage(), choices, bounds, may_cancel=may_cancel)
        player = _Player(flow, server, story, manner)
        await player.go(server.start(CODEC.encode_call(Call("flow"))))
        return player.played()

    return _run(main)


def replay(flow: Flow, manner: Manner, played: Played, *, is_told: bool = True) -> Played:
    """Run a function again on what a history has left stored.

    Args:
        flow: the function.
        manner: how the server goes about it.
        played: the history.
        is_told: if it was cancelled from outside, it is told so again.
    """

    async def main() -> Played:
        server = Server(manner)
        server.restore(played.stored)
        story = Story(
            server, Stage(), Choices(), Bounds(), told=[*played.story.told, f"then a replay, {manner.name}"]
        )
        if played.story.is_cancelled and is_told and extensions.CANCEL in manner.offers:
            story.cancel()
        player = _Player(flow, server, story, manner)
        await player.go(server.take())
        return player.played()

    return _run(main)


def _run(main: Callable[[], Awaitable[Played]]) -> Played:
    error: Exception
    try:
        return run_virtually(main, seed=0, clock=trio.testing.MockClock())
    except ExceptionGroup as group:
        error = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    raise error


@final
@define(eq=False)
class _Player:
    flow: Flow
    server: Server
    story: Story
    manner: Manner
    runs: list[Paths] = field(factory=list)
    is_fulfilled: bool = False  # by the function's own end
    _registry: Registry = field(factory=Registry)

    def __attrs_post_init__(self) -> None:
        self._registry.register(self.flow.make(self.story.stage), name="flow", retry=Never())

    async def go(self, acquired: Acquired) -> None:
        """Run the task until it is fulfilled."""
        while True:
            await self._run(acquired)
            self.server.take_back()
            if self._is_ended():
                return
            self.story.while_suspended()
            if self._is_ended():
                return
            acquired = self.server.take()

    def _is_ended(self) -> bool:
        return self.server.root_task.state is TaskState.FULFILLED

    async def _run(self, acquired: Acquired) -> None:
        """Run it until it ends, is lost, or is dropped."""
        self.story.stage.begin()
        self.runs.append(self.story.stage.paths)
        line = Line(self)
        link = Link(cast("Transport", line))
        runtime = Runtime(link, self.server, CODEC, self._registry, GROUP, "colon", self.story.stage)
        held = HeldTask(link, acquired.task, Lease())
        execution = Execution(runtime, held, acquired.promise, acquired.preload, on_park=lambda _: None)
        line.crash = partial(self._drop, execution, "crashed")
        self.story.tell_cancelled = execution.cancel
        async with trio.open_nursery() as nursery:
            ended = trio.Event()
            nursery.start_soon(self._execute, execution, ended)
            while not await self._is_over(execution, ended):
                self.story.while_suspended()
                if self.manner.drops or self.server.root_task.state is not TaskState.PENDING:
                    self._drop(execution, "dropped from memory")
                    continue
                again = self.server.take(preload=False)  # it comes acquired, with only what woke it
                execution.resume(HeldTask(link, again.task, Lease()), again.preload)
        self.story.tell_cancelled = None
        self.story.stage.close()

    async def _execute(self, execution: Execution, ended: trio.Event) -> None:
        try:
            ending = await execution.run(root_work)
        except Exception as error:
            raise AssertionError(self.story.fails(f"the runtime has failed: {described(error)}")) from error
        ended.set()
        assert ending is not Ending.HALTED, self.story.fails(execution.life.reason)
        assert ending is not Ending.FAILED, self.story.fails(execution.life.reason)

    async def _is_over(self, execution: Execution, ended: trio.Event) -> bool:
        """Wait until the execution has ended (True), or is parked (False)."""
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        while True:
            for seconds in (0.0, STEP_HOLD_S):
                clock.jump(seconds)
                await trio.testing.wait_all_tasks_blocked()
                if ended.is_set() or execution.is_parked:
                    return ended.is_set()
            self.story.while_it_waits()

    def _drop(self, execution: Execution, reason: str) -> None:
        self.story.stage.close()
        execution.drop(reason)

    # --- What came of it --------------------------------------------------------------------------

    def played(self) -> Played:
        promises = self.server.promises()
        root = next(promise for promise in promises if promise.id == ROOT)
        facts = tuple(_fact(promise) for promise in promises if promise.id != ROOT)
        result = _outcome(root) if self.is_fulfilled else None
        return Played(self.runs, facts, result, self.story, self.server)


@final
class Line:
    """The line of one run to the server. It may be cut at each request, and then it is for good."""

    name = "the scripted server"
    shares_fate = True

    def __init__(self, player: _Player) -> None:
        self.clock = player.server
        self.extensions = player.manner.offers
        self.crash: Callable[[], None] = lambda: None
        self._player = player
        self._is_cut = False

    async def send(self, request: Envelope[Request]) -> Reply:
        """Perform a request, after what the story has happen before."""
        await trio.lowlevel.checkpoint()
        if self._is_cut:
            await self._cut()
        is_lost = self._player.story.before(request.data)
        if is_lost:
            await self._cut()
        reply = self._player.server.perform(request)
        if isinstance(request.data, TaskFulfill) and not reply.is_error:
            self._player.is_fulfilled = True
        if is_lost is False:
            await self._cut()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return reply

    async def _cut(self) -> None:
        self._is_cut = True
        self.crash()
        await trio.sleep_forever()

    def source(self, group: str, pid: str, terms: Terms | None = None) -> Source:
        """Nothing is listened to."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass


def _fact(promise: Promise) -> Fact:
    is_left = tags.is_timer(promise.tags) or tags.is_detached(promise.id, promise.tags)
    return Fact(promise.id, is_left, promise.tags.get(tags.CUT), _outcome(promise))


def _outcome(promise: Promise) -> str:
    if promise.state is PromiseState.PENDING:
        return PENDING
    outcome = outcome_of(promise, object, CODEC)
    if promise.state is PromiseState.CANCELED:
        return "cancelled" if promise.id == ROOT else f"cancelled {CODEC.decode(promise.value)}"
    return f"{promise.state} {outcome.value if outcome.error is None else described(outcome.error)}"
