"""The loop that runs turns: as few as possible, and none without a reason.

All requests that came in while a turn was being committed are the next turn, so the more is going on, the
more of them share one sync of the disk. Between turns the loop sleeps until a request comes, until something
was handed over that the store must know of, or until the next deadline.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final, TypeVar, final

import anyio
import anyio.lowlevel
import attrs
from attrs import define, frozen

from resonate_trio.protocol import Envelope, Execute, Reply, Request, TaskState
from server_ref.clock import Clock, LoopClock
from server_ref.delivery import NOBODY, Allotment
from server_ref.machine import Draft, Outcome, Outgoing, OutgoingKey, Settings, recover, release_all
from server_ref.store import Store, StoreError
from server_ref.trace import Trace

from ._placing import OWN
from ._thread import StoreThread
from ._turn import Asked, BackgroundCrashedError, RequestCrashedError, Turn, TurnResult, refusal

logger = logging.getLogger(__name__)

MAX_REQUESTS: Final = 256
"""How many requests one turn takes, but for the last batch that it takes, which is not divided."""
STORE_RETRY_S: Final = 1.0
"""After how long what is due is tried again when the store failed."""
CRASH_RETRY_S: Final = 60.0
"""After how long what is due is tried again when the machine failed on it."""
HAND_OVER_S: Final = 0.1
"""How long (s) the store need not know that a notice was handed over. After a crash it is sent again."""
NEVER_S: Final = 100 * 365 * 86_400.0
"""What is due only after that long (s) is never due: it is the deadline of what has none."""
MAX_SLEEP_S: Final = 600.0
"""How long a sleep is at most: meanwhile the wall clock can be set, or the computer be suspended."""

NO_STORE: Final = "the server could not store this, nothing was changed: try again"
GOING_DOWN: Final = "the server is going down, nothing was changed: try again"
CRASHED: Final = "the server failed on this request, nothing was changed; its log says more"

T = TypeVar("T")
Allot = Callable[[], Allotment]
"""Tells a turn of the workers."""
Committed = Callable[[TurnResult], None]
"""Told of every turn that was committed."""
Answered = Callable[[Sequence[Reply]], None]
"""Told of the replies to requests, one for each, in order."""


@final
@define(eq=False)
class _Call:
    """Requests to be performed in one turn, and who is told of the replies."""

    requests: Sequence[Asked]
    answered: Answered
    is_answered: bool = False

    def answer(self, replies: Sequence[Reply]) -> None:
        """Tell of the replies. Only the first ones count."""
        if not self.is_answered:
            self.is_answered = True
            self.answered(replies)

    def refuse(self, status: int, message: str) -> None:
        """Answer with an error."""
        outcome = Outcome(status, message)
        self.answer([refusal(asked, outcome) for asked in self.requests])


@final
@frozen
class LoopSettings:
    """What a loop runs with: the machine's settings, whether debug mode is on, and where to write a trace."""

    machine: Settings
    debug: bool
    trace: Trace | None = None


@final
@frozen
class Recovered:
    """What a store holds that is also kept in memory: who holds which task, and what waits for delivery."""

    holders: Mapping[str, str]
    outbox: Sequence[Outgoing]


@final
class TurnLoop:
    """Runs turns over a store, one at a time. After each, `committed` is told of it."""

    def __init__(self, store: Store, clock: Clock, settings: LoopSettings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._thread = StoreThread()
        self._wake = anyio.Event()
        self._queue: deque[_Call] = deque()
        self._handed: list[OutgoingKey] = []
        self._hand_over_by = math.inf  # on the event loop's clock: when the store has to know what was handed over
        # Nobody sets the clock of the event loop, and virtual time should jump over a year at once.
        self._longest_sleep = math.inf if isinstance(clock, LoopClock) else MAX_SLEEP_S
        self._now = 0
        self._next_due: int | None = 0
        self._hold_until = 0.0  # on the event loop's clock: what is due is not tried before
        self._trouble = ""  # the error of the last turn, so that it is logged once
        self._is_paused = False
        self._is_stopping = False
        self.is_finished = anyio.Event()

    # --- From outside -----------------------------------------------------------------------------

    async def submit(self, requests: Sequence[Asked]) -> Sequence[Reply]:
        """Have requests performed in one turn, and wait for the commit.

        A caller that is cancelled does not wait any longer; its requests may be performed nevertheless.
        """
        is_done = anyio.Event()
        replies: list[Reply] = []

        def answered(given: Sequence[Reply]) -> None:
            replies.extend(given)
            is_done.set()

        self.post(requests, answered)
        await is_done.wait()
        return replies

    def post(self, requests: Sequence[Asked], answered: Answered) -> None:
        """Have requests performed in one turn, without waiting for it."""
        call = _Call(requests, answered)
        if self._is_stopping:
            call.refuse(503, GOING_DOWN)
            return
        self._queue.append(call)
        self._wake.set()

    def ask(self, request: Request, answered: Callable[[Reply], None]) -> None:
        """Have a request of the server itself performed, without waiting for it, also when the loop is to stop.

        The reply is told before what the turn changed.
        """
        call = _Call([Envelope(OWN, request)], lambda replies: answered(*replies))
        if self.is_finished.is_set():
            call.refuse(503, GOING_DOWN)
            return
        self._queue.append(call)
        self._wake.set()

    def hand_over(self, key: OutgoingKey) -> None:
        """Have a message taken out of the outbox, as it reached its receiver.

        An `execute` is in memory only, so the next turn is early enough; an `unblock` is on disk, so it has a turn
        of its own if none comes soon.
        """
        self._handed.append(key)
        if key[0] != Execute.kind and self._hand_over_by == math.inf:
            self._hand_over_by = anyio.current_time() + HAND_OVER_S
            self._wake.set()

    def stop(self) -> None:
        """Take no more requests. The loop ends when it has done what it has."""
        self._is_stopping = True
        self._wake.set()

    async def in_store(self, step: Callable[[], T]) -> T:
        """Call something that uses the store: in a worker thread, if that may block."""
        if self._store.blocking:
            return await self._thread.call(step)
        return step()

    async def close(self) -> None:
        """Close the store, and end the thread that it was used in."""
        with anyio.CancelScope(shield=True):
            await self.in_store(self._store.close)
        self._thread.end()

    def read_clock(self) -> int:
        """Return the instant. It never goes backwards."""
        self._now = max(self._now, self._clock.now_ms())
        return self._now

    # --- The loop ---------------------------------------------------------------------------------

    async def start(self, *, exclusive: bool) -> Recovered:
        """Have the machine recover what the last run of the server left behind in the store, now open."""
        self._now = self._store.clock_floor()
        now = self.read_clock()
        return await self.in_store(partial(self._recover, now, exclusive))

    def _recover(self, now: int, exclusive: bool) -> Recovered:
        def step(draft: Draft) -> dict[str, str]:
            draft.changes.now = now
            recover(now, draft)
            if exclusive:
                release_all(now, draft)
            acquired = draft.scan_tasks("", TaskState.ACQUIRED)
            return {task.id: task.pid for task in acquired if task.pid is not None}

        return Recovered(self._store.transact(step), self._store.outbox())

    async def run(self, allot: Allot, committed: Committed) -> None:
        """Run turns until `stop` is called and all that came before is done."""
        try:
            while self._queue or not self._is_stopping:
                await self._sleep()
                await self._run_turn(allot, committed)
            if self._handed:
                await self._run_turn(allot, committed)
        finally:
            self._is_stopping = True
            while self._queue:
                self._queue.popleft().refuse(503, GOING_DOWN)
            self.is_finished.set()

    async def _sleep(self) -> None:
        """Sleep until there is something to do."""
        await anyio.lowlevel.checkpoint()
        while (delay := self._time_to_sleep()) > 0:
            self._wake = anyio.Event()
            with anyio.move_on_after(delay):
                await self._wake.wait()

    def _time_to_sleep(self) -> float:
        """Return for how long (s) to sleep at most before looking again."""
        if self._queue or self._is_stopping:
            return 0.0
        now = anyio.current_time()
        return max(self._hold_until - now, min(self._hand_over_by - now, self._time_to_what_is_due()))

    def _time_to_what_is_due(self) -> float:
        if self._is_paused or self._next_due is None:
            return math.inf
        delay = (self._next_due - self.read_clock()) / 1000
        return min(delay if delay < NEVER_S else math.inf, self._longest_sleep)

    async def _run_turn(self, allot: Allot, committed: Committed) -> None:
        calls = self._next_calls()
        handed, self._handed = self._handed, []
        result = None
        try:
            result = await self._commit(calls, handed, allot())
        finally:
            if result is None:
                self._handed[:0] = handed
            else:
                replies = iter(result.replies)
                for call in calls:
                    call.answer(list(islice(replies, len(call.requests))))
                committed(result)
            for call in calls:  # those without a reply: this was cancelled before it began
                call.refuse(503, GOING_DOWN)

    def _next_calls(self) -> list[_Call]:
        calls = []
        room = MAX_REQUESTS
        while self._queue and room > 0:
            calls.append(self._queue.popleft())
            room -= len(calls[-1].requests)
        return calls

    async def _commit(
        self, calls: list[_Call], handed: list[OutgoingKey], allotment: Allotment
    ) -> TurnResult | None:
        """Run one turn, without those requests that the machine fails on."""
        turn = Turn(
            [asked for call in calls for asked in call.requests],
            handed,
            self.read_clock(),
            self._settings.machine,
            debug=self._settings.debug,
            is_paused=self._is_paused,
            fires=anyio.current_time() >= self._hold_until,
            allotment=allotment,
        )
        while True:
            try:
                result, next_due = await self.in_store(partial(self._transact, turn))
            except RequestCrashedError as error:
                logger.exception("a request was refused with status 500")
                turn = turn.without(error.index, Outcome(500, CRASHED))
            except BackgroundCrashedError:
                logger.exception("what is due could not be done, trying again in %s s", CRASH_RETRY_S)
                self._hold_until = anyio.current_time() + CRASH_RETRY_S
                turn = attrs.evolve(turn, fires=False, allotment=NOBODY)
            except StoreError as error:
                self._note_trouble(str(error))
                self._refuse(calls, 503, NO_STORE)
                return None
            except Exception:
                logger.exception("the store failed")
                self._refuse(calls, 500, CRASHED)
                return None
            else:
                self._note_success(result, next_due)
                return result

    def _refuse(self, calls: list[_Call], status: int, message: str) -> None:
        for call in calls:
            call.refuse(status, message)
        self._hold_until = anyio.current_time() + STORE_RETRY_S

    def _transact(self, turn: Turn) -> tuple[TurnResult, int | None]:
        result = self._store.transact(turn.run)
        self._trace(turn, result)
        if result.more:
            return result, turn.now
        try:
            return result, self._store.next_due()
        except StoreError:
            # What was committed is to be acknowledged nevertheless; the next turn will say what is wrong.
            return result, turn.now + round(STORE_RETRY_S * 1000)

    def _trace(self, turn: Turn, result: TurnResult) -> None:
        trace = self._settings.trace
        if trace is None:
            return
        asked = zip(turn.requests, result.replies, strict=True)
        trace.record((turn.instant_of(one), one, reply) for one, reply in asked if not isinstance(one, Reply))
        if turn.fires and not result.is_paused:
            trace.note_tick(turn.now)
        trace.record((turn.now, placed.request, placed.reply) for placed in result.placed)

    def _note_success(self, result: TurnResult, next_due: int | None) -> None:
        if self._trouble:
            logger.warning("the store works again")
            self._trouble = ""
        if all(key[0] == Execute.kind for key in self._handed):
            self._hand_over_by = math.inf
        self._is_paused = result.is_paused
        self._next_due = next_due

    def _note_trouble(self, message: str) -> None:
        if message != self._trouble:
            logger.error("nothing can be stored: %s", message)
            self._trouble = message
