"""What a client does: random requests about the few ids of one origin, so that clients meet all the time."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from random import Random
from typing import Final, final

from resonate_trio.protocol import PROTOCOL_VERSION
from tests.model.shapes import Wire

from .specification import DEBUG_TIME, ORIGIN

FAR_MS: Final = 10**12
"""A duration of which nobody sees the end."""
TARGET: Final[Wire] = {"resonate:target": "poll://any@nobody"}
TIMER: Final[Wire] = {"resonate:timer": "true"}
LOCAL: Final[Wire] = {"resonate:scope": "local"}
EXTERNAL: Final[Wire] = {"resonate:external": "true"}
BEGINNING: Final = 2
"""How many of its first requests create something."""
LISTENER: Final = "poll://uni@nobody/listener"
OUTCOMES: Final = ("resolved", "rejected", "rejected_canceled")

WEIGHTS: Final[Mapping[str, int]] = {
    "promise.create": 12,
    "promise.get": 6,
    "promise.settle": 4,
    "promise.register_callback": 4,
    "promise.register_listener": 2,
    "promise.search": 4,
    "task.create": 6,
    "task.get": 8,
    "task.acquire": 16,
    "task.fence": 10,
    "task.heartbeat": 4,
    "task.suspend": 8,
    "task.fulfill": 3,
    "task.release": 10,
    "task.halt": 3,
    "task.continue": 3,
    "schedule.create": 3,
    "schedule.get": 3,
    "schedule.delete": 2,
}
READS: Final = ("promise.get", "task.get")
TO_BEGIN_WITH: Final = ("promise.create", "promise.create", "task.create")
FOR_HOLDERS: Final = ("task.fence", "task.heartbeat", "task.suspend", "task.fulfill", "task.release")


def ids_of(origin: str) -> Sequence[str]:
    """Return the ids that clients of an origin use."""
    return [origin, f"{origin}:1", f"{origin}:2", f"{origin}:3"]


@final
class Player:
    """One client of one origin.

    It remembers the versions of tasks that it was shown, and which it was told it holds, as a worker does.

    Args:
        origin: the root of its ids.
        name: its pid, and the beginning of its correlation ids.
        seed: decides what it asks.
        clock: the instant (ms) of its next request.
        deadlines_ms: how far away deadlines may be.
        leases_ms: how long leases may be.
        dated: whether requests name their instant themselves. Needs debug mode.
    """

    def __init__(
        self,
        origin: str,
        name: str,
        seed: str,
        clock: Callable[[], int],
        *,
        deadlines_ms: Sequence[int] = (FAR_MS,),
        leases_ms: Sequence[int] = (FAR_MS,),
        dated: bool = True,
    ) -> None:
        self._origin = origin
        self._name = name
        self._random = Random(seed)
        self._clock = clock
        self._deadlines_ms = deadlines_ms
        self._leases_ms = leases_ms
        self._dated = dated
        self._ids = ids_of(origin)
        self._versions: dict[str, int] = {}
        self._held: list[str] = []
        self._numbers = count(1)
        self._now = 0
        self._turns = 0

    def request(self) -> Wire:
        """Make up the next request."""
        if self._turns < BEGINNING:
            kind = self._random.choice(TO_BEGIN_WITH)
        else:
            (kind,) = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))
        self._turns += 1
        self._now = self._clock()
        knows_better = kind in FOR_HOLDERS and self._held and self._random.random() < 0.8
        id = self._random.choice(self._held if knows_better else self._ids)
        return self._envelope(kind, self._data(kind, id))

    def reads(self) -> list[Wire]:
        """Return requests that read everything."""
        self._now = self._clock()
        reads = [self._envelope(kind, {"id": id}) for id in self._ids for kind in READS]
        return [*reads, self._envelope("promise.search", self._data("promise.search", self._origin))]

    def learn(self, reply: Wire) -> None:
        """Take in what a reply shows of tasks."""
        task = reply["data"].get("task") if isinstance(reply["data"], dict) else None
        if task is None:
            return
        self._versions[task["id"]] = task["version"]
        self._held = [id for id in self._held if id != task["id"]]
        if task.get("pid") == self._name:
            self._held.append(task["id"])

    # --- Making up --------------------------------------------------------------------------------

    def _envelope(self, kind: str, data: Wire) -> Wire:
        head: Wire = {"corrId": f"{self._name}-{next(self._numbers)}", "version": PROTOCOL_VERSION}
        head |= {ORIGIN: self._origin} | ({DEBUG_TIME: self._now} if self._dated else {})
        return {"kind": kind, "head": head, "data": data}

    def _inner(self, kind: str, id: str) -> Wire:
        return {
            "kind": kind,
            "head": {"corrId": "inner", "version": PROTOCOL_VERSION},
            "data": self._data(kind, id),
        }

    def _other(self, id: str) -> str:
        return self._random.choice([other for other in self._ids if other != id])

    def _after(self) -> int:
        return self._now + self._random.choice(self._deadlines_ms)

    def _value(self) -> Wire:
        return {"data": f"{self._name} {self._random.randrange(1000)}"}

    def _tags(self, *kinds: Wire) -> Wire:
        return {ORIGIN: self._origin, "resonate:branch": self._origin, **self._random.choice(kinds)}

    def _reference(self, id: str) -> Wire:
        return {"id": id, "version": self._versions.get(id, 0)}

    def _lease(self) -> Wire:
        return {"pid": self._name, "ttl": self._random.choice(self._leases_ms)}

    def _data(self, kind: str, id: str) -> Wire:
        """Return the data of a request about an id; where there is nothing to choose, that is all of it."""
        build: Callable[[str], Wire] | None = getattr(self, "_" + kind.replace(".", "_"), None)
        return {"id": id} if build is None else build(id)

    def _promise_create(self, id: str) -> Wire:
        tags = self._tags(*[TARGET] * 7, TIMER, EXTERNAL, LOCAL)
        return {"id": id, "timeoutAt": self._after(), "param": self._value(), "tags": tags}

    def _promise_settle(self, id: str) -> Wire:
        return {"id": id, "state": self._random.choice(OUTCOMES), "value": self._value()}

    def _promise_register_callback(self, awaiter: str) -> Wire:
        return {"awaited": self._other(awaiter), "awaiter": awaiter}

    def _promise_register_listener(self, id: str) -> Wire:
        return {"awaited": id, "address": LISTENER}

    def _promise_search(self, _: str) -> Wire:
        return {"tags": {ORIGIN: self._origin}}

    def _task_create(self, id: str) -> Wire:
        action = self._inner("promise.create", id)
        action["data"]["tags"] = self._tags(TARGET)
        return {"action": action, **self._lease()}

    def _task_acquire(self, id: str) -> Wire:
        return {**self._reference(id), **self._lease()}

    def _task_fence(self, id: str) -> Wire:
        kind = self._random.choice(["promise.create", "promise.settle"])
        return {**self._reference(id), "action": self._inner(kind, self._other(id))}

    def _task_heartbeat(self, id: str) -> Wire:
        return {"pid": self._name, "tasks": [self._reference(id), self._reference(self._other(id))]}

    def _task_suspend(self, id: str) -> Wire:
        others = self._random.sample([other for other in self._ids if other != id], self._random.choice([1, 1, 2]))
        registrations = [self._inner("promise.register_callback", id) for _ in others]
        for registration, other in zip(registrations, others, strict=True):
            registration["data"]["awaited"] = other
        return {**self._reference(id), "actions": registrations}

    def _task_fulfill(self, id: str) -> Wire:
        return {**self._reference(id), "action": self._inner("promise.settle", id)}

    def _task_release(self, id: str) -> Wire:
        return self._reference(id)

    def _schedule_create(self, _: str) -> Wire:
        return {
            "id": self._origin,
            "cron": f"{(self._now // 60_000 + 30) % 60} * * * *",  # in half an hour: nobody sees it
            "promiseId": f"{self._origin}.{{{{.timestamp}}}}",
            "promiseTimeout": self._random.randrange(FAR_MS),
            "promiseParam": self._value(),
            "promiseTags": TARGET,
        }

    def _schedule_get(self, _: str) -> Wire:
        return {"id": self._origin}

    def _schedule_delete(self, _: str) -> Wire:
        return {"id": self._origin}
