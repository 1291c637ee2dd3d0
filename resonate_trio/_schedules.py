"""Functions that run by the calendar."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, final

from attrs import frozen

from ._clock import FOREVER_MS
from ._errors import RequestRefusedError, ScheduleNotFoundError, UsageError
from ._ids import check_root_id
from ._options import Options
from ._roots import Roots
from ._targets import remote_call
from ._transport import accepted
from .protocol import (
    Empty,
    Schedule as ScheduleRecord,
    ScheduleCreate,
    ScheduleDelete,
    ScheduleGet,
    SchedulePage,
    ScheduleReply,
    ScheduleSearch,
)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TIMESTAMP: Final = "{{.timestamp}}"
PAGE: Final = 1000
NO_TIMEOUT_MS: Final = FOREVER_MS // 2
"""Of a run without one: what lies that far after any run is still an instant that every client can read."""


@final
@frozen
class Schedule:
    """A schedule, as it is stored. All instants are in UTC.

    Attributes:
        id: its id.
        cron: when it runs.
        created_at: when it was created.
        next_run_at: when it runs next; None if it never does again.
        next_run_id: the id that this run will have.
        last_run_at: when it ran last; None if it has not yet.
        last_run_id: the id of that run: `client.get(schedule.last_run_id)` is its handle.
    """

    id: str
    cron: str
    created_at: datetime
    next_run_at: datetime | None
    next_run_id: str | None
    last_run_at: datetime | None
    last_run_id: str | None


def _schedule(record: ScheduleRecord) -> Schedule:
    created_at = EPOCH + timedelta(milliseconds=record.created_at)
    next_run, last_run = _run(record, record.next_run_at), _run(record, record.last_run_at)
    return Schedule(record.id, record.cron, created_at, *next_run, *last_run)


def _run(record: ScheduleRecord, instant: int | None) -> tuple[datetime | None, str | None]:
    if instant is not None:
        with contextlib.suppress(OverflowError):  # a run beyond the calendar stands for none
            at = EPOCH + timedelta(milliseconds=instant)
            return at, record.promise_id.replace("{{.id}}", record.id).replace(TIMESTAMP, str(instant))
    return None, None


@final
class Schedules:
    """Reads and deletes schedules. `schedule` of `Resonate` and `Client` makes them."""

    def __init__(self, roots: Callable[[], Roots]) -> None:
        self._roots = roots

    async def get(self, id: str) -> Schedule:
        """Return a schedule as it is now. Raises ScheduleNotFoundError."""
        reply = await self._roots().link.ask(ScheduleGet(id))
        if reply.status == 404:
            raise ScheduleNotFoundError(id)
        return _schedule(accepted(reply, ScheduleReply).schedule)

    async def list(self) -> Sequence[Schedule]:
        """Return all schedules, in order of their ids."""
        found: list[Schedule] = []
        cursor = None
        while True:
            page = accepted(await self._roots().link.ask(ScheduleSearch(limit=PAGE, cursor=cursor)), SchedulePage)
            found.extend(map(_schedule, page.schedules))
            cursor = page.cursor
            if cursor is None:
                return found

    async def delete(self, id: str) -> None:
        """Delete a schedule; if there is none, that is what was wanted. Runs that have begun go on."""
        reply = await self._roots().link.ask(ScheduleDelete(id))
        if reply.status != 404:
            accepted(reply, Empty)


async def create_schedule(
    roots: Roots,
    id: str,
    cron: str,
    fn: Callable[..., object] | str,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    options: Options,
) -> Schedule:
    """Create a schedule, or find it as it was created. See `RootCalls.schedule`."""
    request = _request(roots, id, cron, fn, args, kwargs, options)
    try:
        record = accepted(await roots.link.ask(request), ScheduleReply).schedule
    except RequestRefusedError as error:
        if error.status != 400:
            raise
        # What cron expressions there are is the server's affair.
        raise UsageError(f"the schedule {id!r} cannot be: {error.detail}") from None
    if _asked(record) != request:
        raise UsageError(
            f"there is another schedule {id!r}: its cron expression ({record.cron!r}), function, arguments or "
            f"options differ. `await schedules.delete({id!r})` before you create it anew, or take another id"
        )
    return _schedule(record)


def _request(
    roots: Roots,
    id: str,
    cron: str,
    fn: Callable[..., object] | str,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    options: Options,
) -> ScheduleCreate:
    if not isinstance(cron, str):
        raise UsageError(
            f"a schedule has an id, a cron expression and a function, got {cron!r} for the expression: write it "
            f'as resonate.schedule("report", "0 7 * * *", function, argument)'
        )
    template = check_root_id(id, roots.dialect) + "-" + TIMESTAMP
    call = remote_call(roots.registry, roots.group, options, fn, args, kwargs)
    timeout_ms = NO_TIMEOUT_MS if call.timeout is None else round(min(call.timeout * 1000, NO_TIMEOUT_MS))
    run = call.to_create(template, timeout_ms, {}, roots.codec)
    return ScheduleCreate(id, cron, run.id, timeout_ms, run.tags, run.param)


def _asked(record: ScheduleRecord) -> ScheduleCreate:
    """Return the request that made a schedule."""
    return ScheduleCreate(
        record.id,
        record.cron,
        record.promise_id,
        record.promise_timeout,
        record.promise_tags,
        record.promise_param,
    )
