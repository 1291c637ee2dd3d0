"""The three searches: pages of records ordered by id.

A cursor is the id of the last record of a page, so a page never repeats or skips a record that was there all
along, whatever is created or deleted in between.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final, Protocol, TypeVar

from resonate_trio.protocol import (
    PromisePage,
    PromiseSearch,
    SchedulePage,
    ScheduleSearch,
    TaskPage,
    TaskSearch,
    TaskState,
)

from ._draft import Draft
from ._outcome import Outcome, done
from ._projection import project, task_at

DEFAULT_LIMIT: Final = 100
DEFAULT_SCHEDULE_LIMIT: Final = 10


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


RecordT = TypeVar("RecordT", bound=_Identified)


def perform_promise_search(request: PromiseSearch, now: int, draft: Draft) -> Outcome:
    """Perform promise.search."""
    stored = draft.scan_promises(request.cursor or "", request.tags or {})
    promises = (project(promise, now) for promise in stored)
    wanted = (promise for promise in promises if request.state in {None, promise.state})
    return done(PromisePage(*_page(wanted, request.limit or DEFAULT_LIMIT)))


def perform_task_search(request: TaskSearch, now: int, draft: Draft) -> Outcome:
    """Perform task.search."""
    # Time only ever turns a task into a fulfilled one, so for the other states the store can choose.
    state = None if request.state is TaskState.FULFILLED else request.state
    stored = draft.scan_tasks(request.cursor or "", state)
    tasks = (task_at(draft, task, now)[0].to_wire() for task in stored)
    wanted = (task for task in tasks if request.state in {None, task.state})
    return done(TaskPage(*_page(wanted, request.limit or DEFAULT_LIMIT)))


def perform_schedule_search(request: ScheduleSearch, _now: int, draft: Draft) -> Outcome:
    """Perform schedule.search."""
    wanted = draft.scan_schedules(request.cursor or "", request.tags or {})
    return done(SchedulePage(*_page(wanted, request.limit or DEFAULT_SCHEDULE_LIMIT)))


def _page(records: Iterable[RecordT], limit: int) -> tuple[list[RecordT], str | None]:
    """Return the first `limit` records, and the cursor of the next page if there is one."""
    page = list(islice(records, limit + 1))
    return (page[:limit], page[limit - 1].id) if len(page) > limit else (page, None)
