"""The model has teeth: mistakes that one could make in the machine are found by random histories."""

from collections.abc import Callable, Iterator

import pytest
from attrs import evolve

from resonate_trio.protocol import EMPTY, Promise, TaskRef, TaskState, tags
from server_ref.machine import (
    Cancellation,
    Draft,
    TaskRecord,
    View,
    _background,
    _cancel,
    _effects,
    _projection,
    _search,
    _tasks,
    _transitions,
)

from .play import play
from .side_by_side import DifferenceError, Servers, open_servers

STEPS = 16_000
"""How many steps are tried at most: a mutant that survives them fails the test."""

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Open a server: the stores are of no interest here."""
    with open_servers({"memory"}) as opened:
        yield opened


def unprojected(view: View, id: str, _now: int) -> tuple[TaskRecord, Promise] | None:
    """Find a task as it is stored, whatever the time."""
    task, promise = view.task(id), view.promise(id)
    return None if task is None or promise is None else (task, promise)


def acquiring_keeps_the_version(patch: Patch) -> None:
    """Two holders of a task cannot be told apart."""
    acquired = _transitions.acquired

    def mutant(task: TaskRecord, *, pid: str, ttl_ms: int, until: int) -> TaskRecord:
        return evolve(acquired(task, pid=pid, ttl_ms=ttl_ms, until=until), version=task.version)

    patch.setattr(_transitions, "acquired", mutant)


def settling_forgets_awaiters(patch: Patch) -> None:
    """A task sleeps for ever."""
    patch.setattr(_effects, "_wake", lambda *_: None)


def settling_forgets_listeners(patch: Patch) -> None:
    """A client waits for ever."""
    patch.setattr(Draft, "put_unblock", lambda *_: None)


def guards_see_what_is_stored(patch: Patch) -> None:
    """A task can be held past the deadline of its promise."""
    patch.setattr(_tasks, "find_task", unprojected)


def expired_tasks_are_woken(patch: Patch) -> None:
    """A task runs again after its deadline."""
    patch.setattr(_effects, "find_task", unprojected)


def deadlines_are_late(patch: Patch) -> None:
    """At the very instant of its deadline a promise is still pending."""
    project = _projection.project
    patch.setattr(_projection, "project", lambda promise, now: project(promise, now - 1))


def searches_see_what_is_stored(patch: Patch) -> None:
    """A search finds an expired promise as pending."""
    patch.setattr(_search, "project", lambda promise, _now: promise)


def leases_are_long(patch: Patch) -> None:
    """A lease ends a millisecond late."""
    later = _projection.later
    patch.setattr(_tasks, "later", lambda instant, duration_ms: later(instant, duration_ms + 1))


def retries_are_early(patch: Patch) -> None:
    """A message is sent again a millisecond early."""
    later = _projection.later
    patch.setattr(_background, "later", lambda instant, duration_ms: later(instant, duration_ms - 1))


def releasing_forgets_the_delay(patch: Patch) -> None:
    """A task is dispatched before its delay is over."""
    patch.setattr(_tasks, "earliest_dispatch", lambda _task, _promise, now: now)


def waking_is_for_the_suspended(patch: Patch) -> None:
    """A task that is held does not note what has settled meanwhile."""
    woken = _transitions.woken

    def mutant(task: TaskRecord, *, by: str, due_at: int) -> TaskRecord:
        return woken(task, by=by, due_at=due_at) if task.state is TaskState.SUSPENDED else task

    patch.setattr(_effects, "woken", mutant)


def anyone_extends_a_lease(patch: Patch) -> None:
    """A heartbeat counts, whoever sends it."""
    extend = _tasks._extend

    def mutant(ref: TaskRef, _pid: str, now: int, draft: Draft) -> TaskRecord | None:
        task = draft.task(ref.id)
        return extend(ref, (task and task.pid) or "", now, draft)

    patch.setattr(_tasks, "_extend", mutant)


def cancelling_is_in_no_hurry(patch: Patch) -> None:
    """A task that is to be cancelled is dispatched when it would have been anyway."""
    cancelled = _transitions.cancelled

    def mutant(task: TaskRecord, cancellation: Cancellation, *, due_at: int) -> TaskRecord:
        return cancelled(task, cancellation, due_at=task.due_at or due_at)

    patch.setattr(_cancel, "cancelled", mutant)


def suspending_misses_a_cancellation(patch: Patch) -> None:
    """A task sleeps, though its holder has never heard that it is to be cancelled."""
    patch.setattr(_tasks, "_suspended", lambda task, _request, _now: _transitions.suspended(task))


def suspending_forgets_a_cancellation(patch: Patch) -> None:
    """A task that waits is no longer to be cancelled."""
    suspended = _transitions.suspended
    patch.setattr(_transitions, "suspended", lambda task: evolve(suspended(task), cancellation=None))


def the_detached_are_cancelled(patch: Patch) -> None:
    """What nobody waits for ends with its caller."""
    patch.setattr(tags, "is_detached", lambda _id, _tags: False)


def what_lies_deeper_stays(patch: Patch) -> None:
    """The children of what is cancelled by the server end, their children do not."""

    def sweep(now: int, draft: Draft, limit: int) -> bool:
        for id, state in draft.sweeps(limit):
            for child in draft.children(id):
                _cancel._end(_projection.project(child, now), state.cause, now, draft)
            draft.remove_sweep(id)
        return True

    patch.setattr(_background, "sweep", sweep)


def who_asked_is_forgotten(patch: Patch) -> None:
    """A cancelled promise does not say why."""
    patch.setattr(_effects, "asked_with", lambda *_: EMPTY)


def success_wakes_who_waits_for_failure(patch: Patch) -> None:
    """A fan-out of n is woken n times."""
    patch.setattr(Draft, "add_failure_callback", Draft.add_callback)


MUTANTS = [
    cancelling_is_in_no_hurry,
    suspending_misses_a_cancellation,
    suspending_forgets_a_cancellation,
    the_detached_are_cancelled,
    what_lies_deeper_stays,
    who_asked_is_forgotten,
    success_wakes_who_waits_for_failure,
    acquiring_keeps_the_version,
    settling_forgets_awaiters,
    settling_forgets_listeners,
    guards_see_what_is_stored,
    expired_tasks_are_woken,
    deadlines_are_late,
    searches_see_what_is_stored,
    leases_are_long,
    retries_are_early,
    releasing_forgets_the_delay,
    waking_is_for_the_suspended,
    anyone_extends_a_lease,
]


@pytest.mark.parametrize("mutate", MUTANTS)
def test_a_mutant_of_the_machine_is_found(
    mutate: Callable[[Patch], None], servers: Servers, monkeypatch: Patch
) -> None:
    """The server with the mistake and the model differ before long."""
    mutate(monkeypatch)
    with pytest.raises(DifferenceError):
        play(servers, steps=STEPS, explains=False)
