"""The three searches: pages of records ordered by id.

A cursor is the id of the last record of a page, so a page never repeats or skips a record that was there all
along, whatever is created or deleted in between.
"""

from collections.abc import Iterable
from itertools import dropwhile, islice, takewhile
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
# Surrogates are no characters: no id has one, and no store takes one.
_LAST_BEFORE_SURROGATES: Final = 0xD7FF
_FIRST_AFTER_SURROGATES: Final = 0xE000
_LAST_CHARACTER: Final = chr(0x10FFFF)


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


RecordT = TypeVar("RecordT", bound=_Identified)


def perform_promise_search(request: PromiseSearch, now: int, draft: Draft) -> Outcome:
    """Perform promise.search."""
    stored = draft.scan_promises(_start(request), request.tags or {})
    promises = (project(promise, now) for promise in _begin_with(request.prefix, stored))
    wanted = (promise for promise in promises if request.state in {None, promise.state})
    return done(PromisePage(*_page(wanted, request.limit or DEFAULT_LIMIT)))


def perform_task_search(request: TaskSearch, now: int, draft: Draft) -> Outcome:
    """Perform task.search."""
    # Time only ever turns a task into a fulfilled one, so for the other states the store can choose.
    state = None if request.state is TaskState.FULFILLED else request.state
    stored = draft.scan_tasks(_start(request), state)
    tasks = (task_at(draft, task, now)[0].to_wire() for task in _begin_with(request.prefix, stored))
    wanted = (task for task in tasks if request.state in {None, task.state})
    return done(TaskPage(*_page(wanted, request.limit or DEFAULT_LIMIT)))


def perform_schedule_search(request: ScheduleSearch, _now: int, draft: Draft) -> Outcome:
    """Perform schedule.search."""
    stored = draft.scan_schedules(_start(request), request.tags or {})
    wanted = _begin_with(request.prefix, stored)
    return done(SchedulePage(*_page(wanted, request.limit or DEFAULT_SCHEDULE_LIMIT)))


def _start(request: PromiseSearch | TaskSearch | ScheduleSearch) -> str:
    """Return an id after which the records of the page lie, close before the first of them."""
    cursor = request.cursor or ""
    return max(cursor, _just_before(request.prefix)) if request.prefix else cursor


def _just_before(prefix: str) -> str:
    """Return a text less than `prefix`, with next to no ids in between."""
    last = ord(prefix[-1])
    if last == 0:
        return prefix[:-1]
    before = _LAST_BEFORE_SURROGATES if last == _FIRST_AFTER_SURROGATES else last - 1
    return prefix[:-1] + chr(before) + _LAST_CHARACTER


def _begin_with(prefix: str | None, records: Iterable[RecordT]) -> Iterable[RecordT]:
    """Return those of the ordered records whose id begins with `prefix`: they are neighbours."""
    if not prefix:
        return records
    from_there = dropwhile(lambda record: record.id < prefix, records)
    return takewhile(lambda record: record.id.startswith(prefix), from_there)


def _page(records: Iterable[RecordT], limit: int) -> tuple[list[RecordT], str | None]:
    """Return the first `limit` records, and the cursor of the next page if there is one."""
    page = list(islice(records, limit + 1))
    return (page[:limit], page[limit - 1].id) if len(page) > limit else (page, None)
