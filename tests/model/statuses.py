"""Which status each kind of request can give, by PROTOCOL.md: a run of the model has to have seen them all.

Left out are those that are not the machine's: 401 and 403 by authentication, 429, and the server's faults.
"""

from collections.abc import Mapping
from typing import Final

STATUSES: Final[Mapping[str, frozenset[int]]] = {
    "promise.get": frozenset({200, 400, 404}),
    "promise.create": frozenset({200, 400}),
    "promise.settle": frozenset({200, 400, 404}),
    "promise.cancel": frozenset({200, 400, 404}),
    "promise.register_callback": frozenset({200, 400, 404, 422}),
    "promise.register_listener": frozenset({200, 400, 404, 422}),
    "promise.search": frozenset({200, 400}),
    "task.get": frozenset({200, 400, 404}),
    "task.create": frozenset({200, 400, 409, 422}),
    "task.acquire": frozenset({200, 400, 404, 409}),
    "task.fence": frozenset({200, 400, 404, 409}),
    "task.fence > promise.create": frozenset({200}),
    "task.fence > promise.settle": frozenset({200, 404}),
    "task.fence > promise.cancel": frozenset({200, 404}),
    "task.heartbeat": frozenset({200, 400}),
    "task.suspend": frozenset({200, 300, 400, 404, 409, 422}),
    "task.fulfill": frozenset({200, 400, 404, 409}),
    "task.release": frozenset({200, 400, 404, 409}),
    "task.halt": frozenset({200, 400, 404, 409}),
    "task.continue": frozenset({200, 400, 404, 409}),
    "task.search": frozenset({200, 400}),
    "schedule.get": frozenset({200, 400, 404}),
    "schedule.delete": frozenset({200, 400, 404}),
    "schedule.create": frozenset({200, 400}),
    "schedule.search": frozenset({200, 400}),
    "debug.start": frozenset({200, 403}),
    "debug.stop": frozenset({200, 403}),
    "debug.reset": frozenset({200, 403}),
    "debug.tick": frozenset({200, 400, 403}),
    "debug.snap": frozenset({200, 403}),
}
ALL: Final = frozenset((kind, status) for kind, statuses in STATUSES.items() for status in statuses)
