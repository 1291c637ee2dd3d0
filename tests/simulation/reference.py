"""What a function must have done, given what is stored: the rules of structured concurrency, once more.

This walks through a program without the SDK, mints the ids by itself, and finds at each of them what is stored. By
rule 4 that decides everything: the path through the function, its result, and which ids it used. What is stored
must be possible, too: a cancellation has somebody who asked for it, a leaf returns what leaves return.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any, Final, final
from uuid import UUID

from attrs import define, field

from resonate_trio._codec import Codec
from resonate_trio._outcome import Cancellation, outcome_of
from resonate_trio.protocol import Promise, PromiseState

from .flow import VERSIONS, Boom, digest, instant, shape
from .programs import Block, Program

if TYPE_CHECKING:
    from collections.abc import Iterator

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Missing(BaseException):
    """The function cannot have come further: what it needs is not stored."""


class Cut(BaseException):
    """What trio's Cancelled is to the function."""


class Failed(Exception):
    """An error of which nothing but its shape matters."""

    def __init__(self, kind: str, by: str | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.by = by


def shape_of(error: BaseException) -> str:
    """Return an exception as text."""
    if isinstance(error, BaseExceptionGroup):
        return f"group({', '.join(map(shape_of, error.exceptions))})"
    return error.kind if isinstance(error, Failed) else shape(error)


@final
@define(eq=False)
class _Scope:
    """A scope of a function.

    Attributes:
        reasons: why it was cancelled, if it was.
        is_raised: a wait in it was cut.
    """

    id: str
    parent: "_Scope | None" = None
    is_shield: bool = False
    timer: str | None = None
    reasons: list[str] = field(factory=list)
    is_raised: bool = False
    caught: bool = False

    def visible(self) -> "Iterator[_Scope]":
        """Yield the scopes whose cancellation concerns the code in this one."""
        yield self
        if not self.is_shield and self.parent is not None:
            yield from self.parent.visible()

    def leave(self, error: BaseException | None) -> BaseException | None:
        """Return what is left of an exception outside of this scope."""
        is_ours = self.is_raised and not any(scope.is_raised for scope in list(self.visible())[1:])
        if error is None or not is_ours:
            return error
        if isinstance(error, BaseExceptionGroup):
            cuts, rest = error.split(Cut)
            self.caught = cuts is not None
            return rest
        self.caught = isinstance(error, Cut)
        return None if self.caught else error


@final
@define(eq=False)
class _Child:
    id: str
    was_awaited: bool = False
    outcome: tuple[object, Exception | None] | None = None


@final
@define(eq=False)
class _Owner:
    scope: _Scope
    fail_fast: bool = False
    children: dict[str, _Child] = field(factory=dict)
    ever: list[_Child] = field(factory=list)


@final
@define(eq=False)
class Account:
    """What a function must have done.

    Attributes:
        path: what it saw.
        result: "value …", "error …" or "canceled"; None if it did not come to its end.
        ids: what it invoked, in order, each with what it runs: the number of a function, a leaf, or None.
        troubles: what is stored and cannot be.
    """

    path: list[str] = field(factory=list)
    result: str | None = None
    ids: dict[str, Any] = field(factory=dict)
    troubles: list[str] = field(factory=list)


@final
class Reference:
    """Walks through functions by what is stored."""

    def __init__(self, program: Program, stored: Mapping[str, Promise], codec: Codec) -> None:
        self._program = program
        self._stored = stored
        self._codec = codec

    def account(self, id: str, number: int) -> Account:
        """Return what the invocation `id` of a function must have done."""
        return _Walk(self._program, self._stored, self._codec, id).function(number)


@final
class _Walk:
    def __init__(self, program: Program, stored: Mapping[str, Promise], codec: Codec, id: str) -> None:
        self._program = program
        self._stored = stored
        self._codec = codec
        self._id = id
        self._account = Account()
        self._path = self._account.path
        self._count = 0
        self._scopes: list[_Scope] = []
        self._root = self._scope = self._new_scope()
        self._own = self._owner = _Owner(self._root)
        self._owners = [self._own]
        self._labels: dict[int, _Child] = {}
        self._latest = stored[id].created_at
        self._random = Random(sha256(id.encode()).digest())

    def function(self, number: int) -> Account:
        """Walk through a function to its end, or to where it must have stopped."""
        with suppress(Missing):
            self._account.result = self._result(number)
        self._check_cancellations()
        return self._account

    def _result(self, number: int) -> str:
        error: BaseException | None = None
        try:
            self._block(self._program[number])
        except (Exception, Cut, BaseExceptionGroup) as failure:
            error = failure
        raised = self._join(self._own, error, awaited_ones_too=False)
        if len(raised) == 1 and (raised[0] is error or isinstance(raised[0], Cut)):
            error = raised[0]
        elif raised:
            error = BaseExceptionGroup("", raised)
        rest = self._root.leave(error)
        if rest is not None:
            return f"error {shape_of(rest)}"
        return "canceled" if self._root.caught else f"value {digest(number, self._path)}"

    # --- What is stored ---------------------------------------------------------------------------

    def _next(self, what: Any = None) -> str:
        self._count += 1
        id = f"{self._id}{'.' if ':' in self._id else ':'}{self._count}"
        self._account.ids[id] = what
        return id

    def _settled(self, id: str) -> Promise:
        promise = self._stored.get(id)
        if promise is None or promise.is_pending:
            raise Missing
        return promise

    def _by(self, id: str) -> str | None:
        promise = self._settled(id)
        if promise.state is not PromiseState.CANCELED:
            return None
        return Cancellation.decode(promise.value, self._codec).by or ""

    def _read(self, child: _Child) -> tuple[object, Exception | None]:
        if child.outcome is None:
            outcome = outcome_of(self._settled(child.id), object, self._codec)
            error = outcome.error
            if error is not None and not isinstance(error, ExceptionGroup):
                error = error if isinstance(error, Boom) else Failed(shape(error), getattr(error, "by", None))
            child.outcome = outcome.value, error
        return child.outcome

    def _failure(self, child: _Child) -> Exception | None:
        error = self._read(child)[1]
        is_cancelled = isinstance(error, Failed) and error.kind == "InvocationCancelled"
        if is_cancelled and isinstance(error, Failed) and (error.by or "").partition("#")[0] == self._id:
            return None
        return error

    def _receive(self, child: _Child) -> None:
        self._latest = max(self._latest, self._settled(child.id).settled_at or 0)

    # --- Waits ------------------------------------------------------------------------------------

    def _cutter(self, ids: Sequence[str], scope: _Scope) -> _Scope | None:
        causes = {self._by(id) for id in ids}
        cutters = [around for around in scope.visible() if around.id in causes]
        return cutters[-1] if cutters else None

    def _wait(self, child: _Child) -> object:
        self._receive(child)
        cutter = self._cutter([child.id], self._scope)
        if cutter is not None:
            cutter.is_raised = True
            raise Cut
        child.was_awaited = True
        value, error = self._read(child)
        if error is not None:
            raise error
        return value

    def _seen(self, child: _Child) -> None:
        try:
            self._path.append(str(self._wait(child)))
        except Exception as error:
            self._path.append(f"!{shape_of(error)}")
            raise

    def _join(self, owner: _Owner, error: BaseException | None, *, awaited_ones_too: bool) -> list[BaseException]:
        children = list(owner.children.values())
        for child in children:
            self._settled(child.id)
        cutter = self._cutter([child.id for child in children], owner.scope)
        for child in children:
            self._receive(child)
        failures = [self._failure(child) for child in children if awaited_ones_too or not child.was_awaited]
        raised: list[BaseException] = [failure for failure in failures if failure is not None]
        if error is not None and not any(error is failure for failure in raised):
            raised.insert(0, error)
        is_own_nursery = cutter is owner.scope and cutter is not self._root
        if cutter is not None and not is_own_nursery and not _holds_cut(error):
            cutter.is_raised = True
            raised.append(Cut())
        return raised

    # --- Scopes -----------------------------------------------------------------------------------

    def _new_scope(self, seconds: float | None = None, *, is_shield: bool = False) -> _Scope:
        parent = self._scope if self._scopes else None
        scope = _Scope(f"{self._id}#{len(self._scopes)}", parent, is_shield)
        self._scopes.append(scope)
        if seconds is not None:
            scope.timer = self._next()
        return scope

    def _block(self, block: Block) -> None:
        for name, *details in block:
            getattr(self, f"_do_{name}")(*details)

    def _do_nursery(self, fail_fast: bool, timeout: float | None, body: Block) -> None:
        outer_scope, outer_owner, error = self._scope, self._owner, None
        scope = self._scope = self._new_scope(timeout)
        owner = self._owner = _Owner(scope, fail_fast)
        self._owners.append(owner)
        try:
            self._block(body)
        except (Exception, Cut, BaseExceptionGroup) as failure:
            error = failure
        rest = scope.leave(error)
        if rest is not None and fail_fast and not _holds_cut(rest):
            scope.reasons.append("its block has failed")
        try:
            self._end_nursery(owner, rest, has_deadline=timeout is not None)
        finally:
            self._scope, self._owner = outer_scope, outer_owner

    def _end_nursery(self, owner: _Owner, error: BaseException | None, *, has_deadline: bool) -> None:
        scope = owner.scope
        raised = self._join(owner, error, awaited_ones_too=True)
        if not raised:
            cut = scope.caught or any(self._by(id) == scope.id for id in owner.children)
            if has_deadline and cut and "asked" not in scope.reasons:
                raise Failed("TooSlowError")
        elif len(raised) == 1 and isinstance(raised[0], Cut):
            raise raised[0]
        else:
            raise BaseExceptionGroup("", raised)

    def _do_cancel_nursery(self) -> None:
        if self._owner is not self._own:
            self._owner.scope.reasons.append("asked")

    def _do_first(self) -> None:
        if self._owner is self._own:
            return
        owner, runners = self._owner, list(self._owner.children.values())
        if not runners:
            self._path.append("!UsageError")
            raise Failed("UsageError")
        choice = self._settled(self._next())
        for runner in runners:
            self._settled(runner.id)
        for runner in runners:
            runner.was_awaited = True
            self._receive(runner)
            del owner.children[runner.id]
        cutter = self._cutter([choice.id], self._scope)
        if cutter is not None:
            cutter.is_raised = True
            raise Cut
        is_made = choice.state is PromiseState.RESOLVED
        winner = self._codec.decode(choice.value) if is_made else None
        if winner is not None:
            self._path.append(str(self._wait(next(runner for runner in runners if runner.id == winner))))
            return
        failures = [self._read(runner)[1] for runner in runners]
        error = ExceptionGroup("", [failure for failure in failures if failure is not None])
        self._path.append(f"!{shape_of(error)}")
        raise error

    def _do_scope(self, kind: str, seconds: float, body: Block) -> None:
        outer = self._scope
        scope = self._scope = self._new_scope(seconds, is_shield=kind == "shield")
        error: BaseException | None = None
        try:
            self._block(body)
        except (Exception, Cut, BaseExceptionGroup) as failure:
            error = failure
        rest = scope.leave(error)
        self._scope = outer
        if rest is not None:
            raise rest
        if scope.caught and kind == "fail_after":
            raise Failed("TooSlowError")
        self._path.append(f"{kind}: {'cut' if scope.caught else 'whole'}")

    # --- Invocations ------------------------------------------------------------------------------

    def _do_step(self, leaf: Sequence[Any]) -> None:
        self._seen(_Child(self._next(leaf)))

    def _do_call(self, how: str, what: Any, timeout: float | None) -> None:
        self._seen(_Child(self._next(what)))

    def _do_start(self, how: str, what: Any, timeout: float | None, label: int) -> None:
        child = self._labels[label] = _Child(self._next(what))
        self._owner.children[child.id] = child
        self._owner.ever.append(child)

    def _do_await(self, label: int) -> None:
        if label in self._labels:
            self._seen(self._labels[label])

    def _do_cancel(self, label: int, budget: float) -> None:
        pass  # the function itself may always be the one that asked

    def _do_detach(self, number: int) -> None:
        self._next(number)

    def _do_sleep(self, seconds: float) -> None:
        self._seen(_Child(self._next()))

    def _do_promise(self, delay: float, expires: float | None, label: int) -> None:
        id = self._next()
        if id not in self._stored:
            raise Missing
        self._labels[label] = _Child(id)

    # --- Failures ---------------------------------------------------------------------------------

    def _do_fail(self, number: int) -> None:
        raise Boom(number)

    def _do_try(self, body: Block, handler: Block) -> None:
        try:
            self._block(body)
        except Exception as error:
            self._path.append(f"caught {shape_of(error)}")
            self._block(handler)

    def _do_finally(self, body: Block, cleanup: Block) -> None:
        try:
            self._block(body)
        except Missing:
            raise
        except BaseException:
            self._block(cleanup)
            raise
        self._block(cleanup)

    # --- Facts ------------------------------------------------------------------------------------

    def _do_now(self) -> None:
        self._path.append(instant(EPOCH + timedelta(milliseconds=self._latest)))

    def _do_uuid(self) -> None:
        self._path.append(str(UUID(int=self._random.getrandbits(128), version=4)))

    def _do_version(self) -> None:
        id = f"{self._id}{'.' if ':' in self._id else ':'}version-change"
        self._account.ids[id] = None
        self._settled(id)
        self._path.append(str(VERSIONS[-1]))  # the code has not changed

    # --- Is it possible? --------------------------------------------------------------------------

    def _check_cancellations(self) -> None:
        """See that each child that this function has cancelled was cancelled for a reason."""
        for owner in self._owners:
            if owner.fail_fast and any(self._has_failed(child) for child in owner.ever):
                owner.scope.reasons.append("a child has failed")
        for scope in self._scopes:
            timer = self._stored.get(scope.timer or "")
            if timer is not None and timer.state is PromiseState.RESOLVED:
                scope.reasons.append("its time is over")
        by_id = {scope.id: scope for scope in self._scopes}
        for id in self._account.ids:
            promise = self._stored.get(id)
            if promise is None or promise.is_pending or (by := self._by(id)) is None or "#" not in by:
                continue
            asker = by_id.get(by)
            if by.partition("#")[0] != self._id:
                continue  # a sweep names who asked for it at the top
            if asker is None or not (asker is self._root or asker.reasons):
                self._account.troubles.append(f"{id} was cancelled by the scope {by}, for no reason")

    def _has_failed(self, child: _Child) -> bool:
        promise = self._stored.get(child.id)
        return promise is not None and not promise.is_pending and self._failure(child) is not None


def _holds_cut(error: BaseException | None) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(Cut) is not None
    return isinstance(error, Cut)
