"""The conversation with a server: what is tried again, for how long, and what is raised in the end."""

import logging
import math
import random
from typing import Self, final

import anyio
import pytest
import trio
from attrs import define, field

from resonate_trio import (
    AuthenticationError,
    PermissionDeniedError,
    RequestRefusedError,
    ServerError,
    ServerUnreachableError,
)
from resonate_trio._clock import Clock, SystemClock
from resonate_trio._execution import HeldTask, Lease, LeaseLost
from resonate_trio._sources import Source, Terms
from resonate_trio._transport import Link, Unreachable, accepted
from resonate_trio.protocol import (
    Empty,
    Envelope,
    PromiseGet,
    PromiseReply,
    ProtocolError,
    Reply,
    ReplyHead,
    Request,
    Task,
    TaskHeartbeat,
    TaskState,
)

from .kit import in_virtual_time

pytestmark = in_virtual_time

BEAT = TaskHeartbeat("pid", [])


@final
@define
class Script:
    """A transport that plays a script: statuses to answer with, errors to raise; at the end it answers 200."""

    steps: list[int | Exception] = field(factory=list)
    sent: list[tuple[float, Envelope[Request]]] = field(factory=list)
    name: str = "the script"
    clock: Clock = field(factory=SystemClock)
    shares_fate: bool = False
    extensions: frozenset[str] = frozenset()

    async def send(self, request: Envelope[Request]) -> Reply:
        """Do what the script says next."""
        await anyio.lowlevel.checkpoint()
        self.sent.append((anyio.current_time(), request))
        step = self.steps.pop(0) if self.steps else 200
        if isinstance(step, Exception):
            raise step
        data: object = "why" if step >= 400 else Empty()
        return Reply(request.kind, ReplyHead(request.head.corr_id, step), data)

    def source(self, group: str, pid: str, terms: Terms | None = None) -> Source:
        """Return nothing: there are no messages here."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    @property
    def times(self) -> list[float]:
        """When something was sent."""
        return [at for at, _ in self.sent]


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every delay be as long as it may be."""

    def longest(low: float, high: float) -> float:
        return high

    monkeypatch.setattr(random, "uniform", longest)


# --- Heads --------------------------------------------------------------------------------------------


async def test_every_request_has_an_id_of_its_own_and_the_token() -> None:
    """Replies are told apart by it; the origin is a hint for routing."""
    script = Script()
    link = Link(script, token="secret")
    for _ in range(2):
        await link.ask(BEAT, origin="o")
    heads = [envelope.head for _, envelope in script.sent]
    assert heads[0].corr_id != heads[1].corr_id
    assert {(head.auth, head.origin, head.version) for head in heads} == {("secret", "o", "2026-04-01")}


# --- Tries --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_jitter")
async def test_delays_double_up_to_a_cap() -> None:
    """From 50 ms to 1 s, as long as the server cannot be reached."""
    script = Script([Unreachable("gone")] * 10)
    await Link(script).ask(BEAT, patience=math.inf)
    delays = [later - earlier for earlier, later in zip(script.times, script.times[1:], strict=False)]
    assert delays == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1, 1])


@pytest.mark.parametrize("status", [429, 503])
async def test_server_that_is_busy_is_asked_again(status: int) -> None:
    """429 and 503 mean later."""
    script = Script([status, status])
    reply = await Link(script).ask(BEAT)
    assert (reply.status, len(script.sent)) == (200, 3)


async def test_patience_ends_with_a_last_try() -> None:
    """Not sooner than it says, and not later; the error tells for how long was tried, and what to check."""
    script = Script([Unreachable("gone")] * 1000)
    with pytest.raises(ServerUnreachableError, match=r"the script for 30\.0 seconds.*RESONATE_URL") as raised:
        await Link(script, patience=30).ask(BEAT)
    assert raised.value.seconds == pytest.approx(30)
    assert script.times[-1] == pytest.approx(30)


async def test_no_patience_is_one_try() -> None:
    """With patience 0 the first failure is the last."""
    script = Script([Unreachable("gone")] * 2)
    with pytest.raises(ServerUnreachableError):
        await Link(script).ask(BEAT, patience=0)
    assert len(script.sent) == 1


async def test_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line per outage, whatever the number of tries and of requests; the next outage is logged again."""
    script = Script([Unreachable("gone")] * 30)
    link = Link(script, patience=math.inf)
    with caplog.at_level(logging.WARNING):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(link.ask, BEAT)
        assert [record.getMessage() for record in caplog.records] == [
            "the script cannot be reached (gone); trying again until it is back"
        ]
        script.steps = [Unreachable("gone again")]
        await link.ask(BEAT)
    assert len(caplog.records) == 2


# --- Statuses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (401, AuthenticationError, "why.*RESONATE_TOKEN"),
        (403, PermissionDeniedError, r"task\.heartbeat: why"),
        (500, ServerError, r"status 500: task\.heartbeat: why"),
        (501, ServerError, "status 501"),
        (ProtocolError("no JSON"), ServerError, "the script does not speak our protocol: no JSON"),
    ],
    ids=["401", "403", "500", "501", "no protocol"],
)
async def test_failure_of_the_server_is_raised(
    step: int | Exception, error: type[Exception], message: str
) -> None:
    """At once: trying again would change nothing."""
    script = Script([step])
    with pytest.raises(error, match=message):
        await Link(script).ask(BEAT)
    assert len(script.sent) == 1


async def test_refusal_is_a_reply() -> None:
    """A status below 500 is for the caller to judge; `accepted` raises it."""
    reply = await Link(Script([409])).ask(BEAT)
    assert reply.status == 409
    with pytest.raises(RequestRefusedError, match=r"task\.heartbeat was refused with status 409: why") as raised:
        accepted(reply, Empty)
    assert (raised.value.status, raised.value.kind, raised.value.detail) == (409, "task.heartbeat", "why")


async def test_reply_of_another_class_is_a_bug() -> None:
    """`accepted` checks what it returns."""
    reply = await Link(Script()).ask(BEAT)
    with pytest.raises(TypeError, match="read as Empty, not as PromiseReply"):
        accepted(reply, PromiseReply)


# --- Cancellation -------------------------------------------------------------------------------------


async def test_request_can_be_cancelled_between_tries() -> None:
    """Nothing is sent after that."""
    script = Script([Unreachable("gone")] * 1000)
    with trio.move_on_after(7) as scope:
        await Link(script).ask(PromiseGet("a"), patience=math.inf)
    sent = len(script.sent)
    await trio.sleep(30)
    assert scope.cancelled_caught
    assert len(script.sent) == sent


# --- A task that is held --------------------------------------------------------------------------------


async def test_held_task_is_lost_when_its_lease_ends_before_the_server_answers() -> None:
    """Requests for it are tried for as long as it is ours, and no longer."""
    script = Script([Unreachable("gone")] * 1000)
    held = HeldTask(Link(script), Task("a", TaskState.ACQUIRED, 1), Lease(3))
    with pytest.raises(LeaseLost, match="before the lease of 'a' ended"):
        await held.read("a:1")
    assert trio.current_time() == pytest.approx(3)
    assert repr(held) == "<HeldTask 'a' at version 1, <Lease until 3>>"


@pytest.mark.parametrize("status", [404, 409])
async def test_held_task_is_lost_when_the_server_says_so(status: int) -> None:
    """It is gone, or somebody else has it."""
    held = HeldTask(Link(Script([status])), Task("a", TaskState.ACQUIRED, 1), Lease())
    with pytest.raises(LeaseLost, match="why"):
        await held.release()
