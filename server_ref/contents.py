"""What a request is about, however deep it lies in it: the ids, and the sets of tags."""

from collections.abc import Iterator, Mapping

from resonate_trio.protocol import (
    Batch,
    DebugRequest,
    Envelope,
    PromiseCancel,
    PromiseCreate,
    PromiseRegisterCallback,
    PromiseRegisterListener,
    PromiseSearch,
    PromiseSettle,
    Request,
    ScheduleCreate,
    ScheduleSearch,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskHeartbeat,
    TaskSearch,
    TaskSuspend,
)


def ids_of(request: Request) -> Iterator[tuple[str, str]]:
    """Yield (where, id) for each promise, task and schedule that a request names. A search names none.

    Nor does a batch: its requests are to be looked at one by one.
    The tags of a promise need no look: the ids among them are ancestors of its own.
    """
    if isinstance(request, DebugRequest | PromiseSearch | TaskSearch | ScheduleSearch | Batch):
        return
    match request:
        case PromiseRegisterCallback():
            yield "awaited", request.awaited
            yield "awaiter", request.awaiter
        case PromiseRegisterListener():
            yield "awaited", request.awaited
        case TaskHeartbeat():
            yield from ((f"tasks[{index}].id", task.id) for index, task in enumerate(request.tasks))
        case TaskCreate():
            yield from _inner_ids("action", request.action)
        case TaskFence() | TaskFulfill():
            yield "id", request.id
            yield from _inner_ids("action", request.action)
        case TaskSuspend():
            yield "id", request.id
            for index, action in enumerate(request.actions):
                yield from _inner_ids(f"actions[{index}]", action)
        case ScheduleCreate():
            yield "id", request.id
            yield "promiseId", _fixed_part(request)
        case _:
            yield "id", request.id


def _inner_ids(
    where: str,
    action: Envelope[PromiseCreate | PromiseSettle | PromiseCancel]
    | Envelope[PromiseCreate]
    | Envelope[PromiseSettle]
    | Envelope[PromiseRegisterCallback],
) -> Iterator[tuple[str, str]]:
    return ((f"{where}.data.{field}", id) for field, id in ids_of(action.data))


def _fixed_part(request: ScheduleCreate) -> str:
    """Return what the ids of all promises of a schedule begin with."""
    return request.promise_id.replace("{{.id}}", request.id).partition("{{.timestamp}}")[0]


def tags_of(request: Request) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield (where, tags) for each set of tags that a request holds."""
    match request:
        case PromiseCreate():
            yield "tags", request.tags
        case PromiseSearch() | ScheduleSearch():
            yield "tags", request.tags or {}
        case TaskCreate() | TaskFence():
            yield from ((f"action.data.{where}", tags) for where, tags in tags_of(request.action.data))
        case ScheduleCreate():
            yield "promiseTags", request.promise_tags
        case _:
            return
