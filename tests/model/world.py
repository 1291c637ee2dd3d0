"""What the model keeps, and what the server does by itself: PROTOCOL.md sections 2, 3, 5 and 6.

Everything is a plain dictionary, searched from end to end. Nothing here is fast, and nothing is clever.
Rows are kept as they were stored; `promise_at` and `task_at` show them as section 3 wants them seen.
"""

from operator import itemgetter
from typing import Any, Final

from . import cron
from .shapes import MAX, Wire, delay_of

EMPTY: Final[Wire] = {}


def plain_value(value: Wire | None) -> Wire:
    """Return a value without what is absent in it, or not part of it."""
    return {name: part for name, part in (value or {}).items() if name in {"headers", "data"} and part is not None}


def is_timer(tags: Wire) -> bool:
    """Tell whether a promise with these tags resolves at its deadline."""
    return bool(tags.get("resonate:timer") == "true")


def has_task(tags: Wire) -> bool:
    """Tell whether a promise with these tags gets a task."""
    return "resonate:target" in tags and not is_timer(tags)


def is_external(tags: Wire) -> bool:
    """Tell whether a promise with these tags may be awaited."""
    return (
        "resonate:target" in tags
        or is_timer(tags)
        or tags.get("resonate:external") == "true"
        or tags.get("resonate:scope") != "local"
    )


def is_detached(promise: Wire) -> bool:
    """Tell whether no cancellation of its caller reaches a promise."""
    if "resonate:detached" in promise["tags"]:
        return bool(promise["tags"]["resonate:detached"] == "true")
    rest: str = promise["id"][len(origin_of(promise)) :]
    return rest[:2] in {":d", ".d"} and bool(rest[2:]) and set(rest[2:]) <= set("0123456789abcdef")


def origin_of(promise: Wire) -> str:
    """Return the root of the call graph that a promise belongs to."""
    id: str = promise["id"]
    if "resonate:origin" in promise["tags"]:
        return str(promise["tags"]["resonate:origin"])
    return id.split(":")[0] if ":" in id else id.split(".", maxsplit=1)[0]


def cancelled_at(task: Wire) -> Wire:
    """Return since when a task is to be cancelled, as it is shown."""
    return {"cancelledAt": task["cancel"]["at"]} if task["cancel"] else {}


class World:
    """Promises, tasks, schedules, who waits for what, and the messages to be delivered."""

    def __init__(self, retry_interval_ms: int) -> None:
        self.retry_interval_ms = retry_interval_ms
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.promises: dict[str, Wire] = {}
        self.tasks: dict[str, Wire] = {}
        self.schedules: dict[str, Wire] = {}
        self.callbacks: set[tuple[str, str]] = set()  # awaited, awaiter
        self.failure_callbacks: set[tuple[str, str]] = set()  # awaited, awaiter
        self.listeners: set[tuple[str, str]] = set()  # promise, address
        self.executes: dict[str, int] = {}  # task, version
        self.executes_cancelled: dict[str, Wire] = {}  # task, what its message says of that
        self.unblocks: dict[tuple[str, str], Wire] = {}  # promise, address

    # --- As it is seen ----------------------------------------------------------------------------

    def promise_at(self, id: str, now: int) -> Wire | None:
        """Return a promise as it is at an instant: past its deadline it is settled, whatever is stored."""
        stored = self.promises.get(id)
        if stored is None or stored["state"] != "pending" or now < stored["timeoutAt"]:
            return stored
        state = "resolved" if is_timer(stored["tags"]) else "rejected_timedout"
        return {**stored, "state": state, "settledAt": stored["timeoutAt"]}

    def is_pending(self, id: str, now: int) -> bool:
        """Tell whether there is such a promise and it has no outcome yet."""
        promise = self.promise_at(id, now)
        return promise is not None and promise["state"] == "pending"

    def task_at(self, id: str, now: int) -> Wire | None:
        """Return a task as it is at an instant: fulfilled if its promise is settled."""
        stored = self.tasks.get(id)
        if stored is None or self.is_pending(id, now):
            return stored
        return {**self.new_task(id, "fulfilled"), "version": stored["version"]}

    def holds(self, id: str, version: int, now: int) -> bool:
        """Tell whether the task is acquired at this version and its promise pending."""
        task = self.task_at(id, now)
        return task is not None and task["state"] == "acquired" and task["version"] == version

    def preload(self, id: str, now: int) -> list[Wire]:
        """Return all other promises of the branch that the promise of a task lives in."""
        branch = self.promises[id]["tags"].get("resonate:branch", id)
        return [
            self.seen(other, now)
            for other in sorted(self.promises)
            if other != id and self.promises[other]["tags"].get("resonate:branch") == branch
        ]

    def preload_taken(self, id: str, now: int) -> list[Wire]:
        """Return what comes along with a task that is taken: the branch, and the others that it has called."""
        children = [self.seen(other, now) for other in self.children(id) if other != id]
        found = {promise["id"]: promise for promise in (*self.preload(id, now), *children)}
        return [found[other] for other in sorted(found)]

    def children(self, id: str) -> list[str]:
        """Return all that a promise has called."""
        return sorted(other for other, p in self.promises.items() if p["tags"].get("resonate:parent") == id)

    def seen(self, id: str, now: int) -> Wire:
        """Return a promise that is known to exist."""
        promise = self.promise_at(id, now)
        assert promise is not None
        return promise

    # --- What happens to promises -----------------------------------------------------------------

    def create(self, data: Wire, now: int) -> None:
        """Create a promise, and the task that executes it if it has one."""
        id, tags, deadline = data["id"], data["tags"], data["timeoutAt"]
        promise = {
            "id": id,
            "state": "pending",
            "param": plain_value(data.get("param")),
            "value": EMPTY,
            "tags": tags,
            "timeoutAt": deadline,
            "createdAt": min(now, deadline),
        }
        self.promises[id] = promise
        if has_task(tags):
            self.tasks[id] = self.new_task(id, "pending")
            self.tasks[id]["due"] = self.earliest_dispatch(id, now)
        if deadline <= now:
            self.promises[id] = self.seen(id, now)
            self.fulfil(id)

    def settle(self, id: str, promise: Wire, now: int) -> None:
        """Store the outcome of a promise, then wake who waits for it."""
        asked = self.tasks[id]["cancel"] if id in self.tasks else None
        if promise["state"] == "rejected_canceled" and promise["value"] == EMPTY and asked:
            promise = {**promise, "value": asked["value"]}
        self.promises[id] = promise
        self.fulfil(id)
        for awaited, awaiter in sorted(self.callbacks):
            if awaited == id:
                self.callbacks.remove((awaited, awaiter))
                self.wake(awaiter, awaited, now)
        for awaited, awaiter in sorted(self.failure_callbacks):
            if awaited == id:
                self.failure_callbacks.remove((awaited, awaiter))
                if promise["state"] != "resolved":
                    self.wake(awaiter, awaited, now)
        for awaited, address in sorted(self.listeners):
            if awaited == id:
                self.listeners.remove((awaited, address))
                self.unblocks[awaited, address] = promise

    # --- What happens to tasks --------------------------------------------------------------------

    def new_task(self, id: str, state: str) -> Wire:
        """Return a task that nobody has acquired yet."""
        nobody: dict[str, Any] = {"pid": None, "ttl": None, "due": None, "lease": None, "cancel": None}
        return {"id": id, "state": state, "version": 0, "resumes": [], **nobody}

    def change(self, id: str, state: str, **fields: Any) -> None:
        """Change the state of a task, and with it all that belongs to the old state only."""
        self.executes.pop(id, None)
        self.tasks[id] |= {"state": state, "pid": None, "ttl": None, "due": None, "lease": None, **fields}

    def earliest_dispatch(self, id: str, now: int) -> int:
        """Return when a task that is due now is dispatched: not before its delay, unless it is to be cancelled."""
        if self.tasks[id]["cancel"]:
            return now
        return max(now, delay_of(self.promises[id]["tags"]) or 0)

    def offer(self, id: str, now: int, **fields: Any) -> None:
        """Make a task pending, so that it is dispatched."""
        self.change(id, "pending", due=self.earliest_dispatch(id, now), **fields)

    def fulfil(self, id: str) -> None:
        """Be done with the task of a promise that is settled, if it has one."""
        if id in self.tasks:
            self.change(id, "fulfilled", resumes=[], cancel=None)

    def acquire(self, id: str, pid: str, ttl: int, now: int) -> None:
        """Give a task to a worker."""
        version, lease = self.tasks[id]["version"] + 1, min(now + ttl, MAX)
        self.change(id, "acquired", version=version, pid=pid, ttl=ttl, lease=lease, resumes=[])

    def extend(self, id: str, now: int) -> None:
        """Begin the lease of a task that is held anew."""
        self.tasks[id]["lease"] = min(now + self.tasks[id]["ttl"], MAX)

    def wake(self, id: str, awaited: str, now: int) -> None:
        """Tell a task that a promise it waits for is settled."""
        task = self.task_at(id, now)
        if task is None or task["state"] == "fulfilled":
            return
        if task["state"] == "suspended":
            self.offer(id, now, resumes=[awaited])
        elif awaited not in task["resumes"]:
            task["resumes"].append(awaited)

    # --- Cancelling -------------------------------------------------------------------------------

    def end_as_cancelled(self, id: str, value: Wire, now: int) -> None:
        """Settle a promise as cancelled."""
        outcome = {"state": "rejected_canceled", "value": value, "settledAt": now}
        self.settle(id, {**self.promises[id], **outcome}, now)

    def cancel(self, id: str, budget: int, value: Wire, now: int) -> None:
        """Ask that a pending promise be cancelled."""
        if id not in self.tasks:
            self.end_as_cancelled(id, value, now)
            return
        task = self.tasks[id]
        if task["cancel"]:
            return
        task["cancel"] = {"at": now, "until": min(now + budget, MAX), "value": value, "version": task["version"]}
        if task["state"] == "pending":
            task["due"] = now
        elif task["state"] != "acquired":
            self.offer(id, now)

    def end_cancelled(self, now: int) -> None:
        """Settle what was to be cancelled by now, and then all that is pending below."""
        asked = {id: task["cancel"] for id, task in self.tasks.items() if task["cancel"]}
        over = [id for id, cancel in asked.items() if cancel["until"] <= now and self.is_pending(id, now)]
        for id in over:
            self.end_as_cancelled(id, asked[id]["value"], now)
        for id in sorted(over, reverse=True):
            self.end_below(id, asked[id]["value"], now)

    def end_below(self, id: str, value: Wire, now: int) -> None:
        """Settle what is pending below a promise, but for what is detached."""
        for child in self.children(id):
            if child == id or is_detached(self.promises[child]):
                continue
            if self.is_pending(child, now):
                own = self.tasks[child]["cancel"] if child in self.tasks else None
                self.end_as_cancelled(child, (own and own["value"]) or value, now)
            self.end_below(child, value, now)

    # --- What is due ------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Do all that is due."""
        for id in sorted(self.schedules):
            self.run_schedule(id, now)
        for id in sorted(self.promises):
            if self.promises[id]["state"] == "pending" and not self.is_pending(id, now):
                self.settle(id, self.seen(id, now), now)
        self.end_cancelled(now)
        for id, task in sorted(self.tasks.items()):
            if task["state"] == "acquired" and task["lease"] <= now:
                self.offer(id, now)
        for id, task in sorted(self.tasks.items()):
            if task["state"] == "pending" and task["due"] <= now:
                self.executes[id] = task["version"]
                self.executes_cancelled[id] = cancelled_at(task)
                task["due"] = min(now + self.retry_interval_ms, MAX)

    def run_schedule(self, id: str, now: int) -> None:
        """Create the promise of every run of a schedule that was missed."""
        schedule = self.schedules[id]
        while schedule["nextRunAt"] <= now:
            instant = schedule["nextRunAt"]
            self.create_scheduled(schedule, instant, now)
            schedule["lastRunAt"] = instant
            schedule["nextRunAt"] = cron.next_run_after(schedule["cron"], instant)

    def create_scheduled(self, schedule: Wire, instant: int, now: int) -> None:
        """Create the promise of one run of a schedule, unless it exists."""
        id = schedule["promiseId"].replace("{{.id}}", schedule["id"])
        id = id.replace("{{.timestamp}}", str(instant))
        lineage = dict.fromkeys(("resonate:origin", "resonate:branch", "resonate:parent"), id)
        tags = {**schedule["promiseTags"], **lineage, "resonate:schedule": schedule["id"]}
        deadline = min(instant + schedule["promiseTimeout"], MAX)
        if id not in self.promises:
            self.create({"id": id, "timeoutAt": deadline, "param": schedule["promiseParam"], "tags": tags}, now)

    def messages(self) -> list[Wire]:
        """Return what waits for its delivery, each message with its address."""
        executes = [
            {
                "address": self.promises[id]["tags"]["resonate:target"],
                "message": {
                    "kind": "execute",
                    "head": {"serverUrl": ""},
                    "data": {"task": {"id": id, "version": version, **self.executes_cancelled[id]}},
                },
            }
            for id, version in sorted(self.executes.items())
        ]
        unblocks = [
            {"address": address, "message": {"kind": "unblock", "head": {}, "data": {"promise": promise}}}
            for (_, address), promise in sorted(self.unblocks.items(), key=itemgetter(0))
        ]
        return [*executes, *unblocks]

    def hand_over(self, kind: str, id: str, address: str = "", version: int = 0) -> None:
        """Forget a message that reached its receiver."""
        if kind == "unblock":
            self.unblocks.pop((id, address), None)
        elif self.executes.get(id) == version:
            del self.executes[id]

    def instants(self) -> list[int]:
        """Return every instant at which something is due."""
        deadlines = [p["timeoutAt"] for p in self.promises.values() if p["state"] == "pending"]
        tasks = [task[name] for task in self.tasks.values() for name in ("due", "lease")]
        ends = [task["cancel"]["until"] for task in self.tasks.values() if task["cancel"]]
        runs = [schedule["nextRunAt"] for schedule in self.schedules.values()]
        return sorted({instant for instant in (*deadlines, *tasks, *ends, *runs) if instant is not None})
