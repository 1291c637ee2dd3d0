"""Requests that are wrong by construction: a right one of each kind, and what can be done to it."""

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson
from attrs import frozen
from hypothesis import strategies as st

from resonate_trio.protocol import MAX_ID_LENGTH, MAX_MILLIS, PROTOCOL_VERSION

Path = tuple[str | int, ...]
JsonObject = dict[str, Any]

# --- Right ones -----------------------------------------------------------------------------------


def envelope(kind: str, data: JsonObject) -> JsonObject:
    """Return a request as it is on the wire."""
    return {"kind": kind, "head": {"corrId": "c", "version": PROTOCOL_VERSION}, "data": data}


TAGS: Final = {"resonate:target": "poll://any@g"}
CREATE: Final = envelope(
    "promise.create", {"id": "held:9", "timeoutAt": 2**60, "param": {"data": "x"}, "tags": TAGS}
)
SETTLE: Final = envelope("promise.settle", {"id": "held", "state": "resolved", "value": {"headers": {"a": "b"}}})
AWAIT: Final = envelope("promise.register_callback", {"awaited": "held:1", "awaiter": "held"})
HELD: Final = {"id": "held", "version": 1}
SEARCH: Final = {"limit": 5, "cursor": "a", "prefix": "p"}
KINDS: Final[Mapping[str, JsonObject]] = {
    "promise.get": {"id": "p"},
    "promise.create": CREATE["data"],
    "promise.settle": {**SETTLE["data"], "id": "p"},
    "promise.register_callback": AWAIT["data"],
    "promise.register_listener": {"awaited": "p", "address": "http://host/x"},
    "promise.search": {**SEARCH, "state": "pending", "tags": {"a": "b"}},
    "task.get": {"id": "t"},
    "task.create": {"pid": "w", "ttl": 1000, "action": {**CREATE, "data": {**CREATE["data"], "id": "n"}}},
    "task.acquire": {"id": "t", "version": 0, "pid": "w", "ttl": 1000},
    "task.fence": {**HELD, "action": CREATE, "preload": False},
    "task.heartbeat": {"pid": "w", "tasks": [HELD]},
    "task.suspend": {**HELD, "actions": [AWAIT]},
    "task.fulfill": {**HELD, "action": SETTLE},
    "task.release": HELD,
    "task.halt": {"id": "t"},
    "task.continue": {"id": "halted"},
    "task.search": {**SEARCH, "state": "pending"},
    "schedule.get": {"id": "s"},
    "schedule.create": {
        "id": "r",
        "cron": "0 0 * * *",
        "promiseId": "r.{{.timestamp}}",
        "promiseTimeout": 1000,
        "promiseParam": {"data": "x"},
        "promiseTags": TAGS,
    },
    "schedule.delete": {"id": "s"},
    "schedule.search": {**SEARCH, "tags": {"a": "b"}},
    "debug.start": {},
    "debug.stop": {},
    "debug.reset": {},
    "debug.tick": {"time": 1},
    "debug.snap": {},
}
"""The data of a right request of each kind. Performed on the store of the kit, each is answered with 200."""

OPTIONAL: Final = frozenset({"param", "value", "promiseParam", "headers", "limit", "cursor", "prefix", "preload"})
"""Names of fields that may be absent, and null."""
OPTIONAL_IN_SEARCH: Final = frozenset({"state", "tags"})

# --- Wrong values ---------------------------------------------------------------------------------

NOT_JSON_TYPES: Final[Mapping[type, Any]] = {
    str: st.one_of(st.integers(), st.floats(), st.booleans(), st.just([]), st.just({"a": "b"})),
    int: st.one_of(
        st.text(max_size=5),
        st.sampled_from([0.5, 1.0, -1, -(2**63), MAX_MILLIS + 1, 2**64 - 1, True, False, [], {}, "1", "1e3"]),
        st.integers(-(2**63), -1),
    ),
    bool: st.sampled_from([0, 1, "true", "", [], {}]),
    dict: st.one_of(st.integers(), st.text(max_size=5), st.booleans(), st.just([]), st.just([{}])),
    list: st.one_of(st.integers(), st.text(max_size=5), st.booleans(), st.just({}), st.just({"0": {}})),
}
BAD_IDS: Final = st.one_of(
    st.sampled_from([
        "",
        "\0",
        "a\0b",
        "x" * (MAX_ID_LENGTH + 1),
        "\U0001f600" * (MAX_ID_LENGTH + 1),
        "x" * 100_000,
    ]),
    st.integers(MAX_ID_LENGTH + 1, 5000).map(lambda length: "i" * length),
)
BAD_TEXTS: Final[Mapping[str, Any]] = {
    "id": BAD_IDS,
    "awaited": BAD_IDS,
    "awaiter": BAD_IDS,
    "promiseId": st.one_of(BAD_IDS, st.sampled_from(["a:{{.timestamp}}", "{{.timestamp}}" * 80])),
    "state": st.sampled_from(["", "PENDING", "rejected_timedout ", "done", "pending\0"]),
    "address": st.sampled_from([
        "",
        "x",
        "poll://",
        "poll://uni@g",
        "ftp://h",
        "http://",
        "http://[",
        "http://h:99999",
        "http://" + "h" * 5000,
    ]),
    "cron": st.one_of(
        st.sampled_from(["", "* * * *", "* * * * * * * *", "@daily", "61 * * * *", "\0 * * * *", "1-2," * 999]),
        st.text("*/,-0123456789LW#?RH\0é ", max_size=8),
    ),
    "kind": st.one_of(
        st.text(max_size=20).filter(lambda kind: kind not in KINDS),
        st.sampled_from(["promise.", "PROMISE.GET", "promise.get\0"]),
    ),
}
NO_VERSIONS: Final = st.sampled_from(["", "2026-04-02", "1", "2026-04-01 "])
BAD_INTEGERS: Final = {"limit": st.sampled_from([0, 1001]), "ttl": st.just(0)}
NO_TAGS: Final = st.one_of(
    st.sampled_from([{"x": None}, {"x": {}}, {"x": 1}, {**TAGS, "x": ["y"]}]),
    st.integers(65, 3000).map(lambda count: {**TAGS, **{str(number): "x" for number in range(count)}}),
)
NO_PLACE_OR_TIME: Final = [
    {"resonate:target": "nowhere"},
    {**TAGS, "resonate:delay": "-1"},
    {**TAGS, "resonate:delay": "9" * 30},
    {**TAGS, "resonate:delay": "٣"},
]
NO_ANCESTORS: Final = [
    {**TAGS, "resonate:origin": "elsewhere"},
    {**TAGS, "resonate:parent": "y" * 2000},
    {**TAGS, "resonate:branch": "\0"},
]


def _bad_tags(kind: str) -> Any:
    """Return tags that a kind takes in no way: what is wrong of a promise may well be searched for."""
    if kind.endswith(".search"):
        return NO_TAGS
    wrong = NO_PLACE_OR_TIME if kind == "schedule.create" else NO_PLACE_OR_TIME + NO_ANCESTORS
    return st.one_of(NO_TAGS, st.sampled_from(wrong))


# --- What can be done -----------------------------------------------------------------------------


@frozen
class Broken:
    """A request that is wrong, and what makes it so."""

    kind: str
    where: str
    body: bytes


def _paths(value: object, path: Path = ()) -> list[Path]:
    """Return the paths of all values within a value."""
    items: Any = ()
    if isinstance(value, dict) and path[-1:] not in {("tags",), ("headers",), ("promiseTags",)}:
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    return [path, *(inner for key, item in items for inner in _paths(item, (*path, key)))]


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _with(value: Any, path: Path, new: object) -> Any:
    """Return a value with another one at a path."""
    if not path:
        return new
    changed = value.copy()
    changed[path[0]] = _with(value[path[0]], path[1:], new)
    return changed


def _without(value: Any, path: Path) -> Any:
    parent = _at(value, path[:-1])
    rest = {key: item for key, item in parent.items() if key != path[-1]}
    return _with(value, path[:-1], rest)


def _is_optional(kind: str, right: JsonObject, path: Path) -> bool:
    name = path[-1]
    if name == "data":  # of an envelope, or of a value
        return "kind" not in _at(right, path[:-1])
    return name in OPTIONAL or (kind.endswith(".search") and name in OPTIONAL_IN_SEARCH)


def _wrong_values(kind: str, path: Path, value: object) -> Any:
    """Return what is wrong in the place of a value: another type, or one that this field does not take."""
    name = path[-1] if path else ""
    wrong = [NOT_JSON_TYPES[type(value)]]
    if name in {"tags", "promiseTags"}:
        wrong.append(_bad_tags(kind))
    if isinstance(value, str) and name in BAD_TEXTS:
        wrong.append(BAD_TEXTS[str(name)])
    if path == ("head", "version"):
        wrong.append(NO_VERSIONS)
    if isinstance(value, int) and name in BAD_INTEGERS:
        wrong.append(BAD_INTEGERS[str(name)])
    return st.one_of(wrong)


@st.composite
def broken_requests(draw: st.DrawFn) -> Broken:
    """Draw a request that is wrong in one place, however deep."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    right = envelope(kind, KINDS[kind])
    path = draw(st.sampled_from(_paths(right)))
    is_required = bool(path) and not _is_optional(kind, right, path)
    how = draw(st.sampled_from(["wrong", "absent", "null"] if is_required else ["wrong"]))
    if how == "absent" and isinstance(path[-1], str):
        wrong = _without(right, path)
    elif how == "null":
        wrong = _with(right, path, None)
    else:
        wrong = _with(right, path, draw(_wrong_values(kind, path, _at(right, path))))
    return Broken(kind, ".".join(map(str, path)), _dumps(wrong))


def _dumps(value: object) -> bytes:
    """Write JSON, and what is none: numbers of any size, NaN, halves of surrogate pairs."""
    return json.dumps(value).encode()


# --- Nonsense -------------------------------------------------------------------------------------

ANY_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(sorted(KINDS)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
RAW: Final = [
    b"",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b'{"kind":' * 5000,
    b"NaN",
    b"1e999",
    b'{"kind":"\\ud800"}',
    b'{"kind":"promise.get","head":{"corrId":"c","version":"2026-04-01"},"data":{"id":"p","id":7}}',
    b'{"kind":"promise.get","head":{"corrId":"c","version":"2026-04-01"},"data":{"id":18446744073709551616}}',
    b'{"kind":"debug.snap","head":{"corrId":"c","version":"2026-04-01"},"data":'
    + b'{"id":' * 1100
    + b"}" * 1100
    + b"}}",
]
"""What no generator comes upon."""


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """Draw a right request with bytes taken out, put in, or put in the place of others."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    body = bytearray(orjson.dumps(envelope(kind, KINDS[kind])))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(start + 20, len(body))))
        body[start:end] = draw(st.binary(max_size=4))
    return bytes(body)


def nonsense() -> st.SearchStrategy[bytes]:
    """Return bodies that are hardly ever a request."""
    some = st.builds(envelope, st.sampled_from(sorted(KINDS)), ANY_JSON)
    return st.one_of(st.binary(), st.sampled_from(RAW), st.one_of(ANY_JSON, some).map(_dumps), _mutated())
