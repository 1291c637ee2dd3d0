"""The converter: what is read, what is refused and how that is said, and what is written."""

from typing import Any

import orjson
import pytest

from resonate_trio.protocol import (
    EMPTY,
    MAX_MILLIS,
    REQUESTS,
    Acquired,
    Beaten,
    Callback,
    Cancel,
    CancelledTask,
    DebugSnap,
    DebugTick,
    Empty,
    Envelope,
    Execute,
    Fenced,
    Head,
    Listener,
    Message,
    OutgoingMessage,
    Promise,
    PromiseCancel,
    PromiseCreate,
    PromiseGet,
    PromisePage,
    PromiseReply,
    PromiseSearch,
    PromiseSettle,
    PromiseState,
    PromiseTimeout,
    ProtocolError,
    Reply,
    ReplyHead,
    Request,
    Schedule,
    ScheduleCreate,
    ScheduleReply,
    Snapshot,
    Suspended,
    Task,
    TaskAcquire,
    TaskFence,
    TaskHeartbeat,
    TaskReply,
    TaskState,
    TaskSuspend,
    TaskTimeout,
    Unblock,
    Value,
    converter,
    decode_message,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    message_to_wire,
    request_from_wire,
)

HEAD = {"corrId": "c", "version": "2026-04-01"}
CREATE = {"id": "a", "timeoutAt": 5, "tags": {"k": "v"}}
SETTLE = {"id": "a", "state": "resolved"}
CALLBACK = {"awaited": "a:1", "awaiter": "a"}
VERSIONED = {"id": "a", "version": 1}


def wire(kind: str, data: object, head: object = HEAD) -> dict[str, object]:
    """Return an envelope, as JSON decoded."""
    return {"kind": kind, "head": head, "data": data}


def read(kind: str, data: object) -> Request:
    """Read the data of a request."""
    return request_from_wire(wire(kind, data)).data


def refused(body: object) -> ProtocolError:
    """Return the error that reading raises."""
    with pytest.raises(ProtocolError) as caught:
        request_from_wire(body)
    assert "\n" not in caught.value.message
    return caught.value


MINIMAL: dict[str, dict[str, Any]] = {
    "promise.get": {"id": "a"},
    "promise.create": CREATE,
    "promise.settle": SETTLE,
    "promise.cancel": {"id": "a", "budget": 1},
    "promise.register_callback": CALLBACK,
    "promise.register_listener": {"awaited": "a", "address": "x"},
    "promise.search": {},
    "task.get": {"id": "a"},
    "task.create": {"pid": "p", "ttl": 1, "action": wire("promise.create", CREATE)},
    "task.acquire": {**VERSIONED, "pid": "p", "ttl": 1},
    "task.fence": {**VERSIONED, "action": wire("promise.settle", SETTLE)},
    "batch": {"requests": [wire("promise.get", {"id": "a"})]},
    "task.heartbeat": {"pid": "p", "tasks": [VERSIONED]},
    "task.suspend": {**VERSIONED, "actions": [wire("promise.register_callback", CALLBACK)]},
    "task.fulfill": {**VERSIONED, "action": wire("promise.settle", SETTLE)},
    "task.release": VERSIONED,
    "task.halt": {"id": "a"},
    "task.continue": {"id": "a"},
    "task.search": {},
    "schedule.get": {"id": "a"},
    "schedule.create": {
        "id": "a",
        "cron": "* * * * *",
        "promiseId": "x",
        "promiseTimeout": 5,
        "promiseTags": {"k": "v"},
    },
    "schedule.delete": {"id": "a"},
    "schedule.search": {},
    "debug.start": {},
    "debug.stop": {},
    "debug.reset": {},
    "debug.tick": {"time": 5},
    "debug.snap": {},
}


# --- Requests that are read -----------------------------------------------------------------------


def test_every_kind_has_an_example() -> None:
    """The tables of this file leave none out."""
    assert MINIMAL.keys() == REQUESTS.keys()


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_minimal_request_is_read_and_survives_a_round_trip(kind: str) -> None:
    """What is optional may be absent, and what was read is written so that it reads the same."""
    envelope = decode_request(orjson.dumps(wire(kind, MINIMAL[kind])))
    assert (envelope.kind, type(envelope.data)) == (kind, REQUESTS[kind])
    assert decode_request(encode_request(envelope)) == envelope


@pytest.mark.parametrize("kind", REQUESTS)
def test_unknown_fields_are_ignored(kind: str) -> None:
    """In the envelope, the head and the data."""
    body = {**wire(kind, {**MINIMAL[kind], "new": [1]}, {**HEAD, "new": None}), "new": {}}
    assert request_from_wire(body) == request_from_wire(wire(kind, MINIMAL[kind]))


@pytest.mark.parametrize("empty", [{}, {"param": None}, {"param": {}}])
def test_absent_null_and_empty_values_are_the_same(empty: dict[str, object]) -> None:
    """They all mean empty, and so does a value whose fields are null."""
    request = read("promise.create", {**CREATE, **empty})
    assert request == PromiseCreate("a", 5, {"k": "v"}, EMPTY)


def test_every_field_is_read() -> None:
    """Names are camel case on the wire."""
    value = {"headers": {"h": "1"}, "data": "d"}
    assert read("promise.settle", {**SETTLE, "value": value}) == PromiseSettle(
        "a", PromiseState.RESOLVED, Value({"h": "1"}, "d")
    )
    assert read("promise.search", {"state": "rejected_timedout", "tags": {}, "limit": 1, "cursor": "x"}) == (
        PromiseSearch(PromiseState.TIMEDOUT, {}, 1, "x")
    )
    schedule = read("schedule.create", {**MINIMAL["schedule.create"], "promiseParam": value})
    assert schedule == ScheduleCreate("a", "* * * * *", "x", 5, {"k": "v"}, Value({"h": "1"}, "d"))


def test_the_head_is_read() -> None:
    """With its optional fields, and the token hidden from logs."""
    head = {**HEAD, "auth": "secret", "resonate:origin": "root", "resonate:debug_time": 7}
    envelope = request_from_wire(wire("promise.get", {"id": "a"}, head))
    assert envelope.head == Head("c", "2026-04-01", "secret", "root", 7)
    assert "secret" not in repr(envelope)
    assert orjson.loads(encode_request(envelope))["head"] == head


def test_a_fence_says_only_on_request_that_it_wants_no_preload() -> None:
    """The field is ours, so that it is left out where it says nothing."""
    data = MINIMAL["task.fence"]
    plain, lean = read("task.fence", data), read("task.fence", {**data, "preload": False})
    assert isinstance(plain, TaskFence)
    assert isinstance(lean, TaskFence)
    assert (plain.preload, lean.preload) == (True, False)
    assert "preload" not in orjson.loads(encode_request(Envelope(Head("c"), plain)))["data"]
    assert orjson.loads(encode_request(Envelope(Head("c"), lean)))["data"]["preload"] is False


@pytest.mark.parametrize(
    ("kind", "name", "default"),
    [
        ("promise.register_callback", "onlyFailure", False),
        ("task.suspend", "knowsCancelled", False),
        ("task.acquire", "preload", True),
    ],
)
def test_what_is_ours_is_left_out_where_it_says_nothing(kind: str, name: str, default: bool) -> None:
    """So that other servers never meet it."""
    plain = read(kind, MINIMAL[kind])
    asking = read(kind, {**MINIMAL[kind], name: not default})
    assert plain == read(kind, {**MINIMAL[kind], name: default})
    assert name not in orjson.loads(encode_request(Envelope(Head("c"), plain)))["data"]
    assert orjson.loads(encode_request(Envelope(Head("c"), asking)))["data"][name] is not default


def test_a_cancellation_is_read_with_who_asked_and_why() -> None:
    """Its budget is a duration that is not nothing, and it fits into a fence."""
    cancel = PromiseCancel("a", 5, Value(None, "why"))
    data = {"id": "a", "budget": 5, "value": {"data": "why"}}
    assert read("promise.cancel", data) == cancel
    fence = read("task.fence", {**VERSIONED, "action": wire("promise.cancel", data)})
    assert isinstance(fence, TaskFence)
    assert fence.action.data == cancel
    assert "data.budget" in refused(wire("promise.cancel", {"id": "a", "budget": 0})).message


def test_the_largest_numbers_are_read() -> None:
    """Instants, durations and versions go up to 2^63 − 1."""
    data = {"id": "a", "version": MAX_MILLIS, "pid": "p", "ttl": MAX_MILLIS}
    assert read("task.acquire", data) == TaskAcquire("a", MAX_MILLIS, "p", MAX_MILLIS)
    assert read("debug.tick", {"time": MAX_MILLIS}) == DebugTick(MAX_MILLIS)


# --- Requests that are refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, field) for kind, data in MINIMAL.items() for field in data],
)
def test_a_missing_field_is_named(kind: str, field: str) -> None:
    """With where it is missing, and what could be read of the envelope to be echoed."""
    error = refused(wire(kind, {name: value for name, value in MINIMAL[kind].items() if name != field}))
    assert error.message == f"missing field data.{field}"
    assert (error.kind, error.corr_id) == (kind, "c")


@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, field) for kind, data in MINIMAL.items() for field in data if kind != "batch"],
)
@pytest.mark.parametrize("value", [None, True, 1.5, [[]], {"": 1}])
def test_a_field_of_the_wrong_type_is_named(kind: str, field: str, value: object) -> None:
    """Nothing is coerced."""
    error = refused(wire(kind, {**MINIMAL[kind], field: value}))
    assert f"data.{field}" in error.message


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("promise.get", {"id": ""}, "data.id: must not be empty"),
        ("promise.get", {"id": "x" * 1025}, "data.id: is longer than 1024 characters"),
        ("promise.get", {"id": "a\0b"}, "data.id: must not contain NUL"),
        ("promise.get", {"id": 5}, "data.id: expected a string, got 5"),
        ("promise.create", {"timeoutAt": -1}, "data.timeoutAt: expected an integer from 0 to"),
        ("promise.create", {"timeoutAt": 2**63}, "data.timeoutAt: expected an integer from 0 to"),
        ("promise.create", {"timeoutAt": "5"}, "data.timeoutAt: expected an integer, got '5'"),
        ("promise.create", {"timeoutAt": True}, "data.timeoutAt: expected an integer, got a boolean"),
        ("promise.create", {"timeoutAt": 5.0}, "data.timeoutAt: expected an integer, got 5.0"),
        ("promise.create", {"tags": {"k": 1}}, "data.tags: expected a string at 'k', got 1"),
        ("promise.create", {"tags": []}, "data.tags: expected an object, got an array"),
        ("promise.create", {"param": "x"}, "data.param: expected an object, got 'x'"),
        ("promise.create", {"param": {"data": 1}}, "data.param.data: expected a string, got 1"),
        ("promise.create", {"param": {"headers": {"h": None}}}, "data.param.headers: expected a string at 'h'"),
        (
            "promise.settle",
            {"state": "pending"},
            "data.state: expected one of resolved, rejected, rejected_canceled",
        ),
        ("promise.settle", {"state": "rejected_timedout"}, "data.state: expected one of"),
        ("promise.settle", {"state": []}, "data.state: expected one of"),
        ("promise.search", {"limit": 0}, "data.limit: expected an integer from 1 to 1000, got 0"),
        ("promise.search", {"limit": 1001}, "data.limit: expected an integer from 1 to 1000, got 1001"),
        ("promise.search", {"state": "done"}, "data.state: expected one of pending, resolved"),
        ("task.search", {"state": "running"}, "data.state: expected one of pending, acquired"),
        ("task.acquire", {"ttl": 0}, "data.ttl: expected an integer from 1"),
        ("task.acquire", {"version": -1}, "data.version: expected an integer from 0"),
        ("task.fence", {"preload": 1}, "data.preload: expected a boolean, got 1"),
        ("task.heartbeat", {"tasks": [VERSIONED, {"id": "a"}]}, "missing field data.tasks[1].version"),
        ("task.heartbeat", {"tasks": {}}, "data.tasks: expected an array, got an object"),
        (
            "task.fence",
            {"action": wire("promise.get", {"id": "a"})},
            "data.action: expected the kind promise.create or",
        ),
        ("task.create", {"action": wire("promise.create", {"id": "a"})}, "missing field data.action.data."),
        ("task.create", {"action": {"kind": "promise.create", "data": CREATE}}, "missing field data.action.head"),
        (
            "task.suspend",
            {"actions": [wire("promise.register_callback", {})]},
            "missing field data.actions[0].data.",
        ),
        ("schedule.create", {"id": "a:b"}, "data.id: must not contain ':'"),
        ("debug.tick", {"time": -1}, "data.time: expected an integer from 0"),
    ],
)
def test_a_bad_field_is_described(kind: str, change: dict[str, object], said: str) -> None:
    """One line: where, what was expected, what came."""
    assert refused(wire(kind, {**MINIMAL[kind], **change})).message.startswith(said)


@pytest.mark.parametrize(
    ("body", "said", "kind", "corr_id"),
    [
        ([], "the envelope: expected an object, got an array", "", ""),
        (None, "the envelope: expected an object, got null", "", ""),
        ({"head": HEAD}, "missing field kind", "", "c"),
        (wire("promise.find", {}), "kind: unknown kind 'promise.find'", "promise.find", "c"),
        ({"kind": ["x"], "head": HEAD}, "kind: unknown kind an array", "", "c"),
        ({"kind": "promise.get", "head": HEAD}, "missing field data", "promise.get", "c"),
        ({"kind": "promise.get", "data": {"id": "a"}}, "missing field head", "promise.get", ""),
        (wire("promise.get", {"id": "a"}, {"version": "x"}), "missing field head.corrId", "promise.get", ""),
        (wire("promise.get", {"id": "a"}, {"corrId": "c"}), "missing field head.version", "promise.get", "c"),
        (
            wire("promise.get", {"id": "a"}, {"corrId": 5, "version": "x"}),
            "head.corrId: expected",
            "promise.get",
            "",
        ),
        (
            wire("promise.get", {"id": "a"}, {**HEAD, "version": "1"}),
            "head.version: '1' is not",
            "promise.get",
            "c",
        ),
        (wire("promise.get", {"id": "a"}, "head"), "head: expected an object", "promise.get", ""),
    ],
)
def test_a_bad_envelope_is_described(body: object, said: str, kind: str, corr_id: str) -> None:
    """And what could be read of kind and corrId is there to be echoed."""
    error = refused(body)
    assert error.message.startswith(said)
    assert (error.kind, error.corr_id) == (kind, corr_id)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"kind": NaN}', b"[" * 5_000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """With a message of one line."""
    with pytest.raises(ProtocolError, match="the body is no JSON"):
        decode_request(body)


# --- Replies --------------------------------------------------------------------------------------

PROMISE = Promise("a", PromiseState.RESOLVED, 9, 1, Value({"h": "1"}), Value(None, "d"), {"k": "v"}, 5)
PENDING = Promise("b", PromiseState.PENDING, 9, 1)
TASK = Task("a", TaskState.ACQUIRED, 1, 2, 50, "p")
INNER = Reply("promise.create", ReplyHead("inner", 200), PromiseReply(PENDING))
SCHEDULE = Schedule("s", "* * * * *", "x", 5, 1, 60, Value(None, "d"), {"k": "v"}, 7)
SNAPSHOT = Snapshot(
    [PROMISE],
    [PromiseTimeout("b", 9)],
    [Callback("a", "b")],
    [Listener("b", "x")],
    [TASK],
    [TaskTimeout("a", 1, 50)],
    [OutgoingMessage("x", {"kind": "execute"})],
)


@pytest.mark.parametrize(
    ("kind", "status", "data"),
    [
        ("promise.get", 200, PromiseReply(PROMISE)),
        ("promise.search", 200, PromisePage([PROMISE, PENDING], "b")),
        ("promise.search", 200, PromisePage([])),
        ("task.get", 200, TaskReply(TASK)),
        ("task.acquire", 200, Acquired(TASK, PROMISE, [PENDING])),
        ("task.fence", 200, Fenced(INNER, [PROMISE])),
        ("task.fence", 200, Fenced(Reply("promise.settle", ReplyHead("inner", 404), "unknown"), [])),
        ("task.suspend", 200, Suspended()),
        ("task.suspend", 300, Suspended([PROMISE])),
        ("task.heartbeat", 200, Beaten()),
        ("task.heartbeat", 200, Beaten(["a"], [CancelledTask("b", 5)])),
        ("task.fence", 200, Fenced(INNER, [], 7)),
        ("task.suspend", 200, Suspended(cancelled_at=7)),
        ("task.halt", 200, Empty()),
        ("schedule.get", 200, ScheduleReply(SCHEDULE)),
        ("debug.snap", 200, SNAPSHOT),
        ("promise.get", 404, "the promise 'a' does not exist"),
    ],
)
def test_a_reply_survives_a_round_trip(kind: str, status: int, data: object) -> None:
    """Whatever its status: from 400 on the data is the message."""
    reply = Reply(kind, ReplyHead("c", status), data)
    request = request_from_wire(wire(kind, MINIMAL[kind]))
    assert decode_reply(encode_reply(reply), request) == reply
    assert (reply.status, reply.is_error) == (status, status >= 400)


def test_fields_without_a_value_are_left_out() -> None:
    """Never null: neither in records nor in pages."""
    reply = Reply("promise.search", ReplyHead("c", 200), PromisePage([PENDING]))
    data = orjson.loads(encode_reply(reply))["data"]
    assert data == {
        "promises": [
            {"id": "b", "state": "pending", "param": {}, "value": {}, "tags": {}, "timeoutAt": 9, "createdAt": 1}
        ]
    }
    task = converter.unstructure(Task("a", TaskState.PENDING, 0))
    assert task == {"id": "a", "state": "pending", "version": 0, "resumes": 0}
    assert "lastRunAt" not in converter.unstructure(Schedule("s", "c", "x", 5, 1, 60))
    assert converter.unstructure(Beaten()) == {}
    assert converter.unstructure(Suspended()) == {}
    assert converter.unstructure(Acquired(TASK, PENDING))["preload"] == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "the reply is no JSON"),
        (b"[]", "expected an object, got an array"),
        (
            b'{"kind": "promise.find", "head": {"corrId": "c", "status": 200, "version": "x"}, "data": {}}',
            "unknown kind 'promise.find'",
        ),
        (b'{"kind": "promise.get"}', "missing field head"),
        (
            b'{"kind": "promise.get", "head": {"corrId": "c", "status": 200, "version": "x"}, "data": {}}',
            "data.promise",
        ),
        (b'{"kind": "promise.get", "head": {"corrId": "c", "status": 404, "version": "x"}, "data": {}}', "string"),
        (
            b'{"kind": "promise.get", "head": {"corrId": "d", "status": 404, "version": "x"}, "data": ""}',
            "another",
        ),
        (b'{"kind": "task.get", "head": {"corrId": "c", "status": 404, "version": "x"}, "data": ""}', "another"),
    ],
)
def test_a_reply_that_is_none_or_anothers_is_refused(body: bytes, said: str) -> None:
    """A client must not take it for its own."""
    with pytest.raises(ProtocolError, match=said):
        decode_reply(body, Envelope(Head("c"), PromiseGet("a")))


# --- Messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        Execute("a", 3, "http://server"),
        Execute("a", 0),
        Execute("a", 0, cancelled_at=7),
        Unblock(PROMISE),
        Cancel("a", 3, 7),
    ],
)
def test_a_message_survives_a_round_trip(message: Message) -> None:
    """Every kind."""
    assert decode_message(orjson.dumps(message_to_wire(message))) == message


def test_messages_look_as_the_protocol_says() -> None:
    """The server's address in the head, the task in the data."""
    assert message_to_wire(Execute("a", 3, "http://server")) == {
        "kind": "execute",
        "head": {"serverUrl": "http://server"},
        "data": {"task": {"id": "a", "version": 3}},
    }
    assert message_to_wire(Execute("a", 3, "", 7))["data"] == {"task": {"id": "a", "version": 3, "cancelledAt": 7}}
    assert message_to_wire(Cancel("a", 3, 7)) == {
        "kind": "cancel",
        "head": {},
        "data": {"task": {"id": "a", "version": 3, "cancelledAt": 7}},
    }
    unblock = message_to_wire(Unblock(PENDING))
    assert (unblock["kind"], unblock["head"]) == ("unblock", {})


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"kind": "other", "head": {}, "data": {}}',
        '{"kind": "execute", "head": {}, "data": {}}',
        '{"kind": "execute", "head": {}, "data": {"task": {"id": "a"}}}',
        '{"kind": "execute", "head": {}, "data": {"task": {"id": "", "version": 1}}}',
        '{"kind": "execute", "head": [], "data": {"task": {"id": "a", "version": 1}}}',
        '{"kind": "unblock", "head": {}, "data": {"promise": {"id": "a"}}}',
        '{"kind": "unblock", "head": {}, "data": []}',
    ],
)
def test_a_bad_message_is_refused(body: str) -> None:
    """A worker passes over it, whoever sent it."""
    with pytest.raises(ProtocolError, match="the message is"):
        decode_message(body)


def test_requests_can_be_told_apart_by_type() -> None:
    """Reading gives attrs classes that compare by value."""
    heartbeat = read("task.heartbeat", MINIMAL["task.heartbeat"])
    assert isinstance(heartbeat, TaskHeartbeat)
    assert [(ref.id, ref.version) for ref in heartbeat.tasks] == [("a", 1)]
    assert isinstance(read("task.suspend", MINIMAL["task.suspend"]), TaskSuspend)
    assert read("debug.snap", {}) == DebugSnap()


@pytest.mark.parametrize("kind", [None, 1, [], {}, ["promise.create"]])
def test_an_inner_kind_of_another_type_is_named(kind: object) -> None:
    """What cannot be looked up is no kind either."""
    action = {"kind": kind, "head": HEAD, "data": {}}
    with pytest.raises(ProtocolError, match=r"data\.action: expected the kind promise\.create, got"):
        read("task.create", {"pid": "p", "ttl": 1, "action": action})


@pytest.mark.parametrize(
    ("kind", "head", "data"),
    [
        ("promise.get", {"corrId": "c", "version": "x" * 100_000}, {"id": "a"}),
        ("promise.get", HEAD, {"id": "x" * 100_000}),
        ("promise.create", HEAD, {"id": "a", "timeoutAt": 1, "tags": {"x" * 100_000: 1}}),
        ("promise.settle", HEAD, {"id": "a", "state": "x" * 100_000}),
    ],
)
def test_what_is_wrong_is_not_repeated_in_full(kind: str, head: object, data: object) -> None:
    """A message does not grow with what it complains about."""
    with pytest.raises(ProtocolError) as caught:
        request_from_wire({"kind": kind, "head": head, "data": data})
    assert len(caught.value.message) < 500


def test_a_refusal_that_could_not_tell_whose_it_is_is_the_requests() -> None:
    """A server that does not read a body, as it is too large, cannot echo what stands in it."""
    request = Envelope(Head("c"), PromiseGet("a"))
    body = b'{"kind":"","head":{"corrId":"","status":413,"version":"2026-04-01"},"data":"too large"}'
    reply = decode_reply(body, request)
    assert (reply.kind, reply.head.corr_id, reply.status, reply.data) == ("promise.get", "c", 413, "too large")
