"""Whether what is stored at the end is what the programs must have done."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from resonate_trio import Registry
from resonate_trio._codec import Codec
from resonate_trio._outcome import outcome_of
from resonate_trio.protocol import Promise, PromiseState, TaskState, tags
from resonate_trio.testing import UNFINISHED, Effects, History, replay
from server_ref.machine import TaskRecord

from .flow import Boom, Notes, make_registry, shape
from .invariants import may_stay
from .plans import Plan
from .programs import Program, is_calm
from .reference import Account, Reference

SHORTEST_BUDGET_MS: Final = 1000
INTERRUPTED: Final = frozenset({PromiseState.CANCELED, PromiseState.TIMEDOUT})


def judge(
    program: Program,
    plan: Plan,
    promises: Mapping[str, Promise],
    tasks: Mapping[str, TaskRecord],
    cancelled_at: Mapping[str, int],
    notes: Notes,
) -> Sequence[str]:
    """Return what is wrong at the end of a run, in sentences."""
    troubles = list(notes.troubles)
    ours = [promise for promise in promises.values() if not may_stay(promise)]
    troubles += [f"{promise.id} is still pending" for promise in ours if promise.is_pending]
    unended = [task for task in tasks.values() if task.state is not TaskState.FULFILLED]
    troubles += [f"the task {task.id} is {task.state}" for task in unended]
    troubles += _judge_tree(program, plan, promises, cancelled_at, notes)
    if is_calm(program) and plan.is_calm:
        calm = [p for p in promises.values() if p.state in INTERRUPTED]
        troubles += [f"{promise.id} is {promise.state}, in a calm program" for promise in calm]
    return troubles


def _judge_tree(
    program: Program,
    plan: Plan,
    promises: Mapping[str, Promise],
    cancelled_at: Mapping[str, int],
    notes: Notes,
) -> Iterator[str]:
    reference = Reference(program, promises, CODEC)
    seen: set[str] = set()
    ran: Counter[int] = Counter()
    waiting: list[tuple[str, Any]] = [(f"r{number}", 0) for number in range(plan.roots)]
    while waiting:
        id, what = waiting.pop()
        if id not in promises:
            continue
        seen.add(id)
        promise = promises[id]
        if isinstance(what, int):
            account = reference.account(id, what)
            yield from account.troubles
            yield from _judge_function(account, promise, promises, cancelled_at)
            yield from _judge_paths(account, notes.paths.get(id, []), id)
            waiting += account.ids.items()
        elif what is not None:
            yield from _judge_leaf(what, promise)
            ran[what[0]] += not promise.is_pending and promise.state not in INTERRUPTED
    for id in promises.keys() - seen:
        yield f"{id} is stored, and nobody asked for it"
    yield from _judge_effects(ran, promises, plan, notes)


def _make_codec() -> Codec:
    registry = Registry()
    registry.register_error(Boom)
    return Codec(registry.errors)


CODEC: Final = _make_codec()
"""Reads the payloads of programs."""


def outcome_text(promise: Promise) -> str:
    """Return an outcome as accounts have it."""
    match promise.state:
        case PromiseState.CANCELED:
            return "canceled"
        case PromiseState.TIMEDOUT:
            return "timed out"
        case PromiseState.PENDING:
            return "pending"
    outcome = outcome_of(promise, object, CODEC)
    return f"value {outcome.value}" if outcome.error is None else f"error {shape(outcome.error)}"


def _judge_function(
    account: Account, promise: Promise, promises: Mapping[str, Promise], cancelled_at: Mapping[str, int]
) -> Iterator[str]:
    stored = outcome_text(promise)
    if stored == account.result or promise.is_pending:
        return
    if promise.state is PromiseState.TIMEDOUT:
        if promise.settled_at != promise.timeout_at:
            yield f"{promise.id} is timed out at another instant than its deadline"
        return
    if promise.state is PromiseState.CANCELED and _never_ran_or_swept(promise, promises, cancelled_at):
        return
    yield f"{promise.id} is stored as {stored}, and what it saw makes it {account.result}: {account.path}"


def _never_ran_or_swept(
    promise: Promise, promises: Mapping[str, Promise], cancelled_at: Mapping[str, int]
) -> bool:
    """Tell whether a function can have been cancelled without having come to an end of its own."""
    has_children = any(p.tags.get(tags.PARENT) == promise.id and p.id != promise.id for p in promises.values())
    if not has_children:
        return True
    assert promise.settled_at is not None
    around: Promise | None = promise
    while around is not None:
        if around.id in cancelled_at and promise.settled_at >= cancelled_at[around.id] + SHORTEST_BUDGET_MS:
            return True
        parent = around.tags.get(tags.PARENT)
        around = None if parent in {None, around.id} else promises.get(parent or "")
    return False


def _judge_paths(account: Account, paths: Sequence[Sequence[str]], id: str) -> Iterator[str]:
    """See that each run of a function has seen what is stored, up to where it came."""
    for path in paths:
        length = min(len(path), len(account.path))
        if list(path[:length]) != account.path[:length] or (
            len(path) > len(account.path) and account.result is not None
        ):
            yield f"a run of {id} saw {path}, and what is stored makes it {account.path}"


def _judge_leaf(leaf: Sequence[Any], promise: Promise) -> Iterator[str]:
    number, kind, _ = leaf
    expected = f"error {shape(Boom(number))}" if kind == "fail" else f"value {number}"
    stored = outcome_text(promise)
    if not promise.is_pending and promise.state not in INTERRUPTED and stored != expected:
        yield f"{promise.id} is stored as {stored}, and it is {expected}"


def _judge_effects(
    ran: Counter[int],
    promises: Mapping[str, Promise],
    plan: Plan,
    notes: Notes,
) -> Iterator[str]:
    begun = Counter(effect.details[0] for effect in notes.effects)
    exact = not plan.may_repeat and not any(promise.state in INTERRUPTED for promise in promises.values())
    for number in begun.keys() | ran.keys():
        assert isinstance(number, int)
        if begun[number] < ran[number] or (exact and begun[number] != ran[number]):
            yield f"the leaf {number} has {ran[number]} outcomes, and was begun {begun[number]} times"


def judge_replays(
    program: Program, promises: Mapping[str, Promise], histories: Sequence[History]
) -> Iterator[str]:
    """Replay what is stored, and see that it gives the same."""
    for history in histories:
        promise = promises[history.id]
        if promise.is_pending or promise.state in INTERRUPTED:
            continue
        again = Notes(Effects())
        try:
            result = replay(history, make_registry(program, again))
        except Exception as error:
            found = f"error {shape(error)}"
        else:
            found = "UNFINISHED" if result is UNFINISHED else f"value {result}"
        if found != outcome_text(promise):
            yield f"a replay of {history.id} gives {found}, and stored is {outcome_text(promise)}"
