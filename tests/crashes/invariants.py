"""What holds of everything that a server stores, at any moment and from one moment to the next."""

from collections import Counter
from typing import Final

from resonate_trio.protocol import PROTOCOL_VERSION
from tests.linearizability.server import Connection
from tests.model.shapes import Wire

SNAP: Final[Wire] = {
    "kind": "debug.snap",
    "head": {"corrId": "snap", "version": PROTOCOL_VERSION},
    "data": {},
}


async def snapshot(connection: Connection) -> Wire:
    """Return all that a server stores."""
    reply = await connection.ask(SNAP)
    assert reply is not None
    assert reply["head"]["status"] == 200
    data: Wire = reply["data"]
    return data


def check_consistent(snap: Wire) -> None:
    """Check that tasks, promises, and who waits for what tell the same story."""
    promises = {promise["id"]: promise for promise in snap["promises"]}
    tasks = {task["id"]: task for task in snap["tasks"]}
    pending = {id for id, promise in promises.items() if promise["state"] == "pending"}
    waits = Counter(callback["awaiter"] for callback in snap["callbacks"])
    due = {timeout["id"] for timeout in snap["taskTimeouts"]}
    assert len(promises) == len(snap["promises"])
    assert len(tasks) == len(snap["tasks"])
    assert {id for id, task in tasks.items() if task["state"] != "fulfilled"} == pending & tasks.keys()
    assert {timeout["id"] for timeout in snap["promiseTimeouts"]} == pending
    assert {id for id, task in tasks.items() if task["state"] in {"pending", "acquired"}} == due
    assert {callback["awaited"] for callback in snap["callbacks"]} <= pending
    assert {listener["id"] for listener in snap["listeners"]} <= pending
    for id, task in tasks.items():
        assert ("pid" in task) == ("ttl" in task) == (task["state"] == "acquired"), task
        assert task["state"] != "suspended" or waits[id] > 0, task


def check_nothing_taken_back(before: Wire, after: Wire) -> None:
    """Check that what was final is as it was, that nothing has vanished, and that no version went back."""
    promises = {promise["id"]: promise for promise in after["promises"]}
    tasks = {task["id"]: task for task in after["tasks"]}
    fixed = ("id", "param", "tags", "timeoutAt", "createdAt")
    for promise in before["promises"]:
        now = promises[promise["id"]]
        names = fixed if promise["state"] == "pending" else promise.keys()
        assert all(now[name] == promise[name] for name in names), (promise, now)
    for task in before["tasks"]:
        now = tasks[task["id"]]
        assert now["version"] >= task["version"], (task, now)
        assert task["state"] != "fulfilled" or now == task, (task, now)
