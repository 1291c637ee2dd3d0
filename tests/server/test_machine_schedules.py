"""The machine: schedules, and the promises that they create."""

import datetime
from itertools import pairwise

import pytest

from resonate_trio.protocol import (
    MAX_MILLIS,
    Promise,
    PromisePage,
    PromiseSearch,
    PromiseState,
    Schedule,
    ScheduleCreate,
    ScheduleDelete,
    ScheduleGet,
    ScheduleReply,
    Value,
)
from server_ref.machine import Settings, fire_due

from .machine_kit import GROUP, TARGET, Machine

MINUTE = 60_000
NOON = int(datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC).timestamp()) * 1_000


@pytest.fixture
def machine() -> Machine:
    """Give an empty machine, at half a second past noon."""
    return Machine(now=NOON + 500)


def add(machine: Machine, cron: str = "* * * * *", promise_timeout: int = MINUTE) -> Schedule:
    """Create the schedule `s`."""
    request = ScheduleCreate("s", cron, "{{.id}}.{{.timestamp}}", promise_timeout, TARGET, Value(None, "x"))
    return machine.ok(request, ScheduleReply).schedule


def stored(machine: Machine) -> Schedule:
    """Read the schedule `s`."""
    return machine.ok(ScheduleGet("s"), ScheduleReply).schedule


def promises(machine: Machine) -> list[Promise]:
    """Return all promises."""
    return list(machine.ok(PromiseSearch(), PromisePage).promises)


def test_a_schedule_runs_first_at_the_next_match(machine: Machine) -> None:
    """Not in the past, and it has not run yet."""
    schedule = add(machine)
    assert (schedule.created_at, schedule.next_run_at, schedule.last_run_at) == (NOON + 500, NOON + MINUTE, None)
    assert stored(machine) == schedule


@pytest.mark.parametrize(
    ("cron", "delay_ms"),
    [
        ("*/15 * * * *", 15 * MINUTE),
        ("*/10 * * * * *", 10_000),
        ("30 15 12 * * * 2026", 15 * MINUTE + 30_000),
        ("0 0 * * *", 12 * 60 * MINUTE),
        ("0 0 0 1 1 * 2027", 306 * 24 * 60 * MINUTE - 12 * 60 * MINUTE),
    ],
)
def test_expressions_are_in_utc(machine: Machine, cron: str, delay_ms: int) -> None:
    """Five fields, seconds first with six, years last with seven."""
    assert add(machine, cron).next_run_at == NOON + delay_ms


def test_an_instant_that_is_now_is_not_the_next(machine: Machine) -> None:
    """A schedule made on the minute runs a minute later."""
    machine.now = NOON
    assert add(machine).next_run_at == NOON + MINUTE


def test_creating_again_returns_the_schedule_as_it_is(machine: Machine) -> None:
    """Idempotent by id, even with an expression that never matches again."""
    first = add(machine)
    assert add(machine, "0 0 0 1 1 * 2000") == first


def test_unknown_schedules_are_refused(machine: Machine) -> None:
    """404 to get and to delete."""
    machine.refused(404, ScheduleGet("s"))
    machine.refused(404, ScheduleDelete("s"))


def test_a_deleted_schedule_creates_nothing_more(machine: Machine) -> None:
    """What it has created stays."""
    add(machine)
    machine.now = NOON + MINUTE
    machine.fire()
    machine.done(ScheduleDelete("s"))
    machine.now = NOON + 5 * MINUTE
    machine.fire()
    assert len(promises(machine)) == 1
    machine.refused(404, ScheduleGet("s"))


def test_a_run_creates_a_promise_that_is_its_own_root(machine: Machine) -> None:
    """Id from the template, deadline from the instant, and dispatched in the same turn."""
    add(machine)
    machine.now = NOON + MINUTE + 3
    id = f"s.{NOON + MINUTE}"
    assert [(item.key, item.address) for item in machine.fire()] == [(("execute", id, 0), GROUP)]
    (promise,) = promises(machine)
    assert (promise.id, promise.timeout_at, promise.param) == (id, NOON + 2 * MINUTE, Value(None, "x"))
    assert promise.tags == {
        **TARGET,
        "resonate:origin": id,
        "resonate:branch": id,
        "resonate:parent": id,
        "resonate:schedule": "s",
    }
    assert (stored(machine).last_run_at, stored(machine).next_run_at) == (NOON + MINUTE, NOON + 2 * MINUTE)


def test_missed_runs_are_made_up_for_in_order(machine: Machine) -> None:
    """Each missed instant has its promise; those whose deadline is past are born settled."""
    add(machine)
    machine.now = NOON + 3 * MINUTE
    machine.fire()
    assert [(p.id, p.state) for p in promises(machine)] == [
        (f"s.{NOON + MINUTE}", PromiseState.TIMEDOUT),
        (f"s.{NOON + 2 * MINUTE}", PromiseState.TIMEDOUT),
        (f"s.{NOON + 3 * MINUTE}", PromiseState.PENDING),
    ]
    assert stored(machine).next_run_at == NOON + 4 * MINUTE


def test_many_missed_runs_take_several_turns(machine: Machine) -> None:
    """A turn creates no more than its limit, over all schedules, and each gets its turn."""
    settings = Settings(batch_limit=4)
    add(machine)
    machine.ok(ScheduleCreate("t", "* * * * *", "{{.id}}.{{.timestamp}}", MINUTE, TARGET), ScheduleReply)
    machine.now = NOON + 10 * MINUTE
    more = True
    created = [0]
    while more:
        more = machine.turn(lambda draft: fire_due(machine.now, draft, settings))
        created.append(len(promises(machine)))
    assert max(after - before for before, after in pairwise(created)) == 4
    assert created[-1] == 20
    assert stored(machine).last_run_at == NOON + 10 * MINUTE


def test_a_promise_that_exists_is_left_as_it_is(machine: Machine) -> None:
    """Somebody else may have created that id."""
    add(machine)
    taken = machine.create(f"s.{NOON + MINUTE}", {"mine": "yes"})
    machine.now = NOON + MINUTE
    machine.fire()
    assert promises(machine) == [machine.promise(taken.id)]
    assert promises(machine)[0].tags == {"mine": "yes"}


def test_a_schedule_without_further_runs_stays_and_rests(machine: Machine) -> None:
    """Its next run is the last instant of time, and nothing waits for that."""
    add(machine, "0 1 12 1 3 * 2026")
    machine.now = NOON + MINUTE
    machine.fire()
    schedule = stored(machine)
    assert (schedule.last_run_at, schedule.next_run_at) == (NOON + MINUTE, MAX_MILLIS)
    machine.settle(f"s.{NOON + MINUTE}")
    assert machine.store.next_due() is None


def test_a_deadline_never_goes_beyond_the_last_instant(machine: Machine) -> None:
    """A sum of instants stays at 2^63 − 1."""
    add(machine, promise_timeout=MAX_MILLIS)
    machine.now = NOON + MINUTE
    machine.fire()
    assert promises(machine)[0].timeout_at == MAX_MILLIS


def test_a_clock_beyond_the_calendar_finds_no_run(machine: Machine) -> None:
    """The calendar ends in the year 9999: a clean refusal, not a crash."""
    machine.now = MAX_MILLIS - 1
    request = ScheduleCreate("s", "* * * * *", "x", MINUTE, TARGET)
    assert "no instant" in machine.refused(400, request)
