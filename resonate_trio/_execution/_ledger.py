"""The promises of one execution: what is known of them, and what it writes to the server about them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, final

import trio

from resonate_trio._cancelling import cancel
from resonate_trio._errors import RequestRefusedError
from resonate_trio._outcome import Cancellation, Outcome, outcome_of
from resonate_trio.protocol import (
    Promise,
    PromiseCancel,
    PromiseCreate,
    PromiseSettle,
    PromiseState,
    Value,
    extensions,
    tags,
)

from ._bodies import Bodies
from ._divergence import divergence
from ._journal import Journal
from ._life import Life
from ._runtime import Runtime

# How long to wait before asking again whether a promise has timed out that has done so by our clock.
CLOCK_SKEW_STEP: Final = 0.05


@final
class Ledger:
    """Reads and writes promises for one execution, and wakes its bodies by what becomes known.

    Attributes:
        journal: what the server has told.
    """

    def __init__(self, runtime: Runtime, life: Life, bodies: Bodies, preload: Iterable[Promise]) -> None:
        self.journal = Journal()
        self.journal.record(preload)
        self._runtime = runtime
        self._life = life
        self._bodies = bodies
        self._refused: dict[str, Exception] = {}  # invocations that the server did not accept, by id
        self._in_flight: dict[str, trio.Event] = {}  # promises being created
        self._claimed: set[str] = set()  # those that the code has asked for in this run

    def __repr__(self) -> str:
        return f"<Ledger: {self.journal!r}>"

    # --- Reading ----------------------------------------------------------------------------------

    def learn(self, promises: Iterable[Promise]) -> list[str]:
        """Take in promises as the server sent them; return the ids of those that became known as settled."""
        news = self.journal.record(promises)
        self._bodies.settled(news)
        return news

    def is_known(self, id: str) -> bool:
        """Tell whether the outcome of an invocation is known here."""
        return id in self._refused or self.journal.settled(id) is not None

    def watch(self, id: str, told: Callable[[], None]) -> None:
        """Have `told` called once the outcome of an invocation is known, at once if it is so now."""
        if self.is_known(id):
            told()
        else:
            self.journal.watch(id, told)

    def outcome(self, id: str, result_type: object) -> Outcome:
        """Return the outcome of an invocation that `is_known`."""
        if id in self._refused:
            return Outcome(error=self._refused[id])
        promise = self.journal.settled(id)
        assert promise is not None
        return outcome_of(promise, result_type, self._runtime.codec)

    def cancellation(self, id: str) -> Cancellation | None:
        """Return who cancelled an invocation, as it is stored, or None if it ended otherwise."""
        promise = self.journal.settled(id)
        if promise is None or promise.state is not PromiseState.CANCELED:
            return None
        return Cancellation.decode(promise.value, self._runtime.codec)

    def unclaimed(self, parent: str) -> Sequence[str]:
        """Return the stored children of an invocation that its code has not asked for in this run."""
        return sorted(id for id in self.journal.children(parent) if id not in self._claimed)

    async def find(self, id: str) -> Promise | None:
        """Return a promise, or None if it does not exist."""
        known = self.journal.get(id)
        if known is None:
            known = await self._life.insist(self._life.held.find, id)
            if known is not None:
                self.learn([known])
        return known

    async def ended(self, id: str) -> None:
        """Wait until a promise is settled whose deadline has passed by our clock; the server's may be behind.

        News that come while the task is being given back are left to the server: it knows that they are awaited.
        """
        while True:
            promise = await self._life.insist(self._life.held.read, id)
            if not promise.is_pending:
                if self._life.is_held:
                    self.learn([promise])
                return
            await trio.sleep(CLOCK_SKEW_STEP)

    async def watch_timer(self, id: str, seconds: float, scope: trio.CancelScope) -> None:
        """Have a timer looked at again when its time has come, for as long as the task is held.

        Args:
            id: its promise.
            seconds: how long that is.
            scope: ends the watch.
        """
        with scope:
            await trio.sleep(max(0.0, seconds))
            while not self.is_known(id):
                if self._life.is_held:
                    await self.ended(id)
                else:
                    await self._life.until_held()

    # --- Writing ----------------------------------------------------------------------------------

    def claim(self, request: PromiseCreate) -> bool:
        """Note that the code asks for a promise; tell whether it must be created.

        Raises:
            ExecutionDropped: another one is stored at its id, so the code has changed.
        """
        self._life.check()
        self._claimed.add(request.id)
        known = self.journal.get(request.id)
        if known is None:
            self._in_flight[request.id] = trio.Event()
            return True
        self._check(request, known)
        return False

    async def create(self, request: PromiseCreate) -> None:
        """Create a promise that was claimed, and have it checked. A refusal is its outcome."""
        try:
            result: Promise | RequestRefusedError = await self._life.guard(self._life.held.write, request)
        except RequestRefusedError as refusal:
            result = refusal
        self.created([request], [result])

    async def create_all(self, requests: Sequence[PromiseCreate]) -> None:
        """Create promises in one round trip. The server must offer batches."""
        self.created(requests, await self._life.insist(self._life.held.write_all, requests))

    def created(self, requests: Sequence[PromiseCreate], results: Sequence[Promise | RequestRefusedError]) -> None:
        """Take in what became of promises that were to be created."""
        for request, result in zip(requests, results, strict=True):
            self._in_flight.pop(request.id).set()
            if isinstance(result, RequestRefusedError):
                self._refused[request.id] = result
                self.journal.tell(request.id)
                self._bodies.settled([request.id])
            else:
                self._check(request, result)
                self.learn([result])

    async def create_settled(self, request: PromiseCreate, state: PromiseState, value: Value) -> None:
        """Create a promise with its outcome, in one round trip. The server must offer batches."""
        settle = PromiseSettle(request.id, state, value)
        created, settled = await self._life.insist(self._life.held.write_all, [request, settle])
        self.created([request], [created])
        if isinstance(settled, Promise):
            self.learn([settled])
        elif isinstance(created, Promise):
            await self._settle_refusal(request.id, settled)

    async def stored(self, id: str) -> Exception | None:
        """Wait until a promise that was claimed is stored; return why the server refused it, if it did."""
        if id in self._in_flight:
            await self._in_flight[id].wait()
        self._life.check()
        return self._refused.get(id)

    async def settle(self, id: str, state: PromiseState, value: Value) -> None:
        """Store an outcome. If the server refuses it, because it is too large, say, the refusal is stored."""
        write = self._life.held.write
        try:
            promise = await self._life.guard(write, PromiseSettle(id, state, value))
        except RequestRefusedError as refusal:
            await self._settle_refusal(id, refusal)
        else:
            self.learn([promise])

    async def _settle_refusal(self, id: str, refusal: RequestRefusedError) -> None:
        settle = PromiseSettle(id, PromiseState.REJECTED, self._runtime.codec.encode_error(refusal))
        self.learn([await self._life.insist(self._life.held.write, settle)])

    async def cancel(self, id: str, cancellation: Cancellation, budget_ms: int) -> None:
        """Ask that a promise which is not executed here end as cancelled.

        Args:
            id: the promise, which was claimed.
            cancellation: who asks; stored with the outcome.
            budget_ms: how long its worker may take to clean up (ms).
        """
        await self.stored(id)
        promise = self.journal.get(id)
        if promise is None or not promise.is_pending:
            return
        value = cancellation.encode(self._runtime.codec)
        life, link = self._life, self._runtime.link
        if not tags.has_task(promise.tags):
            await self.settle(id, PromiseState.CANCELED, value)
        elif link.offers(extensions.CANCEL):
            self.learn([await life.insist(life.held.write, PromiseCancel(id, budget_ms, value))])
        else:
            self.learn([await life.insist(cancel, link, id, value=value, budget_ms=budget_ms)])

    def _check(self, request: PromiseCreate, stored: Promise) -> None:
        error = divergence(request, stored, self._runtime.codec)
        if error is not None:
            raise self._life.diverge(error)
