"""Operations of the protocol, and the model as what they are checked against."""

import pickle
from collections.abc import Iterable, Sequence
from typing import Final, final

from attrs import frozen

from tests.model.model import Model
from tests.model.shapes import Wire
from tests.model.world import World

from .checker import Call

RETRY_INTERVAL_MS: Final = 5_000
ORIGIN: Final = "resonate:origin"
DEBUG_TIME: Final = "resonate:debug_time"

History = Sequence[Call["Operation"]]


@final
@frozen
class Operation:
    """A request, and its reply; None if none came. The search needs its instant, a `resonate:debug_time`."""

    request: Wire
    reply: Wire | None

    def __str__(self) -> str:
        reply = "no reply" if self.reply is None else f"{self.reply['head']['status']} {self.reply['data']}"
        kind, head, data = self.request["kind"], self.request["head"], self.request["data"]
        return f"{head['corrId']} at {head.get(DEBUG_TIME, 'no known instant')}: {kind} {data} → {reply}"


def plain(reply: Wire) -> Wire:
    """Return a reply without what a server may choose: the wording of messages, and what it sends ahead."""
    data, head = reply["data"], reply["head"]
    if head["status"] >= 400:
        data = "a message"
    elif isinstance(data, dict):
        data = {name: value for name, value in data.items() if name != "preload"}
        if "action" in data:
            data["action"] = plain(data["action"])
    return {"kind": reply["kind"], "head": head, "data": data}


@final
class ModelSpecification:
    """The model of tests/model, its state pickled: so it can be kept, compared, and gone back to."""

    def __init__(self) -> None:
        self.initial = pickle.dumps(World(RETRY_INTERVAL_MS))

    def after(self, state: bytes, operation: Operation) -> bytes | None:
        """Perform an operation in the model; None if its reply is not the one that came."""
        model = Model(RETRY_INTERVAL_MS)
        model.world = pickle.loads(state)
        request, given = operation.request, operation.reply
        expected = model.perform(request, request["head"][DEBUG_TIME])
        if given is not None and plain(expected) != plain(given):
            return None
        return pickle.dumps(model.world)


def by_origin(history: Iterable[Call[Operation]]) -> dict[str, list[Call[Operation]]]:
    """Take a history apart, by the origin that each request names. Those without one are about them all."""
    about_all: list[Call[Operation]] = []
    parts: dict[str, list[Call[Operation]]] = {}
    for call in history:
        origin = call.operation.request["head"].get(ORIGIN)
        (about_all if origin is None else parts.setdefault(origin, [])).append(call)
    return {origin: _during(about_all, part) + part for origin, part in parts.items()}


def _during(about_all: Iterable[Call[Operation]], part: History) -> list[Call[Operation]]:
    """Leave out what was over before anything existed, or came when nobody looked any more."""
    first = min(call.called_at for call in part)
    last = max(call.called_at if call.returned_at is None else call.returned_at for call in part)
    return [
        call
        for call in about_all
        if call.called_at < last and (call.returned_at is None or call.returned_at > first)
    ]
