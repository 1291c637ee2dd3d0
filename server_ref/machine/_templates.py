"""The promises that a schedule creates."""

from collections.abc import Mapping

from resonate_trio.protocol import PromiseCreate, Schedule, tags as tag

from ._projection import later


def fired_id(template: str, schedule_id: str, instant: int) -> str:
    """Return the id of the promise for `instant`."""
    return template.replace("{{.id}}", schedule_id).replace("{{.timestamp}}", str(instant))


def fired_tags(tags: Mapping[str, str], schedule_id: str, promise_id: str) -> Mapping[str, str]:
    """Return the tags of the promise: those of the schedule, and its place as a root of its own."""
    place = dict.fromkeys((tag.ORIGIN, tag.BRANCH, tag.PARENT), promise_id)
    return {**tags, **place, tag.SCHEDULE: schedule_id}


def fired_promise(schedule: Schedule, instant: int) -> PromiseCreate:
    """Return the request that creates the promise for `instant`."""
    id = fired_id(schedule.promise_id, schedule.id, instant)
    return PromiseCreate(
        id,
        later(instant, schedule.promise_timeout),
        fired_tags(schedule.promise_tags, schedule.id, id),
        schedule.promise_param,
    )
