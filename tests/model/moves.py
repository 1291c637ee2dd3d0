"""The moves of a random history: one for each kind of request, some for the clock, and some for what is broken.

A move is given by offsets and positions, and looks at the state of the model to turn them into a step.
"""

from collections import Counter
from typing import Any, Final, final

from . import shuffle as some
from .shapes import MAX, VERSION, Wire
from .side_by_side import SideBySide
from .steps import HAND_OVER, Step
from .world import is_external, origin_of

SURE: Final = 12
"""The positions below this are of what fits."""
HORIZON_MS: Final = 100_000
"""How far (ms) the clock moves in one step at most."""

Seen = Counter[tuple[str, int]]
"""How often each kind gave each status."""


def nested(kind: str, data: Wire) -> Wire:
    """Return a request to be put into another one."""
    return {"kind": kind, "head": {"corrId": "inner", "version": VERSION}, "data": data}


@final
class Moves:
    """A history in the making, performed by the model and the servers side by side."""

    def __init__(self, systems: SideBySide, seen: Seen) -> None:
        self.now = some.START
        self.systems = systems
        self.world = systems.model.world
        self._seen = seen

    def step(self, kind: str, data: Wire | None = None, **options: Any) -> None:
        """Perform a step, and count what came of it."""
        reply = self.systems.perform(Step(self.now, kind, data or {}, **options))
        if reply:
            self._seen[kind, reply["head"]["status"]] += 1
            self._count_inner(kind, reply)

    def _count_inner(self, kind: str, reply: Wire) -> None:
        """Count what came of the request that a fence wraps, if it was performed."""
        if kind == "task.fence" and reply["head"]["status"] == 200:
            inner = reply["data"]["action"]
            self._seen[f"task.fence > {inner['kind']}", inner["head"]["status"]] += 1

    # --- What depends on the state ----------------------------------------------------------------

    def aim(self, position: int, *states: str) -> str:
        """Return the id at a position: of a task in one of these states if there is one, or any id."""
        fitting = [id for id, task in sorted(self.world.tasks.items()) if task["state"] in states]
        return self._pick(position, fitting or sorted(self.world.tasks))

    def promise(self, position: int) -> str:
        """Return the id at a position: of a promise that exists, or any id."""
        return self._pick(position, sorted(self.world.promises))

    def awaitable(self, position: int, awaiter: str) -> str:
        """Return the id at a position: of a promise that a task may wait for if there is one, or any id."""
        promises = self.world.promises
        fitting = [
            id
            for id, promise in sorted(promises.items())
            if id != awaiter
            and promise["state"] == "pending"
            and is_external(promise["tags"])
            and awaiter in promises
            and origin_of(promise) == origin_of(promises[awaiter])
        ]
        return self._pick(position, fitting)

    def _pick(self, position: int, fitting: list[str]) -> str:
        if position < SURE and fitting:
            return fitting[position % len(fitting)]
        return some.IDS[position % len(some.IDS)]

    def held(self, position: int, offset: int, *states: str) -> Wire:
        """Return the id of a task, and its version or one that is off by a little."""
        id = self.aim(position, *states)
        task = self.world.tasks.get(id)
        return {"id": id, "version": max(0, (task["version"] if task else 0) + offset)}

    def new_promise(self, id: str, deadline: int, tags: Wire, param: Wire | None) -> Wire:
        """Return the data of a promise.create, its deadline that much from now."""
        return {"id": id, "timeoutAt": min(self.now + deadline, MAX), "param": param, "tags": tags}

    def populate(self, first: list[Wire]) -> None:
        """Begin with some promises, so that there is something to ask for."""
        for promise in first:
            self.step("promise.create", self.new_promise(**promise))

    # --- The clock --------------------------------------------------------------------------------

    def wait(self, position: int, nudge: int) -> None:
        """Move the clock to one of the next instants at which something is due, or to just before or after."""
        due = [instant for instant in self.world.instants() if self.now <= instant <= self.now + HORIZON_MS]
        if due:
            self.now = max(self.now, due[position // 5 % len(due)] + nudge)

    def wait_for_something(self, position: int, nudge: int) -> None:
        """Let time pass, and nothing be done."""
        self.wait(position, nudge)

    def wait_and_tick(self, position: int, nudge: int) -> None:
        """Let time pass, and have done what is due."""
        self.wait(position, nudge)
        self.step("debug.tick", {"time": self.now})

    def tick(self) -> None:
        """Have done what is due."""
        self.step("debug.tick", {"time": self.now})

    def hand_over(self, position: int) -> None:
        """Have a message reach its receiver."""
        messages: list[Wire] = [
            *({"kind": "execute", "id": id, "version": v} for id, v in sorted(self.world.executes.items())),
            *({"kind": "unblock", "id": id, "address": a} for id, a in sorted(self.world.unblocks)),
        ]
        if messages:
            self.step(HAND_OVER, messages[position % len(messages)])

    # --- Promises ---------------------------------------------------------------------------------

    def promise_get(self, position: int) -> None:
        """Read a promise."""
        self.step("promise.get", {"id": self.promise(position)})

    def promise_create(
        self, id: str, deadline: int, kind: Wire, lineage: Wire, delay: int | None, param: Wire | None
    ) -> None:
        """Create a promise of any kind."""
        delayed = {} if delay is None else {"resonate:delay": str(self.now + delay)}
        self.step("promise.create", self.new_promise(id, deadline, kind | lineage | delayed, param))

    def promise_create_with_target(self, id: str, deadline: int, delay: str | None, lineage: Wire) -> None:
        """Create a promise with a task, now and then with an odd delay."""
        delayed = {} if delay is None else {"resonate:delay": delay}
        self.step("promise.create", self.new_promise(id, deadline, some.TARGET | lineage | delayed, {}))

    def promise_settle(self, position: int, state: str, value: Wire | None) -> None:
        """Settle a promise."""
        self.step("promise.settle", {"id": self.promise(position), "state": state, "value": value})

    def settle_what_is_awaited(self, position: int, state: str) -> None:
        """Settle a promise that a task waits for."""
        callbacks = self.world.callbacks | self.world.failure_callbacks
        awaited = sorted({awaited for awaited, _ in callbacks})
        self.step("promise.settle", {"id": self._pick(position, awaited), "state": state})

    def promise_cancel(self, position: int, budget: int, value: Wire | None) -> None:
        """Ask that a promise be cancelled."""
        self.step("promise.cancel", {"id": self.promise(position), "budget": budget, "value": value})

    def task_cancel(self, position: int, budget: int, value: Wire | None) -> None:
        """Ask that a promise with a task be cancelled."""
        id = self.aim(position, "acquired", "suspended", "halted", "pending")
        self.step("promise.cancel", {"id": id, "budget": budget, "value": value})

    def family(self, position: int, member: int, others: int, budget: int) -> None:
        """Create a root and what lies below it, and ask that two of them be cancelled."""
        root = some.ROOTS[position % len(some.ROOTS)]
        for end, parent, tags in some.FAMILY:
            kind = tags if tags == some.LOCAL else some.TARGET | tags
            data = self.new_promise(root + end, 90_000, kind | {"resonate:parent": root + parent}, {})
            self.step("promise.create", data)
        for index, after in ((member, budget), (others, 500)):
            id = root + some.FAMILY[index % len(some.FAMILY)][0]
            self.step("promise.cancel", {"id": id, "budget": after, "value": {"data": str(index)}})
        self.step("promise.cancel", {"id": root, "budget": budget})

    def promise_register_callback(self, position: int, awaited: int, only_failure: bool) -> None:
        """Have a task woken by a promise that it may wait for."""
        awaiter = self.aim(position, "pending", "acquired", "suspended", "halted")
        failure = {"onlyFailure": True} if only_failure else {}
        data = {"awaited": self.awaitable(awaited, awaiter), "awaiter": awaiter, **failure}
        self.step("promise.register_callback", data)

    def promise_register_any_callback(self, awaiter: int, awaited: int) -> None:
        """Have whatever woken by whatever."""
        data = {"awaited": self.promise(awaited), "awaiter": self.promise(awaiter)}
        self.step("promise.register_callback", data)

    def promise_register_listener(self, position: int, address: str) -> None:
        """Have a listener told."""
        self.step("promise.register_listener", {"awaited": self.promise(position), "address": address})

    def promise_search(self, state: str | None, tags: Wire | None, page: Wire) -> None:
        """Find promises."""
        self.step("promise.search", {"state": state, "tags": tags, **page})

    # --- Tasks ------------------------------------------------------------------------------------

    def task_get(self, position: int) -> None:
        """Read a task."""
        self.step("task.get", {"id": self.aim(position, "acquired", "suspended", "halted")})

    def task_create(self, id: str, deadline: int, kind: Wire, lineage: Wire, pid: str, ttl: int) -> None:
        """Create a promise with its task acquired."""
        action = nested("promise.create", self.new_promise(id, deadline, kind | lineage, {}))
        self.step("task.create", {"pid": pid, "ttl": ttl, "action": action})

    def task_acquire(self, position: int, offset: int, pid: str, ttl: int, preload: bool = True) -> None:
        """Take a task."""
        lean = {} if preload else {"preload": False}
        self.step("task.acquire", {**self.held(position, offset, "pending"), "pid": pid, "ttl": ttl, **lean})

    def task_fence_create(
        self, position: int, offset: int, id: str, deadline: int, kind: Wire, lineage: Wire
    ) -> None:
        """Create a promise while a task is held."""
        action = nested("promise.create", self.new_promise(id, deadline, kind | lineage, {}))
        self.step("task.fence", {**self.held(position, offset, "acquired"), "action": action})

    def task_fence_settle(self, position: int, offset: int, settled: int, state: str) -> None:
        """Settle a promise while a task is held."""
        action = nested("promise.settle", {"id": self.promise(settled), "state": state, "value": {}})
        self.step("task.fence", {**self.held(position, offset, "acquired"), "action": action})

    def task_fence_cancel(self, position: int, offset: int, cancelled: int, budget: int) -> None:
        """Ask that a promise be cancelled while a task is held."""
        action = nested("promise.cancel", {"id": self.promise(cancelled), "budget": budget, "value": {}})
        self.step("task.fence", {**self.held(position, offset, "acquired"), "action": action})

    def task_heartbeat(self, position: int, offset: int, other: int, pid: str) -> None:
        """Extend two leases."""
        tasks = [self.held(position, offset, "acquired"), self.held(other, 0, "acquired")]
        self.step("task.heartbeat", {"pid": pid, "tasks": tasks})

    def suspend(self, held: Wire, *awaited: str, failures: int = 0, knows: bool = False) -> None:
        """Give a task back until something settles, or until one of the first few fails."""
        callbacks: list[Wire] = [{"awaited": other, "awaiter": held["id"]} for other in awaited]
        for callback in callbacks[:failures]:
            callback["onlyFailure"] = True
        actions = [nested("promise.register_callback", callback) for callback in callbacks]
        knowing = {"knowsCancelled": True} if knows else {}
        self.step("task.suspend", {**held, "actions": actions, **knowing})

    def task_suspend(self, position: int, offset: int, awaited: int, knows: bool = False) -> None:
        """Wait for a promise that may be waited for."""
        held = self.held(position, offset, "acquired")
        self.suspend(held, self.awaitable(awaited, held["id"]), knows=knows)

    def task_suspend_on_failure(self, position: int, awaited: int, other: int, failures: int) -> None:
        """Wait for the failure of promises, and for another one."""
        held = self.held(position, 0, "acquired")
        self.suspend(held, self.awaitable(awaited, held["id"]), self.promise(other), failures=failures)

    def acquire_and_suspend(self, position: int, awaited: int) -> None:
        """Take a task, and give it back at once until something settles: it is then where much can go wrong."""
        self.task_acquire(position, 0, some.PIDS[0], ttl=1_000)
        self.task_suspend(position, 0, awaited)

    def task_suspend_on_two(self, position: int, offset: int, one: int, other: int) -> None:
        """Wait for two promises, one of them whatever."""
        held = self.held(position, offset, "acquired")
        self.suspend(held, self.awaitable(one, held["id"]), self.promise(other))

    def task_suspend_on_anything(self, position: int, offset: int, awaited: int) -> None:
        """Wait for whatever."""
        self.suspend(self.held(position, offset, "acquired"), self.promise(awaited))

    def task_fulfill(self, position: int, offset: int, state: str, value: Wire | None) -> None:
        """Settle the promise of a task."""
        held = self.held(position, offset, "acquired")
        action = nested("promise.settle", {"id": held["id"], "state": state, "value": value})
        self.step("task.fulfill", {**held, "action": action})

    def task_release(self, position: int, offset: int) -> None:
        """Give a task back."""
        self.step("task.release", self.held(position, offset, "acquired"))

    def task_halt(self, position: int) -> None:
        """Stop a task."""
        self.step("task.halt", {"id": self.aim(position, "pending", "acquired", "suspended", "halted")})

    def task_continue(self, position: int) -> None:
        """Let a task go on."""
        self.step("task.continue", {"id": self.aim(position, "halted")})

    def task_search(self, state: str | None, page: Wire) -> None:
        """Find tasks."""
        self.step("task.search", {"state": state, **page})

    # --- Schedules --------------------------------------------------------------------------------

    def schedule_create(
        self, id: str, cron: str, template: str, timeout: int, kind: Wire, param: Wire | None
    ) -> None:
        """Create a schedule."""
        promise = {"promiseId": template, "promiseTimeout": timeout, "promiseTags": kind, "promiseParam": param}
        self.step("schedule.create", {"id": id, "cron": cron, **promise})

    def schedule_get(self, id: str) -> None:
        """Read a schedule."""
        self.step("schedule.get", {"id": id})

    def schedule_delete(self, id: str) -> None:
        """Delete a schedule."""
        self.step("schedule.delete", {"id": id})

    def schedule_search(self, tags: Wire | None, page: Wire) -> None:
        """Find schedules."""
        self.step("schedule.search", {"tags": tags, **page})

    # --- Debug, and what is broken ----------------------------------------------------------------

    def debug(self, kind: str, debug: bool) -> None:
        """Ask for something that needs debug mode, with and without it."""
        self.step(kind, {"time": self.now} if kind == "debug.tick" else {}, debug=debug)

    def something_broken(self, request: tuple[str, Wire], field: int, junk: int) -> None:
        """Send a request with something wrong in it."""
        kind, data = request
        self.step(kind, some.broken(data, field, junk))

    def another_version(self, request: tuple[str, Wire], version: str) -> None:
        """Send a request of another version of the protocol."""
        kind, data = request
        self.step(kind, data, version=version)
