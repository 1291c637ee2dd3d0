"""Which requests are well-formed: PROTOCOL.md sections 1 to 4, as one table of fields.

This says only what can be told from a request alone; all that needs the state of the world is in model.py.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from .cron import is_cron

VERSION: Final = "2026-04-01"
MAX: Final = 2**63 - 1
FINAL_BY_CLIENT: Final = ("resolved", "rejected", "rejected_canceled")
PROMISE_STATES: Final = ("pending", *FINAL_BY_CLIENT, "rejected_timedout")
TASK_STATES: Final = ("pending", "acquired", "suspended", "halted", "fulfilled")

Wire = dict[str, Any]
"""A JSON object."""
Check = Callable[[Any], bool]


class Refused(Exception):
    """A request is refused with a status of 400 or above."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


def refuse_if(condition: bool, status: int) -> None:
    """Refuse the request under this condition."""
    if condition:
        raise Refused(status)


# --- Fields ---------------------------------------------------------------------------------------


def is_text(value: Any) -> bool:
    """Tell whether it is a string."""
    return type(value) is str


def is_id(value: Any) -> bool:
    """Tell whether it is an id: non-empty, at most 1,024 characters, without NUL."""
    return is_text(value) and 0 < len(value) <= 1024 and "\0" not in value


def is_schedule_id(value: Any) -> bool:
    """Tell whether it is the id of a schedule: one without a colon."""
    return is_id(value) and ":" not in value


def is_between(low: int, high: int) -> Check:
    """Return a check for integers within bounds; a boolean is none, and neither is 1.0."""
    return lambda value: type(value) is int and low <= value <= high


def is_tags(value: Any) -> bool:
    """Tell whether it is an object of strings."""
    return type(value) is dict and all(is_text(item) for item in value.values())


def is_value(value: Any) -> bool:
    """Tell whether it is a Value: null, or an object with optional headers and data."""
    if value is None:
        return True
    if type(value) is not dict:
        return False
    headers, data = value.get("headers"), value.get("data")
    return (headers is None or is_tags(headers)) and (data is None or is_text(data))


def is_one_of(*texts: str) -> Check:
    """Return a check for one of these strings."""
    return lambda value: is_text(value) and value in texts


def is_list_of(check: Check) -> Check:
    """Return a check for lists whose items all pass."""
    return lambda value: type(value) is list and all(check(item) for item in value)


def is_envelope_of(*kinds: str) -> Check:
    """Return a check for nested requests of one of these kinds."""
    return lambda value: type(value) is dict and value.get("kind") in kinds and is_well_formed(value)


def is_task_ref(value: Any) -> bool:
    """Tell whether it names a task at a version."""
    return type(value) is dict and is_id(value.get("id")) and IS_MILLIS(value.get("version"))


def or_absent(check: Check) -> Check:
    """Return a check for an optional field."""
    return lambda value: value is None or check(value)


def is_flag(value: Any) -> bool:
    """Tell whether it is a boolean."""
    return type(value) is bool


IS_MILLIS: Final = is_between(0, MAX)
IS_TTL: Final = is_between(1, MAX)
_PAGE: Final[Mapping[str, Check]] = {
    "limit": or_absent(is_between(1, 1000)),
    "cursor": or_absent(is_text),
}

FIELDS: Final[Mapping[str, Mapping[str, Check]]] = {
    "promise.get": {"id": is_id},
    "promise.create": {"id": is_id, "timeoutAt": IS_MILLIS, "param": is_value, "tags": is_tags},
    "promise.settle": {"id": is_id, "state": is_one_of(*FINAL_BY_CLIENT), "value": is_value},
    "promise.cancel": {"id": is_id, "budget": IS_TTL, "value": is_value},
    "promise.register_callback": {"awaited": is_id, "awaiter": is_id, "onlyFailure": or_absent(is_flag)},
    "promise.register_listener": {"awaited": is_id, "address": is_text},
    "promise.search": {"state": or_absent(is_one_of(*PROMISE_STATES)), "tags": or_absent(is_tags), **_PAGE},
    "task.get": {"id": is_id},
    "task.create": {"pid": is_text, "ttl": IS_TTL, "action": is_envelope_of("promise.create")},
    "task.acquire": {
        "id": is_id,
        "version": IS_MILLIS,
        "pid": is_text,
        "ttl": IS_TTL,
        "preload": or_absent(is_flag),
    },
    "task.fence": {
        "id": is_id,
        "version": IS_MILLIS,
        "action": is_envelope_of("promise.create", "promise.settle", "promise.cancel"),
    },
    "task.heartbeat": {"pid": is_text, "tasks": is_list_of(is_task_ref)},
    "task.suspend": {
        "id": is_id,
        "version": IS_MILLIS,
        "actions": is_list_of(is_envelope_of("promise.register_callback")),
        "knowsCancelled": or_absent(is_flag),
    },
    "task.fulfill": {"id": is_id, "version": IS_MILLIS, "action": is_envelope_of("promise.settle")},
    "task.release": {"id": is_id, "version": IS_MILLIS},
    "task.halt": {"id": is_id},
    "task.continue": {"id": is_id},
    "task.search": {"state": or_absent(is_one_of(*TASK_STATES)), **_PAGE},
    "schedule.get": {"id": is_schedule_id},
    "schedule.delete": {"id": is_schedule_id},
    "schedule.create": {
        "id": is_schedule_id,
        "cron": is_text,
        "promiseId": is_id,
        "promiseTimeout": IS_MILLIS,
        "promiseParam": is_value,
        "promiseTags": is_tags,
    },
    "schedule.search": {"tags": or_absent(is_tags), **_PAGE},
    "debug.start": {},
    "debug.stop": {},
    "debug.reset": {},
    "debug.tick": {"time": IS_MILLIS},
    "debug.snap": {},
}


def is_well_formed(envelope: Wire) -> bool:
    """Tell whether a request has all its fields, of the right types."""
    fields, head, data = FIELDS.get(envelope.get("kind", "")), envelope.get("head"), envelope.get("data")
    if fields is None or type(head) is not dict or type(data) is not dict:
        return False
    if not is_text(head.get("corrId")) or not is_text(head.get("version")):
        return False
    return all(check(data.get(name)) for name, check in fields.items())


# --- What the fields must be together -------------------------------------------------------------


def lies_below(id: str, ancestor: str) -> bool:
    """Tell whether an id is another, or extends it by a separator."""
    return id == ancestor or id.startswith((ancestor + ":", ancestor + "."))


def is_address(text: str) -> bool:
    """Tell whether it is an address that this server delivers to."""
    if text.startswith("poll://any@"):
        group, slash, pid = text.removeprefix("poll://any@").partition("/")
        return bool(group) and bool(pid or not slash)
    if text.startswith("poll://uni@"):
        group, _, pid = text.removeprefix("poll://uni@").partition("/")
        return bool(group and pid)
    return text.startswith(("http://", "https://")) and bool(text.partition("://")[2])


def delay_of(tags: Wire) -> int | None:
    """Return the delay that the tags name."""
    text = tags.get("resonate:delay")
    return None if text is None else int(text)


def check_new_promise(data: Wire) -> None:
    """Refuse a promise whose tags contradict themselves, its id or its deadline."""
    id, tags = data["id"], data["tags"]
    for name in ("resonate:origin", "resonate:branch", "resonate:parent"):
        refuse_if(name in tags and not lies_below(id, tags[name]), 400)
    refuse_if(":" in tags.get("resonate:origin", ""), 400)
    target, delay = tags.get("resonate:target"), tags.get("resonate:delay")
    refuse_if(target is not None and not is_address(target), 400)
    if delay is not None:
        refuse_if(target is None or not (delay.isascii() and delay.isdigit()), 400)
        refuse_if(int(delay) >= data["timeoutAt"], 400)


def _check_task_create(data: Wire) -> None:
    promise = data["action"]["data"]
    tags = promise["tags"]
    check_new_promise(promise)
    refuse_if("resonate:target" not in tags or "resonate:delay" in tags, 400)
    refuse_if(tags.get("resonate:timer") == "true", 400)


def _check_fence(data: Wire) -> None:
    action = data["action"]
    refuse_if(action["data"]["id"] == data["id"], 400)
    if action["kind"] == "promise.create":
        check_new_promise(action["data"])


def _check_suspend(data: Wire) -> None:
    actions = [action["data"] for action in data["actions"]]
    awaited = [action["awaited"] for action in actions]
    refuse_if(not actions or data["id"] in awaited or len(set(awaited)) < len(awaited), 400)
    refuse_if(any(action["awaiter"] != data["id"] for action in actions), 400)
    refuse_if(all(action.get("onlyFailure") for action in actions), 400)


def _check_schedule(data: Wire) -> None:
    refuse_if(not is_cron(data["cron"]), 400)
    refuse_if(not is_address(data["promiseTags"].get("resonate:target", "")), 400)
    refuse_if("resonate:delay" in data["promiseTags"], 400)
    refuse_if(":" in data["promiseId"], 400)  # it is to be the origin of the promise, too


TOGETHER: Final[Mapping[str, Callable[[Wire], None]]] = {
    "promise.create": check_new_promise,
    "promise.register_callback": lambda data: refuse_if(data["awaited"] == data["awaiter"], 400),
    "promise.register_listener": lambda data: refuse_if(not is_address(data["address"]), 400),
    "task.create": _check_task_create,
    "task.fence": _check_fence,
    "task.suspend": _check_suspend,
    "task.fulfill": lambda data: refuse_if(data["action"]["data"]["id"] != data["id"], 400),
    "schedule.create": _check_schedule,
}


def check(envelope: Wire) -> None:
    """Refuse a request with status 400 if that can be told without a look at the state of the world."""
    refuse_if(not is_well_formed(envelope) or envelope["head"]["version"] != VERSION, 400)
    if together := TOGETHER.get(envelope["kind"]):
        together(envelope["data"])
