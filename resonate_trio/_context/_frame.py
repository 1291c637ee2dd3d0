"""One run of one function: where ids of its invocations come from, who may wait in it, how its waits end."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Final, final

import trio
from attrs import evolve

from resonate_trio._clock import deadline_ms
from resonate_trio._codec import Call
from resonate_trio._errors import DivergenceError
from resonate_trio._execution import Alarms, CallContext, Execution, Run, Wait, Work
from resonate_trio._ids import Lineage, child_id
from resonate_trio._instrument import InvocationKind
from resonate_trio._outcome import Cancellation
from resonate_trio.protocol import EMPTY, PromiseCreate, Value, extensions, tags

from ._cancel_scope import CancelScope
from ._refusals import from_another_task, from_thread, in_plain_scope
from ._standing import Standing, shielded

ContextFactory = Callable[[Execution, Lineage, Run], CallContext]

CANCEL_BUDGET: Final = 30.0
"""How long (s) an invocation may take to end when it is cancelled, unless the caller says otherwise."""
SLACK: Final = 10.0
"""How long (s) after that budget what nobody has cancelled ends by itself."""


@final
class Frame:
    """One run of one function inside an execution.

    Ids are counted in the order of the calls, so they are the same in every run of the same code. That holds only
    if one task makes all durable calls, which is checked.

    Attributes:
        execution: the task that the function is a part of.
        lineage: the id of the invocation and its place in the call graph.
        root: the scope of the function as a whole.
        recheck: sees whether the wait that the function stands at, if any, is to be cut.
    """

    def __init__(self, execution: Execution, lineage: Lineage, run: Run, new_context: ContextFactory) -> None:
        self.execution = execution
        self.lineage = lineage
        self.run = run
        self.runtime = execution.runtime
        self._new_context = new_context
        self._count = 0
        self._scopes = 0
        own = execution.known(lineage.id)
        self._latest_ms = 0 if own is None else own.created_at
        self._task = trio.lowlevel.current_task()
        self.recheck: Callable[[], None] | None = None
        self.root = self._innermost = CancelScope(
            self, trio_scope=run.scope, is_cancelled=lambda: run.cancelled_by is not None
        )
        self.root.id = f"{lineage.id}#0"

    def __repr__(self) -> str:
        return f"<Frame of {self.lineage.id!r}: {self._count} durable calls>"

    # --- Facts ------------------------------------------------------------------------------------

    @property
    def is_leaf(self) -> bool:
        """Tell whether no durable call was made so far."""
        return not self._count

    @property
    def is_first(self) -> bool:
        """Tell whether the function was never further than now: children that are not known do not exist."""
        is_root = self.lineage.id == self.execution.promise.id
        return self.run.is_new or (is_root and self.runtime.link.offers(extensions.PRELOAD))

    @property
    def latest_ms(self) -> int:
        """The instant of the latest stored fact that the function has seen, Unix time in milliseconds."""
        return self._latest_ms

    def see(self, id: str) -> None:
        """Note that the function has received the outcome of an invocation."""
        promise = self.execution.known(id)
        if promise is not None and promise.settled_at is not None:
            self._latest_ms = max(self._latest_ms, promise.settled_at)

    def is_own(self, canceller: str | None) -> bool:
        """Tell whether it was this function that cancelled something."""
        return canceller is not None and canceller.partition("#")[0] == self.lineage.id

    # --- Ids and deadlines ------------------------------------------------------------------------

    def next_local(self) -> Lineage:
        """Return the place of the next promise that lives in this task."""
        return self.lineage.local_child(self._next(), self.runtime.dialect)

    def next_remote(self) -> Lineage:
        """Return the place of the next promise that is executed elsewhere."""
        return self.lineage.remote_child(self._next(), self.runtime.dialect)

    def named_child(self, name: str) -> Lineage:
        """Return the place of a promise of this function that is not counted."""
        return self.lineage.named_child(name, self.runtime.dialect)

    async def has_gone_on(self) -> bool:
        """Tell whether an earlier run has gone on from where the function is now: its next child is stored."""
        if self.run.is_new:
            return False
        next_id = child_id(self.lineage.id, self._count + 1, self.runtime.dialect)
        return await self.execution.ledger.find(next_id) is not None

    def check_complete(self) -> None:
        """See, at the end, that the function has made all calls that an earlier run of it has stored.

        Raises:
            ExecutionDropped: it has not, so the code has changed.
        """
        for id in self.execution.ledger.unclaimed(self.lineage.id):
            if id.rpartition(":")[2].rpartition(".")[2].isdecimal():  # what has a name is not counted
                error = DivergenceError(id, asked="nothing any more", stored="an invocation")
                raise self.execution.life.diverge(error)

    def create(
        self, lineage: Lineage, timeout_at: int, own_tags: dict[str, str], param: Value = EMPTY
    ) -> PromiseCreate:
        """Return the request that creates a child."""
        wire_tags = {**lineage.tags(), **own_tags}
        if self.run.was_cut and self._count == 1:
            # What was stored of this function begins here, with its end. A replay must not go past that.
            wire_tags[tags.CUT] = self.run.cancelled_by or ""
        return PromiseCreate(lineage.id, timeout_at, wire_tags, param)

    def latent(self, kind: InvocationKind, tag: str, name: str, seconds: float | None) -> PromiseCreate:
        """Describe a promise that no worker executes, but that this task may await."""
        lineage = self.next_local()
        self.runtime.instrument.invoked(lineage.id, kind, name, self.lineage.id)
        param = self.runtime.codec.encode_call(Call(name))
        own_tags = {tags.SCOPE: tags.GLOBAL, tag: "true"}
        return self.create(lineage, self.child_deadline(seconds), own_tags, param)

    def child_deadline(self, seconds: float | None) -> int:
        """Return the deadline of a child, Unix time in milliseconds: its own, but never beyond those around it.

        Beyond the deadline of a scope it has the time to clean up, and a little more: before that is over, the
        server ends what was cancelled then.
        """
        bounds = [self.run.timeout_at]
        scope: CancelScope | None = self._innermost
        while scope is not None:
            if scope.ends_at is not None:
                bounds.append(scope.ends_at + round((CANCEL_BUDGET + SLACK) * 1000))
            scope = scope.parent
        return min(self.free_deadline(seconds), *bounds)

    def free_deadline(self, seconds: float | None) -> int:
        """Return the deadline of an invocation that outlives us. Unix time in milliseconds."""
        return deadline_ms(self.runtime.clock.now_ms(), seconds)

    def context_factory(self, lineage: Lineage) -> Callable[[Run], CallContext]:
        """Return what makes the context of each attempt of a local invocation."""
        return partial(self._new_context, self.execution, lineage)

    def _next(self) -> int:
        self._count += 1
        return self._count

    # --- Scopes -----------------------------------------------------------------------------------

    @property
    def innermost(self) -> CancelScope:
        """The scope that the function is in."""
        return self._innermost

    def enter(self, scope: CancelScope) -> None:
        """Note that the function is in a scope from now on."""
        self._scopes += 1
        scope.id = f"{self.lineage.id}#{self._scopes}"
        scope.parent = self._innermost
        self._innermost = scope

    def exit(self, scope: CancelScope) -> None:
        """Note that the function has left a scope."""
        assert scope.parent is not None
        self._innermost = scope.parent

    def start_timer(self, seconds: float, watch: trio.CancelScope) -> PromiseCreate:
        """Create a promise that is resolved after `seconds`, as the first run had it, and have an eye on it.

        Args:
            seconds: until the deadline.
            watch: ends the watch.
        """
        request = self.latent("timer", tags.TIMER, "deadline", seconds)
        execution = self.execution
        execution.start_remote(request)
        stored = execution.known(request.id)
        if stored is not None:
            request = evolve(request, timeout_at=stored.timeout_at)
        execution.ledger.watch(request.id, self.poke)
        execution.watch_timer(request.id, request.timeout_at, watch)
        return request

    def cancel(self, id: str, by: CancelScope | None = None, *, budget: float = CANCEL_BUDGET) -> None:
        """Ask that an invocation end as cancelled. Nothing is waited for.

        Args:
            id: an invocation of this function.
            by: the scope that asks; None: the function itself.
            budget: how long it may take (s).
        """
        if by is None:
            cancellation = Cancellation(self.lineage.id)
        elif by is self.root:
            # A replay may come here before it has heard who wants it cancelled.
            cancellation = Cancellation(by.id, cause=self.run.cancelled_by or None)
        else:
            cancellation = Cancellation(by.id)
        self.execution.cancel_invocation(id, cancellation, round(budget * 1000))

    # --- Waits ------------------------------------------------------------------------------------

    def poke(self) -> None:
        """Have the wait that the function stands at, if any, look again whether it is to be cut."""
        if self.recheck is not None:
            self.recheck()

    async def wait(self, ids: Sequence[str], *, scope: CancelScope | None = None) -> CancelScope | None:
        """Wait until the outcomes of all `ids` are known.

        A wait in a cancelled scope is cut: what it waits for is cancelled first. Then its outcome decides. That
        may be the cancellation, or a result that came just before.

        Args:
            ids: invocations of this function.
            scope: where the function stands, if not in the innermost scope.

        Returns:
            The scope whose cancellation is the outcome of one of them: the caller is to raise `Cancelled` there.

        Raises:
            UsageError: a plain trio scope cuts the wait, or might.
            ExecutionDropped: the execution has ended.
        """
        scope = scope or self._innermost
        self.check_plain_scopes()
        is_cut = False
        while unknown := [id for id in ids if not self.execution.ledger.is_known(id)]:
            canceller = None if is_cut else self.look(scope)
            if canceller is None:
                await self.stand(Wait(unknown, partial(self.alarms, scope, is_cut=is_cut)), scope)
            else:
                is_cut = True
                for id in unknown:
                    self.cancel(id, canceller)
        await self.checkpoint()
        return self.cutter(ids, scope)

    async def call_local(self, request: PromiseCreate, work: Work) -> CancelScope | None:
        """Run a local invocation right here, and stand at it meanwhile. Returns and raises as `wait`."""
        scope, id = self._innermost, request.id
        self.check_plain_scopes()

        def recheck() -> None:
            canceller = self.look(scope)
            if canceller is not None:
                self.cancel(id, canceller)

        self.execution.expect_local(id)
        if not self.execution.ledger.is_known(id):
            recheck()
        alarms = partial(self.alarms, scope)
        with self._standing(recheck, scope):
            await self.execution.run_local(request, work, self.run, alarms, is_first=self.is_first)
        if self.run.is_over or not self.execution.ledger.is_known(id):
            return await self.wait([id])
        self.execution.life.check()
        return self.cutter([id], scope)

    async def stored(self, id: str) -> Exception | None:
        """Wait until a promise is stored; return why the server refused it, if it did."""
        self.check_plain_scopes()
        with self.writing():
            refusal = await self.execution.ledger.stored(id)
        await self.checkpoint()
        return refusal

    def writing(self) -> AbstractContextManager[None]:
        """Let the function wait for the server only, which nothing cuts but the end of everything."""
        return self._standing(lambda: None, self._innermost, is_shielded=True)

    def look(self, scope: CancelScope) -> CancelScope | None:
        """Return the scope that cuts a wait in `scope`; see that children of cancelled nurseries are cancelled.

        That is done here, at waits, and not as soon as a failure is heard of: a replay hears of it at another
        moment.
        """
        around: CancelScope | None = scope
        while around is not None:
            if around.owner is not None and (canceller := around.canceller()) is not None:
                around.owner.cancel(canceller)
            around = around.parent
        return scope.canceller()

    def cutter(self, ids: Sequence[str], scope: CancelScope) -> CancelScope | None:
        """Return the outermost scope around a wait that has cancelled one of `ids`, as it is stored."""
        found = [self.execution.ledger.cancellation(id) for id in ids]
        causes = {cancellation.by: cancellation.cause for cancellation in found if cancellation is not None}
        if not causes:
            return None
        cutters = [around for around in scope.visible() if around.id in causes]
        if self.root in cutters:
            self.run.cancel(causes[self.root.id] or "")
        return cutters[-1] if cutters else None

    async def stand(self, wait: Wait, scope: CancelScope) -> None:
        """Block until something of a wait is over, or a scope around it may have been cancelled."""
        with self._standing(partial(self.execution.interrupt, wait), scope):
            await self.execution.block(wait)
        await self.checkpoint()

    async def checkpoint(self) -> None:
        """Let others run, and see that the execution goes on."""
        if self.run.is_over:
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
        self.execution.life.check()

    def shielded(self) -> AbstractContextManager[object]:
        """Shield a block from cancellation, as long as the function has time at all."""
        return self.execution.life.shielded(deadline=self._deadline)

    def check_cut(self) -> None:
        """See that what has cut a wait, trio's Cancelled, may do so.

        Raises:
            UsageError: it was a plain trio scope.
            ExecutionDropped: the execution has ended.
        """
        life = self.execution.life
        if not life.is_held:
            # Nothing may run here while the task is not ours: a replay finds out what became of it.
            self.execution.drop("a wait was cancelled while the task was suspended")
        life.check()
        if not self.run.is_over:
            raise in_plain_scope(self.lineage.id) from None

    def _standing(
        self, recheck: Callable[[], None], scope: CancelScope, *, is_shielded: bool = False
    ) -> AbstractContextManager[None]:
        standing = Standing(self, recheck)
        if is_shielded or scope.is_unwinding:
            return shielded(standing, self.shielded())
        return standing

    def alarms(self, scope: CancelScope, *, is_cut: bool = False) -> Alarms:
        """Return what may cut a wait in `scope`."""
        if is_cut:
            return Alarms()
        timers = [around.timer for around in scope.visible() if around.timer is not None]
        owners = [around.owner for around in scope.visible() if around.owner is not None]
        return Alarms(timers, [id for owner in owners for id in owner.watched()])

    # --- Guards -----------------------------------------------------------------------------------

    def check_task(self, call: str) -> None:
        """Refuse durable calls from elsewhere than the function's own task: a replay could not repeat their order.

        Raises:
            UsageError: the calling task is not the one that the function runs in, or it is a thread.
            ExecutionDropped: the execution has ended.
        """
        self.execution.life.check()
        if not trio.lowlevel.in_trio_task():
            raise from_thread(call, self.lineage.id)
        if trio.lowlevel.current_task() is not self._task:
            raise from_another_task(call, self.lineage.id)

    def check_plain_scopes(self) -> None:
        """Refuse a durable wait in a plain trio scope that may cut it: a replay could not repeat that.

        Raises:
            UsageError: there is such a scope.
        """
        if trio.current_effective_deadline() >= self._deadline:
            return
        if not self._innermost.is_unwinding and not self.run.is_over:
            raise in_plain_scope(self.lineage.id)

    @property
    def _deadline(self) -> float:
        """The deadline of what the runtime itself has put around the function, on trio's clock."""
        return min(self.execution.base_deadline, self.run.deadline)
