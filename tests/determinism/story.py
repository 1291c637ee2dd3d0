"""What happens elsewhere while a task is being run: one history, chosen moment by moment."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, final

import trio
import trio.testing
from attrs import define, field, frozen

from resonate_trio._codec import Codec
from resonate_trio._outcome import Cancellation
from resonate_trio.protocol import (
    EMPTY,
    Batch,
    Envelope,
    Promise,
    PromiseCancel,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    Request,
    TaskFence,
    TaskState,
    Value,
    tags,
)

from .choices import Choices
from .server import ROOT, Server
from .stage import Stage

CODEC: Final = Codec()
BUDGET_MS: Final = 30_000
OUTCOMES: Final = {"ok": ["ok"], "fail": ["fail"], "any": ["ok", "fail"], "never": []}
"""How a remote function may end, by its name. When it was cancelled, so also that way."""


@final
@frozen
class Bounds:
    """How much may happen in one history.

    Attributes:
        crashes: how often the worker may crash.
        interruptions: how often something may happen while the function runs, or is about to go on, instead of
            while it can only wait for that.
    """

    crashes: int = 0
    interruptions: int = 0


@final
@frozen
class Happening:
    """Something that may happen next."""

    name: str
    do: Callable[[], None]
    is_crash: bool = False


GO_ON: Final = Happening("nothing happens", lambda: None)


@final
@define(eq=False)
class Story:
    """Chooses what happens, and keeps it as text.

    Attributes:
        told: what has happened so far, for messages.
        is_cancelled: the root invocation was asked to end as cancelled.
        tell_cancelled: tells the worker of that at once, while it holds the task.
    """

    server: Server
    stage: Stage
    choices: Choices
    bounds: Bounds
    may_cancel: bool = False
    told: list[str] = field(factory=list)
    is_cancelled: bool = False
    tell_cancelled: Callable[[], None] | None = None
    _crashes: int = 0
    _interruptions: int = 0
    _requests: int = 0

    # --- Moments ----------------------------------------------------------------------------------

    def before(self, request: Request) -> bool | None:
        """Let things happen before a request.

        Returns:
            Whether the worker crashes there: True, before the request takes effect, False, after, or None, not.
        """
        self._requests += 1
        asked = f"request {self._requests}, {_shown(request)}"
        crashes = [
            Happening(f"the worker crashes {side} {asked}", lambda: None, is_crash=True)
            for side in ("before", "after")
        ]
        last = ""
        while True:
            options = [GO_ON]
            if self._interruptions < self.bounds.interruptions:
                # What happens at one moment does so in one order only: it comes to the same.
                options += [each for each in self._possible(is_held=True) if each.name >= last]
            if self._crashes < self.bounds.crashes:
                options += crashes
            chosen = self._choose(options, f"before {asked}")
            if chosen is GO_ON:
                self.told.append(asked)
                return None
            if chosen.is_crash:
                self._crashes += 1
                return chosen is crashes[0]
            self._interruptions += 1
            last = chosen.name

    def while_suspended(self) -> None:
        """Let things happen until the task can be taken again, and maybe until it is."""
        while self.server.root_task.state is TaskState.SUSPENDED:
            options = self._possible(is_held=False)
            assert options, self.fails("it waits for what never happens")
            self._choose(options, "while it is suspended")
        while self._interruptions < self.bounds.interruptions:
            chosen = self._choose([GO_ON, *self._possible(is_held=False)], "before it is taken again")
            if chosen is GO_ON:
                break
            self._interruptions += 1

    def while_it_waits(self) -> None:
        """Let something happen while the function, or a step, waits for I/O: nothing else goes on."""
        assert self.stage.waiting, self.fails("it hangs")
        self._choose(self._possible(is_held=True), "while it waits for I/O")

    def fails(self, why: str) -> str:
        """Return a message."""
        return "\n  ".join([why, "what happened:", *self.told])

    # --- What may happen --------------------------------------------------------------------------

    def _choose(self, options: Sequence[Happening], when: str) -> Happening:
        chosen = self.choices.of(options)
        if chosen is not GO_ON:
            self.told.append(chosen.name if chosen.is_crash else f"{when}: {chosen.name}")
            chosen.do()
        return chosen

    def _possible(self, *, is_held: bool) -> list[Happening]:
        pending = [promise for promise in self.server.promises() if promise.is_pending and promise.id != ROOT]
        found = [each for promise in pending for each in self._endings(promise)]
        found += [
            each for name, over in self.stage.waiting.items() if not over.is_set() for each in self._io(name)
        ]
        if self.may_cancel and not self.is_cancelled:
            found.append(Happening("it is cancelled from outside", self.cancel))
            if is_held and self.tell_cancelled is not None:
                found.append(Happening("it is cancelled from outside, and told", self._cancel_and_tell))
        timers = [promise.timeout_at for promise in pending if tags.is_timer(promise.tags)]
        if timers:
            found.append(Happening("time goes on to the next timer", lambda: self._pass_time(min(timers))))
        return sorted(found, key=lambda each: each.name)

    def _endings(self, promise: Promise) -> list[Happening]:
        if not tags.is_external(promise.tags) or tags.is_timer(promise.tags):
            return []
        task = self.server.task(promise.id)
        call = CODEC.decode_call(promise.param)
        outcomes = list(OUTCOMES["any" if task is None else call.func])
        if task is not None and task.cancelled_at is not None:
            outcomes.append("cancelled")
        return [self._ending(promise.id, outcome) for outcome in outcomes]

    def _ending(self, id: str, outcome: str) -> Happening:
        def settle() -> None:
            self.server.ask(PromiseSettle(id, *_settlement(id, outcome)), PromiseReply)

        return Happening(f"{id} ends: {outcome}", settle)

    def _io(self, name: str) -> list[Happening]:
        return [
            Happening(
                f"I/O {name} ends: {outcome}", partial(self.stage.end_io, name, is_failure=outcome == "fail")
            )
            for outcome in OUTCOMES["ok" if name.startswith("ok") else "any"]
        ]

    def _pass_time(self, until_ms: int) -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        clock.jump(max(0, until_ms - self.server.now_ms()) / 1000)
        self.server.fire()

    def cancel(self) -> None:
        """Have somebody outside cancel the root invocation."""
        value = Cancellation("client").encode(CODEC)
        self.server.ask(PromiseCancel(ROOT, BUDGET_MS, value), PromiseReply)
        self.is_cancelled = True

    def _cancel_and_tell(self) -> None:
        self.cancel()
        assert self.tell_cancelled is not None
        self.tell_cancelled()


def _settlement(id: str, outcome: str) -> tuple[PromiseState, Value]:
    match outcome:
        case "ok":
            return PromiseState.RESOLVED, CODEC.encode(f"result of {id}")
        case "fail":
            return PromiseState.REJECTED, CODEC.encode_error(ValueError(f"failure of {id}"))
    return PromiseState.CANCELED, EMPTY


def _shown(request: Request) -> str:
    if isinstance(request, Batch):
        return ", ".join(_shown(each.data) for each in request.requests if isinstance(each, Envelope))
    if isinstance(request, TaskFence):
        return _shown(request.action.data)
    return f"{request.kind} {getattr(request, 'id', '')}".strip()
