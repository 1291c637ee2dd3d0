"""The tags of a promise that mean something, and the questions the protocol asks of them."""

import re
from collections.abc import Mapping
from typing import Final

from ._ids import origin_of

TARGET: Final = "resonate:target"
TIMER: Final = "resonate:timer"
EXTERNAL: Final = "resonate:external"
SCOPE: Final = "resonate:scope"
DELAY: Final = "resonate:delay"
ORIGIN: Final = "resonate:origin"
BRANCH: Final = "resonate:branch"
PARENT: Final = "resonate:parent"
SCHEDULE: Final = "resonate:schedule"
DETACHED: Final = "resonate:detached"
CUT: Final = "resonate:cut"

_DETACHED_SEGMENT: Final = re.compile(r"[:.]d[0-9a-f]+")

LOCAL: Final = "local"
GLOBAL: Final = "global"

Tags = Mapping[str, str]


def is_timer(tags: Tags) -> bool:
    """Tell whether the promise resolves at its deadline instead of being rejected."""
    return tags.get(TIMER) == "true"


def has_task(tags: Tags) -> bool:
    """Tell whether a worker group executes the promise. A timer never has a task, target or not."""
    return TARGET in tags and not is_timer(tags)


def is_external(tags: Tags) -> bool:
    """Tell whether the promise may be awaited by something other than the task it lives in."""
    return TARGET in tags or is_timer(tags) or tags.get(EXTERNAL) == "true" or tags.get(SCOPE) != LOCAL


def promise_origin(id: str, tags: Tags) -> str:
    """Return the origin of a promise: its tag, or without one what its id says."""
    return tags.get(ORIGIN) or origin_of(id)


def is_detached(id: str, tags: Tags) -> bool:
    """Tell whether nobody waits for the promise and no cancellation of its caller reaches it.

    Other clients have no tag for that, but an id of their own: `d` and hex digits right below the origin.
    """
    if DETACHED in tags:
        return tags[DETACHED] == "true"
    origin = promise_origin(id, tags)
    return id.startswith(origin) and _DETACHED_SEGMENT.fullmatch(id, len(origin)) is not None
