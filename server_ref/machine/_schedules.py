"""The requests about schedules, and their firing."""

from attrs import evolve

from resonate_trio.protocol import (
    Empty,
    Schedule,
    ScheduleCreate,
    ScheduleDelete,
    ScheduleGet,
    ScheduleReply,
)

from ._cron import instants_after
from ._draft import Draft
from ._outcome import Outcome, Refused, done
from ._projection import NEVER
from ._promises import create
from ._templates import fired_promise
from ._validation import check_schedule
from ._view import View


def perform_get(request: ScheduleGet, _now: int, draft: Draft) -> Outcome:
    """Perform schedule.get."""
    return done(ScheduleReply(_known(draft, request.id)))


def perform_create(request: ScheduleCreate, now: int, draft: Draft) -> Outcome:
    """Perform schedule.create."""
    check_schedule(request)
    existing = draft.schedule(request.id)
    if existing is not None:
        return done(ScheduleReply(existing))
    next_run_at = next(instants_after(request.cron, now), None)
    if next_run_at is None:
        raise Refused(400, f"cron: {request.cron!r} matches no instant from now on")
    schedule = Schedule(
        request.id,
        request.cron,
        request.promise_id,
        request.promise_timeout,
        now,
        next_run_at,
        request.promise_param,
        request.promise_tags,
    )
    draft.put_schedule(schedule)
    return done(ScheduleReply(schedule))


def perform_delete(request: ScheduleDelete, _now: int, draft: Draft) -> Outcome:
    """Perform schedule.delete."""
    _known(draft, request.id)
    draft.delete_schedule(request.id)
    return done(Empty())


def _known(view: View, id: str) -> Schedule:
    schedule = view.schedule(id)
    if schedule is None:
        raise Refused(404, f"the schedule {id!r} does not exist")
    return schedule


def fire(schedule: Schedule, reached: int, now: int, draft: Draft, *, limit: int) -> int:
    """Create the promises of up to `limit` instants until `reached`, in order, and return how many.

    A schedule that has no further instant stays, with `NEVER` as its next one.
    """
    fired = 0
    last, instant = schedule.last_run_at, schedule.next_run_at
    upcoming = instants_after(schedule.cron, instant)
    while instant <= reached and fired < limit:
        create(fired_promise(schedule, instant), now, draft)
        fired += 1
        last, instant = instant, next(upcoming, NEVER)
    draft.put_schedule(evolve(schedule, last_run_at=last, next_run_at=instant))
    return fired
