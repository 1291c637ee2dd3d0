"""The model has teeth: mistakes that one could make in the machine are found by random histories."""

from collections.abc import Callable, Iterator

import pytest
from attrs import evolve

from resonate_trio.protocol import Promise, TaskRef, TaskState
from server_ref.machine import (
    Draft,
    TaskRecord,
    View,
    _background,
    _effects,
    _projection,
    _search,
    _tasks,
    _transitions,
)

from .play import play
from .side_by_side import DifferenceError, Servers, open_servers

STEPS = 8_000
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
    patch.setattr(_tasks, "earliest_dispatch", lambda _promise, now: now)


def waking_is_for_the_suspended(patch: Patch) -> None:
    """A task that is held does not note what has settled meanwhile."""
    woken = _transitions.woken

    def mutant(task: TaskRecord, *, by: str, due_at: int) -> TaskRecord:
        return woken(task, by=by, due_at=due_at) if task.state is TaskState.SUSPENDED else task

    patch.setattr(_effects, "woken", mutant)


def anyone_extends_a_lease(patch: Patch) -> None:
    """A heartbeat counts, whoever sends it."""
    extend = _tasks._extend

    def mutant(ref: TaskRef, _pid: str, now: int, draft: Draft) -> None:
        task = draft.task(ref.id)
        extend(ref, (task and task.pid) or "", now, draft)

    patch.setattr(_tasks, "_extend", mutant)


MUTANTS = [
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
