"""The machine: what is refused with 400, whatever the state."""

import pytest

from resonate_trio.protocol import (
    Envelope,
    PromiseCreate,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    Request,
    ScheduleCreate,
    ScheduleReply,
    TaskFence,
    TaskFulfill,
    TaskSuspend,
)

from .machine_kit import FAR, GROUP, TARGET, TIMER, Machine, create, head, suspend, task_create

ORIGIN, BRANCH, PARENT = "resonate:origin", "resonate:branch", "resonate:parent"


@pytest.fixture
def machine() -> Machine:
    """Give an empty machine: where 400 comes back, it has won over 404."""
    return Machine()


def fence(action: PromiseCreate | PromiseSettle) -> TaskFence:
    """Return a fence of the task `root`."""
    return TaskFence("root", 1, Envelope(head(), action))


BAD_TAGS = [
    ({"resonate:target": "nowhere"}, "resonate:target"),
    ({"resonate:target": ""}, "resonate:target"),
    ({"resonate:target": "poll://uni@group"}, "resonate:target"),
    ({"resonate:target": "nowhere", **TIMER}, "resonate:target"),
    ({"resonate:delay": "5"}, "without the tag resonate:target"),
    ({**TARGET, "resonate:delay": ""}, "resonate:delay"),
    ({**TARGET, "resonate:delay": "-1"}, "resonate:delay"),
    ({**TARGET, "resonate:delay": "1.5"}, "resonate:delay"),
    ({**TARGET, "resonate:delay": "soon"}, "resonate:delay"),
    ({**TARGET, "resonate:delay": "²"}, "resonate:delay"),
    ({**TARGET, "resonate:delay": "9" * 5_000}, "resonate:delay"),
    ({**TARGET, "resonate:delay": str(FAR)}, "not before the deadline"),
    ({ORIGIN: "other"}, ORIGIN),
    ({ORIGIN: "ro"}, ORIGIN),
    ({ORIGIN: ""}, ORIGIN),
    ({ORIGIN: "root:1"}, "contains a ':'"),
    ({BRANCH: "root:2"}, BRANCH),
    ({PARENT: "root:1.2.3"}, PARENT),
]


@pytest.mark.parametrize(("tags", "said"), BAD_TAGS)
def test_bad_tags_are_refused(machine: Machine, tags: dict[str, str], said: str) -> None:
    """Alone and inside a fence, and the message names the tag."""
    request = create("root:1.2", tags)
    assert said in machine.refused(400, request)
    assert said in machine.refused(400, fence(request))


@pytest.mark.parametrize(
    ("id", "tags"),
    [
        ("root", {ORIGIN: "root", BRANCH: "root", PARENT: "root"}),
        ("root:1.2", {ORIGIN: "root", BRANCH: "root:1.2", PARENT: "root:1"}),
        ("root:1.2", {ORIGIN: "root", BRANCH: "root"}),
        ("root.1.2", {ORIGIN: "root", BRANCH: "root.1", PARENT: "root.1"}),
        ("a.b:1", {ORIGIN: "a.b", PARENT: "a.b"}),
        ("a.b.1", {ORIGIN: "a"}),
        ("root", {**TARGET, "resonate:delay": str(FAR - 1)}),
        ("root", {**TARGET, **TIMER, "resonate:delay": "0"}),
    ],
)
def test_good_tags_are_taken(machine: Machine, id: str, tags: dict[str, str]) -> None:
    """Both dialects of ids, and a delay before the deadline."""
    assert machine.ok(create(id, tags), PromiseReply).promise.tags == tags


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({}, "resonate:target"),
        (TIMER, "resonate:target"),
        ({**TARGET, **TIMER}, "timer"),
        ({**TARGET, "resonate:delay": "5"}, "delay"),
        ({"resonate:target": "nowhere"}, "nowhere"),
        ({**TARGET, ORIGIN: "other"}, ORIGIN),
    ],
)
def test_a_task_that_cannot_be_acquired_at_once_is_refused(
    machine: Machine, tags: dict[str, str], said: str
) -> None:
    """task.create needs a target, and neither a delay nor a timer."""
    assert said in machine.refused(400, task_create("root", tags))


@pytest.mark.parametrize(
    "request_",
    [
        fence(create("root")),
        fence(PromiseSettle("root", PromiseState.RESOLVED)),
        suspend("root"),
        suspend("root", "root"),
        suspend("root", "root:1", "root:2", "root:1"),
        TaskSuspend("root", 1, suspend("other", "root:1").actions),
        TaskFulfill("root", 1, Envelope(head(), PromiseSettle("other", PromiseState.RESOLVED))),
    ],
)
def test_actions_that_do_not_fit_their_task_are_refused(machine: Machine, request_: Request) -> None:
    """400 although the task does not exist."""
    machine.refused(400, request_)


def schedule(
    *, cron: str = "* * * * *", promise_id: str = "{{.id}}.{{.timestamp}}", tags: dict[str, str] | None = None
) -> ScheduleCreate:
    """Return a schedule.create."""
    return ScheduleCreate("s", cron, promise_id, 60_000, dict(TARGET) if tags is None else tags)


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "x",
        "* * * *",
        "* * * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "@hourly",
        "R * * * *",
        "H * * * *",
    ],
)
def test_a_bad_cron_expression_is_refused(machine: Machine, cron: str) -> None:
    """The message says that it is the expression."""
    assert machine.refused(400, schedule(cron=cron)).startswith("cron: ")


def test_a_cron_expression_that_is_too_long_is_refused(machine: Machine) -> None:
    """It would be read anew for every instant. The message does not repeat it in full."""
    assert len(machine.refused(400, schedule(cron="1-59/1," * 100_000 + "1 * * * *"))) < 200


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "0 0 0 1 1 * 1970"])
def test_a_cron_expression_that_never_fires_is_refused(machine: Machine, cron: str) -> None:
    """It is well-formed, and matches no day, or only past ones."""
    assert "no instant" in machine.refused(400, schedule(cron=cron))


@pytest.mark.parametrize("cron", ["*/5 9-17 * JAN,MAR MON-FRI", "30 0 0 * * *", "0 0 0 1 1 * 2000-2090"])
def test_five_six_and_seven_fields_are_taken(machine: Machine, cron: str) -> None:
    """Leading seconds with six, and trailing years with seven."""
    assert machine.ok(schedule(cron=cron), ScheduleReply).schedule.cron == cron


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (schedule(tags={}), "resonate:target"),
        (schedule(tags={"resonate:target": "nowhere"}), "nowhere"),
        (schedule(tags={**TARGET, "resonate:delay": "5"}), "delay"),
        (schedule(promise_id="s:{{.timestamp}}"), "':'"),
        (schedule(promise_id="x" * 1_010 + "{{.timestamp}}"), "longer than 1024"),
    ],
)
def test_a_schedule_of_impossible_promises_is_refused(machine: Machine, request_: Request, said: str) -> None:
    """What would be refused at every firing is refused when the schedule is made."""
    assert said in machine.refused(400, request_)


def test_400_goes_before_the_idempotent_reply(machine: Machine) -> None:
    """A malformed request is refused although the promise exists."""
    machine.create("a")
    machine.refused(400, create("a", {"resonate:target": "nowhere"}))
    assert machine.promise("a").tags == {"resonate:target": GROUP}
