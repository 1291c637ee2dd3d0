"""What histories are made of: ids that collide, tags, deadlines, and requests with something broken.

All of it is drawn without a look at the state, so that Hypothesis can make a failing history smaller; what
depends on the state is named by an offset or a position, see moves.py.
"""

from typing import Any, Final

from hypothesis import strategies as st

from .shapes import MAX, Wire

GROUP: Final = "poll://any@g"
IDS: Final = (
    *("a", "a:1", "a:2", "a:3", "a:4", "a:1.1", "a:1.2", "a.1"),
    *("b", "b.1", "b.2", "b.1.1", "c", "d", "é", "é😀"),
)
SCHEDULES: Final = ("s", "t")
PIDS: Final = ("p", "q")

TARGET: Final[Wire] = {"resonate:target": GROUP}
START: Final = 1_000_000
DELAYED: Final[Wire] = TARGET | {"resonate:delay": str(START + 3_000)}
TIMER: Final[Wire] = {"resonate:timer": "true"}
LOCAL: Final[Wire] = {"resonate:scope": "local"}
FAMILY: Final[tuple[tuple[str, str, Wire], ...]] = (
    ("", "", {}),
    (":1", "", {}),
    (":1.1", ":1", LOCAL),
    (":1.1.1", ":1.1", {}),
    (":2", "", {"resonate:detached": "true"}),
    (":2.1", ":2", {}),
    (":d1f", "", {}),
    (":d1f.1", ":d1f", {}),
    (":d1f.d2", ":d1f", {"resonate:detached": "false"}),
)
"""A root and what lies below it: the end of the id, that of the parent, and tags."""
ROOTS: Final = ("f", "g")
KINDS_OF_PROMISE: Final[tuple[Wire, ...]] = (
    {},
    TARGET,
    TARGET,
    TARGET,
    TARGET | {"resonate:scope": "global"},
    {"resonate:target": "http://host/path"},
    TIMER,
    TARGET | TIMER,
    LOCAL,
    LOCAL | TARGET,
    LOCAL | TIMER,
    LOCAL | {"resonate:external": "true"},
    {"resonate:timer": "false", "resonate:external": "false", "x": "y"},
    {"resonate:target": "nowhere"},
    {"resonate:target": ""},
)
LINEAGES: Final[tuple[Wire, ...]] = (
    *({},) * 16,
    {"resonate:origin": "a", "resonate:branch": "a", "resonate:parent": "a"},
    {"resonate:branch": "a"},
    {"resonate:branch": "a:1", "resonate:parent": "a:1"},
    {"resonate:origin": "a.1"},
    {"resonate:origin": "b"},
    {"resonate:origin": "a:1"},
    {"resonate:branch": ""},
    {"resonate:parent": "a"},
    {"resonate:parent": "b", "resonate:detached": "true"},
)

ids = st.sampled_from(IDS)
positions = st.integers(0, 15)
"""Names one of several things; see `Moves.aim`."""
pids = st.sampled_from(PIDS)
ttls = st.sampled_from((1, 500, 1_000, 30_000, 30_000, MAX))
version_offsets = st.sampled_from((*(0,) * 8, 1, -1))
deadline_offsets = st.sampled_from((-1, 0, 1, 600, 5_000, 30_000, 30_000, 90_000, 90_000, 90_000, 2**62, MAX))
delay_offsets = st.sampled_from((None, None, None, None, -500, 0, 1, 300, 2_000, 30_000))
odd_delays = st.sampled_from((None,) * 6 + ("", "-1", "1.5", "x", "٣", "+1", "007", str(2**63)))
kinds_of_promise = st.sampled_from(KINDS_OF_PROMISE)
kinds_of_task = st.sampled_from(KINDS_OF_PROMISE + (TARGET,) * len(KINDS_OF_PROMISE))
lineages = st.sampled_from(LINEAGES)
values = st.sampled_from(({}, None, {"data": "d"}, {"headers": {"h": "v"}}, {"headers": {}, "data": ""}))
outcomes = st.sampled_from(("resolved", "rejected", "rejected_canceled"))
addresses = st.sampled_from((GROUP, "poll://uni@g/p", "http://h", "poll://any@", "nowhere", "poll://uni@g"))
budgets = st.sampled_from((1, 500, 2_000, 2_000, 30_000, MAX))
nudges = st.sampled_from((-1, 0, 0, 1))

first_promises = st.lists(
    st.fixed_dictionaries({
        "id": ids,
        "deadline": st.sampled_from((600, 5_000, 30_000, 90_000, 90_000, MAX)),
        "tags": st.sampled_from((*(TARGET,) * 5, DELAYED, TARGET | {"resonate:branch": "a"}, LOCAL, TIMER, {})),
        "param": values,
    }),
    min_size=8,
)

promise_states = st.sampled_from((
    None,
    "pending",
    "resolved",
    "rejected",
    "rejected_canceled",
    "rejected_timedout",
))
task_states = st.sampled_from((None, "pending", "acquired", "suspended", "halted", "fulfilled"))
wanted_tags = st.sampled_from((None, {}, TARGET, TIMER, {"x": "y"}, LOCAL | TARGET))
pages = st.fixed_dictionaries(
    {}, optional={"limit": st.sampled_from((1, 2, 3, 1000)), "cursor": st.just("the last cursor")}
)

schedule_ids = st.sampled_from(SCHEDULES)
crons = st.sampled_from((
    "* * * * *",
    "*/20 * * * * *",
    "30 * * * * * *",
    "0 * * * * * 1970",
    "5,7 */2 * * * *",
    "nonsense",
    "61 * * * *",
    "* * * *",
    "",
))
templates = st.sampled_from(("a", "s-{{.timestamp}}", "{{.id}}.{{.timestamp}}", "b.1", "{{.id}}:{{.timestamp}}"))
promise_timeouts = st.sampled_from((0, 1, 5_000, 200_000, MAX))

other_versions = st.sampled_from(("", "2025-01-01"))
debug_kinds = st.sampled_from(("debug.start", "debug.stop", "debug.snap", "debug.tick", "debug.reset"))
mostly = st.sampled_from((True, True, False))
rarely = st.sampled_from((False, False, True))
failures = st.sampled_from((1, 1, 1, 2))
"""Of how many promises, of two, only the failure is waited for."""

# --- Broken requests ------------------------------------------------------------------------------


def _nested(kind: str, data: Wire) -> Wire:
    return {"kind": kind, "head": {"corrId": "i", "version": "2026-04-01"}, "data": data}


_CREATE: Final[Wire] = {"id": "b", "timeoutAt": 2_000_000, "param": {"data": "d"}, "tags": TARGET}
_SETTLE: Final[Wire] = {"id": "b", "state": "resolved", "value": {}}
_HELD: Final[Wire] = {"id": "b", "version": 1}
_PAGE: Final[Wire] = {"limit": 1, "cursor": "the last cursor"}
WHOLE: Final[tuple[tuple[str, Wire], ...]] = (
    ("promise.get", {"id": "b"}),
    ("promise.create", _CREATE),
    ("promise.settle", _SETTLE),
    ("promise.cancel", {"id": "b", "budget": 500, "value": {}}),
    ("promise.register_callback", {"awaited": "a", "awaiter": "b"}),
    ("promise.register_listener", {"awaited": "a", "address": GROUP}),
    ("promise.search", {"state": "pending", "tags": TARGET, **_PAGE}),
    ("task.get", {"id": "b"}),
    ("task.create", {"pid": "p", "ttl": 500, "action": _nested("promise.create", _CREATE)}),
    ("task.acquire", {**_HELD, "pid": "p", "ttl": 500}),
    ("task.fence", {**_HELD, "action": _nested("promise.settle", {**_SETTLE, "id": "b.1"})}),
    ("task.heartbeat", {"pid": "p", "tasks": [_HELD]}),
    (
        "task.suspend",
        {**_HELD, "actions": [_nested("promise.register_callback", {"awaited": "b.1", "awaiter": "b"})]},
    ),
    ("task.fulfill", {**_HELD, "action": _nested("promise.settle", _SETTLE)}),
    ("task.release", _HELD),
    ("task.halt", {"id": "b"}),
    ("task.continue", {"id": "b"}),
    ("task.search", {"state": "pending", **_PAGE}),
    ("schedule.get", {"id": "s"}),
    ("schedule.delete", {"id": "s"}),
    (
        "schedule.create",
        {
            "id": "s",
            "cron": "* * * * *",
            "promiseId": "s-{{.timestamp}}",
            "promiseTimeout": 1,
            "promiseParam": {},
            "promiseTags": TARGET,
        },
    ),
    ("schedule.search", {"tags": TARGET, **_PAGE}),
    ("debug.tick", {"time": 1_000_000}),
)
JUNK: Final[tuple[Any, ...]] = (
    None,
    True,
    1.5,
    -1,
    0,
    2**63,
    "",
    "x",
    "a\0b",
    "s:x",
    "x" * 1024,
    "x" * 1025,
    [],
    {},
    {"a": 1},
    ["x"],
    [{}],
    {"kind": "promise.get"},
)


def broken(data: Wire, field: int, junk: int) -> Wire:
    """Return the data of a request with one field, of its own or of what is nested, left out or replaced."""
    names = list(data)
    name = names[field % len(names)]
    inner = data.get("action")
    if name == "action" and inner is not None and junk % 2:
        return data | {"action": inner | {"data": broken(inner["data"], field // 2, junk // 2)}}
    if junk >= len(JUNK):
        return {other: data[other] for other in names if other != name}
    return data | {name: JUNK[junk]}


whole_requests = st.sampled_from(WHOLE)
junk_positions = st.integers(0, len(JUNK) + 3)
