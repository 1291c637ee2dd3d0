"""The model and the server as systems that are asked in the same way, and what their answers may differ in.

Three things are the server's own, so they are taken out before answers are compared: the wording of refusals,
the cursors of pages, and promises that a preload has beyond those it must have.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, final

import orjson

from resonate_trio.protocol import (
    DebugReset,
    DebugSnap,
    Envelope,
    Head,
    ProtocolError,
    Reply,
    ReplyHead,
    Request,
    ScheduleSearch,
    decode_request,
    encode_reply,
)
from server_ref.engine._turn import Turn
from server_ref.machine import OutgoingKey, Settings
from server_ref.store import Store

from .model import MESSAGE, Model
from .shapes import Wire
from .steps import HAND_OVER, LAST_CURSOR, Step
from .world import World

if TYPE_CHECKING:
    from server_ref.engine._turn import TurnResult

RETRY_INTERVAL_MS: Final = 700
SETTINGS: Final = Settings(retry_interval_ms=RETRY_INTERVAL_MS)
PROBES: Final[Sequence[Request]] = (DebugSnap(), ScheduleSearch(limit=1000))
"""What is asked after every step: all that is stored. The snapshot has everything but the schedules."""

Answers = tuple[Wire, ...]
"""The reply to a step, and those to the probes."""


@final
class Pages:
    """Puts the last cursor that a system gave into a request that asks for it."""

    def __init__(self) -> None:
        self._cursor: str | None = None

    def filled(self, envelope: Wire) -> Wire:
        """Return a request with a cursor of this system."""
        if envelope["data"].get("cursor") != LAST_CURSOR:
            return envelope
        return {**envelope, "data": {**envelope["data"], "cursor": self._cursor}}

    def plain(self, reply: Wire) -> Wire:
        """Keep the cursor of a reply, and return the reply with what all systems call it."""
        if type(reply["data"]) is not dict or "cursor" not in reply["data"]:
            return reply
        self._cursor = reply["data"]["cursor"]
        return {**reply, "data": {**reply["data"], "cursor": LAST_CURSOR}}


@final
class ModelSystem:
    """The model, asked as the server is."""

    def __init__(self, model: type[Model]) -> None:
        self.model = model(RETRY_INTERVAL_MS)
        self._pages = Pages()

    def perform(self, step: Step) -> Answers:
        """Perform a step."""
        if step.kind == HAND_OVER:
            self.model.world.hand_over(**step.data)
            reply: Wire = {}
        else:
            envelope = self._pages.filled(step.envelope)
            reply = self._pages.plain(self.model.perform(envelope, step.now, debug=step.debug))
        return tuple(_copy(answer) for answer in (reply, *self._probes(step.now)))

    def _probes(self, now: int) -> list[Wire]:
        probes = (Step(now, "debug.snap"), Step(now, "schedule.search", {"limit": 1000}))
        return [self.model.perform(probe.envelope, now) for probe in probes]


@final
class ServerSystem:
    """The server without its loop: every step is a turn over a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pages = Pages()

    def perform(self, step: Step) -> Answers:
        """Perform a step."""
        if step.kind == HAND_OVER:
            return ({}, *self._turn(step, [], [_key(step.data)]))
        try:
            envelope = decode_request(orjson.dumps(self._pages.filled(step.envelope)))
        except ProtocolError as error:
            reply = Reply(error.kind, ReplyHead(error.corr_id, 400), error.message)
            return (without_wording(reply), *self._turn(step, [], []))
        answer, *probes = self._turn(step, [envelope], [])
        return (self._pages.plain(answer), *probes)

    def reset(self) -> None:
        """Empty the store."""
        self._turn(Step(0, "debug.reset"), [Envelope(Head("c"), DebugReset())], [])

    def _turn(self, step: Step, requests: list[Envelope[Request]], handed: list[OutgoingKey]) -> list[Wire]:
        """Do something and then look, in one transaction if all of it is allowed."""
        probes: list[Envelope[Request]] = [Envelope(Head("c", debug_time=step.now), probe) for probe in PROBES]
        if not step.debug:
            return [*self._run(requests, handed, step.now, debug=False), *self._run(probes, [], step.now)]
        return self._run([*requests, *probes], handed, step.now)

    def _run(
        self, requests: list[Envelope[Request]], handed: list[OutgoingKey], now: int, *, debug: bool = True
    ) -> list[Wire]:
        turn = Turn(requests, handed, now, SETTINGS, debug=debug, is_paused=True, fires=False)
        result: TurnResult = self._store.transact(turn.run)
        return [without_wording(reply) for reply in result.replies]


def _key(message: Wire) -> OutgoingKey:
    if message["kind"] == "execute":
        return ("execute", message["id"], message["version"])
    return ("unblock", message["id"], message["address"])


def without_wording(reply: Reply) -> Wire:
    """Return a reply as it travels, with the wording of refusals taken out."""
    wire: Wire = orjson.loads(encode_reply(reply))
    data = wire["data"]
    _take_out_message(wire)
    if reply.kind == "task.fence" and not reply.is_error:
        _take_out_message(data["action"])
    return wire


def _take_out_message(reply: Wire) -> None:
    if reply["head"]["status"] >= 400:
        assert isinstance(reply["data"], str)
        assert reply["data"]
        reply["data"] = MESSAGE


def leave_out_extras(expected: Wire, given: Wire, world: World, now: int) -> None:
    """Take out of a preload what the model did not send, if it is true.

    A preload is a hint: a server may send more than it has to, but nothing that is wrong.
    """
    ours, theirs = expected.get("data"), given.get("data")
    if not (isinstance(ours, dict) and isinstance(theirs, dict) and "preload" in ours and "preload" in theirs):
        return
    theirs["preload"] = [
        promise
        for promise in theirs["preload"]
        if promise in ours["preload"] or promise != world.promise_at(promise["id"], now)
    ]


def _copy(answer: Wire) -> Wire:
    copy: Wire = orjson.loads(orjson.dumps(answer))
    return copy
