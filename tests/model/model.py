"""The model: requests and their replies, PROTOCOL.md section 4, line by line.

Written from that page, not from the server's code, so that the two can find each other's mistakes. A guard is
a line `refuse_if(condition, status)`, in the order in which the page has them.

Where the page is silent, the model has what was agreed on once the two were compared:

- Reading stores nothing: only what is due does. So `debug.snap` shows promises as they were stored.
- A task that is suspended forgets what has woken it before. Halting keeps that, and gives up the lease.
- A callback stays until the awaited promise settles, also when its awaiter is settled by then.
- An awaiter that exists is refused first for its origin (400), then for want of a task (422), and then the
  awaited promise for being local (422). Of several awaited ones, the first that is wrong counts.
- A template of a schedule must not contain `:`, since the promises made from it are origins, and its tags no
  delay, since that is an instant (400).
- A promise without a branch tag is its own branch.
- A holder that suspends, and took the task before it was to be cancelled, is not taken to know that, unless it
  says so: the task is due at once.
- What is below two promises whose time is over has the value of the request that is nearer, or of its own.
- A delay holds whatever happens to the task: what is due now is due at the delay if that is later.
"""

from operator import itemgetter
from typing import Final

from . import cron
from .shapes import VERSION, Refused, Wire, check, is_address, refuse_if
from .world import World, cancelled_at, has_task, is_external, origin_of, plain_value

DEFAULT_LIMIT: Final = 100
DEFAULT_SCHEDULE_LIMIT: Final = 10
MESSAGE: Final = "refused"
"""What stands for the message of every refusal: its wording is the server's own."""

Answer = tuple[int, object]
"""A status, and the data of the reply."""


def shown(task: Wire) -> Wire:
    """Return a task as it travels."""
    wire = {"id": task["id"], "state": task["state"], "version": task["version"]}
    held = {name: task[name] for name in ("ttl", "pid") if task[name] is not None}
    return {**wire, "resumes": len(task["resumes"]), **held, **cancelled_at(task)}


class Model:
    """A server of the protocol, one request at a time."""

    def __init__(self, retry_interval_ms: int) -> None:
        self.world = World(retry_interval_ms)

    def perform(self, envelope: Wire, now: int, *, debug: bool = True) -> Wire:
        """Perform a request, and return the whole reply."""
        try:
            check(envelope)
            refuse_if(envelope["kind"].startswith("debug.") and not debug, 403)
            status, data = self.answer(envelope, now)
        except Refused as refused:
            status, data = refused.status, MESSAGE
        head = {"corrId": envelope["head"]["corrId"], "status": status, "version": VERSION}
        return {"kind": envelope["kind"], "head": head, "data": data}

    def answer(self, envelope: Wire, now: int) -> Answer:
        """Answer a request that is well-formed."""
        method = getattr(self, envelope["kind"].replace(".", "_"))
        status, data = method(envelope["data"], now)
        return status, data

    # --- Promises ---------------------------------------------------------------------------------

    def promise_get(self, data: Wire, now: int) -> Answer:
        """Read a promise."""
        refuse_if(data["id"] not in self.world.promises, 404)
        return 200, {"promise": self.world.seen(data["id"], now)}

    def promise_create(self, data: Wire, now: int) -> Answer:
        """Create a promise, unless it exists."""
        if data["id"] not in self.world.promises:
            self.world.create(data, now)
        return 200, {"promise": self.world.seen(data["id"], now)}

    def promise_settle(self, data: Wire, now: int) -> Answer:
        """Settle a promise, unless it is settled."""
        id = data["id"]
        refuse_if(id not in self.world.promises, 404)
        if self.world.is_pending(id, now):
            outcome = {"state": data["state"], "value": plain_value(data.get("value")), "settledAt": now}
            self.world.settle(id, {**self.world.promises[id], **outcome}, now)
        return 200, {"promise": self.world.seen(id, now)}

    def promise_cancel(self, data: Wire, now: int) -> Answer:
        """Ask that a promise be cancelled."""
        id = data["id"]
        refuse_if(id not in self.world.promises, 404)
        if self.world.is_pending(id, now):
            self.world.cancel(id, data["budget"], plain_value(data.get("value")), now)
        return 200, {"promise": self.world.seen(id, now)}

    def promise_register_callback(self, data: Wire, now: int) -> Answer:
        """Have a task woken when a promise settles."""
        awaited, awaiter = data["awaited"], data["awaiter"]
        refuse_if(awaited not in self.world.promises, 404)
        refuse_if(awaiter not in self.world.promises, 422)
        self.check_awaiting(awaited, awaiter)
        if self.world.is_pending(awaited, now) and self.world.is_pending(awaiter, now):
            self.remember(data)
        return 200, {"promise": self.world.seen(awaited, now)}

    def remember(self, data: Wire) -> None:
        """Have a task woken by a promise, or only if that fails."""
        world = self.world
        callbacks = world.failure_callbacks if data.get("onlyFailure") else world.callbacks
        callbacks.add((data["awaited"], data["awaiter"]))

    def check_awaiting(self, awaited: str, awaiter: str) -> None:
        """Refuse a callback between promises that both exist, but may not be joined."""
        promises = self.world.promises
        refuse_if(origin_of(promises[awaited]) != origin_of(promises[awaiter]), 400)
        refuse_if(not has_task(promises[awaiter]["tags"]), 422)
        refuse_if(not is_external(promises[awaited]["tags"]), 422)

    def promise_register_listener(self, data: Wire, now: int) -> Answer:
        """Have a message sent when a promise settles."""
        awaited, address = data["awaited"], data["address"]
        refuse_if(not is_address(address), 400)
        refuse_if(awaited not in self.world.promises, 404)
        refuse_if(not is_external(self.world.promises[awaited]["tags"]), 422)
        if self.world.is_pending(awaited, now):
            self.world.listeners.add((awaited, address))
        return 200, {"promise": self.world.seen(awaited, now)}

    def promise_search(self, data: Wire, now: int) -> Answer:
        """Find promises."""
        wanted, state = data.get("tags") or {}, data.get("state")
        found = [
            promise
            for promise in (self.world.seen(id, now) for id in self.world.promises)
            if wanted.items() <= promise["tags"].items() and state in {None, promise["state"]}
        ]
        return 200, self.page("promises", found, data, DEFAULT_LIMIT)

    def page(self, name: str, found: list[Wire], data: Wire, default: int) -> Wire:
        """Return one page of what was found. The cursor is the id of its last record."""
        after = data.get("cursor") or ""
        rest = sorted((record for record in found if record["id"] > after), key=itemgetter("id"))
        limit = data.get("limit") or default
        cursor = {"cursor": rest[limit - 1]["id"]} if len(rest) > limit else {}
        return {name: rest[:limit], **cursor}

    # --- Tasks ------------------------------------------------------------------------------------

    def task_seen(self, id: str, now: int) -> Wire:
        """Return a task, or refuse the request if there is none."""
        task = self.world.task_at(id, now)
        if task is None:
            raise Refused(404)
        return task

    def check_held(self, data: Wire, now: int) -> None:
        """Refuse the request unless the task is held at its version."""
        self.task_seen(data["id"], now)
        refuse_if(not self.world.holds(data["id"], data["version"], now), 409)

    def task_get(self, data: Wire, now: int) -> Answer:
        """Read a task."""
        return 200, {"task": shown(self.task_seen(data["id"], now))}

    def task_create(self, data: Wire, now: int) -> Answer:
        """Create a promise and its task, acquired; or acquire the one that is there."""
        action = data["action"]["data"]
        id = action["id"]
        if id not in self.world.promises:
            self.world.create(action, now)
        refuse_if(not has_task(self.world.promises[id]["tags"]), 422)
        state = self.task_seen(id, now)["state"]
        refuse_if(state not in {"pending", "fulfilled"}, 409)
        if state == "pending":
            self.world.acquire(id, data["pid"], data["ttl"], now)
        return 200, self.acquired(id, now)

    def task_acquire(self, data: Wire, now: int) -> Answer:
        """Take a pending task at the version that its message named."""
        id = data["id"]
        task = self.task_seen(id, now)
        refuse_if(task["state"] != "pending" or task["version"] != data["version"], 409)
        self.world.acquire(id, data["pid"], data["ttl"], now)
        answer = self.acquired(id, now)
        return 200, answer | {"preload": []} if data.get("preload") is False else answer

    def acquired(self, id: str, now: int) -> Wire:
        """Return what a worker needs to start."""
        return {
            "task": shown(self.task_seen(id, now)),
            "promise": self.world.seen(id, now),
            "preload": self.world.preload_taken(id, now),
        }

    def task_fence(self, data: Wire, now: int) -> Answer:
        """Perform a request if the task is held."""
        self.check_held(data, now)
        told = cancelled_at(self.world.tasks[data["id"]])
        inner = self.perform(data["action"], now)
        return 200, {"action": inner, "preload": self.world.preload(data["id"], now), **told}

    def task_heartbeat(self, data: Wire, now: int) -> Answer:
        """Extend the leases of the tasks that a worker holds."""
        lost, cancelled = [], []
        for ref in data["tasks"]:
            id = ref["id"]
            if not self.world.holds(id, ref["version"], now) or self.world.tasks[id]["pid"] != data["pid"]:
                lost.append(id)
                continue
            self.world.extend(id, now)
            if cancel := self.world.tasks[id]["cancel"]:
                cancelled.append({"id": id, "at": cancel["at"]})
        return 200, {**({"lost": lost} if lost else {}), **({"cancelled": cancelled} if cancelled else {})}

    def task_suspend(self, data: Wire, now: int) -> Answer:
        """Give a task back until something settles, or say that something has."""
        id, actions = data["id"], [action["data"] for action in data["actions"]]
        self.check_held(data, now)
        told = cancelled_at(self.world.tasks[id])
        for action in actions:
            refuse_if(action["awaited"] not in self.world.promises, 422)
            self.check_awaiting(action["awaited"], id)
        if any(self.is_news(action, now) for action in actions):
            self.world.tasks[id]["resumes"] = []
            return 300, {"preload": self.world.preload(id, now), **told}
        for action in actions:
            if self.world.is_pending(action["awaited"], now):
                self.remember(action)
        self.world.change(id, "suspended", resumes=[])
        task = self.world.tasks[id]
        if task["cancel"] and task["cancel"]["version"] == task["version"] and not data.get("knowsCancelled"):
            self.world.offer(id, now)
        return 200, told

    def is_news(self, action: Wire, now: int) -> bool:
        """Tell whether what is awaited has come to something that the task wants to know."""
        state = self.world.seen(action["awaited"], now)["state"]
        return bool(state != "pending" and not (action.get("onlyFailure") and state == "resolved"))

    def task_fulfill(self, data: Wire, now: int) -> Answer:
        """Settle the promise of a task that is held."""
        self.check_held(data, now)
        return self.promise_settle(data["action"]["data"], now)

    def task_release(self, data: Wire, now: int) -> Answer:
        """Give a task back, to be dispatched again."""
        self.check_held(data, now)
        self.world.offer(data["id"], now)
        return 200, {}

    def task_halt(self, data: Wire, now: int) -> Answer:
        """Stop dispatching a task."""
        refuse_if(self.task_seen(data["id"], now)["state"] == "fulfilled", 409)
        self.world.change(data["id"], "halted")
        return 200, {}

    def task_continue(self, data: Wire, now: int) -> Answer:
        """Dispatch a halted task again."""
        refuse_if(self.task_seen(data["id"], now)["state"] != "halted", 409)
        self.world.offer(data["id"], now)
        return 200, {}

    def task_search(self, data: Wire, now: int) -> Answer:
        """Find tasks."""
        tasks = [shown(self.task_seen(id, now)) for id in self.world.tasks]
        found = [task for task in tasks if data.get("state") in {None, task["state"]}]
        return 200, self.page("tasks", found, data, DEFAULT_LIMIT)

    # --- Schedules --------------------------------------------------------------------------------

    def schedule_seen(self, data: Wire) -> Wire:
        """Return a schedule, or refuse the request if there is none."""
        schedule = self.world.schedules.get(data["id"])
        if schedule is None:
            raise Refused(404)
        return schedule

    def schedule_get(self, data: Wire, _: int) -> Answer:
        """Read a schedule."""
        return 200, {"schedule": dict(self.schedule_seen(data))}

    def schedule_create(self, data: Wire, now: int) -> Answer:
        """Create a schedule, unless it exists."""
        names = ("id", "cron", "promiseId", "promiseTimeout", "promiseTags")
        if data["id"] not in self.world.schedules:
            self.world.schedules[data["id"]] = {
                **{name: data[name] for name in names},
                "promiseParam": plain_value(data.get("promiseParam")),
                "createdAt": now,
                "nextRunAt": cron.next_run_after(data["cron"], now),
            }
        return self.schedule_get(data, now)

    def schedule_delete(self, data: Wire, _: int) -> Answer:
        """Delete a schedule. What it created stays."""
        self.schedule_seen(data)
        del self.world.schedules[data["id"]]
        return 200, {}

    def schedule_search(self, data: Wire, _: int) -> Answer:
        """Find schedules by the tags of their promises."""
        wanted = data.get("tags") or {}
        found = [
            dict(schedule)
            for schedule in self.world.schedules.values()
            if wanted.items() <= schedule["promiseTags"].items()
        ]
        return 200, self.page("schedules", found, data, DEFAULT_SCHEDULE_LIMIT)

    # --- Debug ------------------------------------------------------------------------------------

    def debug_start(self, _: Wire, __: int) -> Answer:
        """Pause all background work: the model does none unless it is told to."""
        return 200, {}

    def debug_stop(self, _: Wire, __: int) -> Answer:
        """Go on with it."""
        return 200, {}

    def debug_reset(self, _: Wire, __: int) -> Answer:
        """Forget everything."""
        self.world.clear()
        return 200, {}

    def debug_tick(self, data: Wire, _: int) -> Answer:
        """Do all that is due."""
        self.world.tick(data["time"])
        return 200, []

    def debug_snap(self, _: Wire, __: int) -> Answer:
        """Show everything that is stored."""
        world = self.world
        tasks = [world.tasks[id] for id in sorted(world.tasks)]
        promises = [world.promises[id] for id in sorted(world.promises)]
        return 200, {
            "promises": promises,
            "promiseTimeouts": [
                {"id": p["id"], "timeout": p["timeoutAt"]} for p in promises if p["state"] == "pending"
            ],
            "callbacks": [
                {"awaiter": awaiter, "awaited": awaited}
                for awaited, awaiter in sorted(world.callbacks | world.failure_callbacks)
            ],
            "listeners": [{"id": id, "address": address} for id, address in sorted(world.listeners)],
            "tasks": [shown(task) for task in tasks],
            "taskTimeouts": [
                {"id": task["id"], "type": type, "timeout": task[name]}
                for task in tasks
                for type, name in enumerate(("due", "lease"))
                if task[name] is not None
            ],
            "messages": world.messages(),
        }
