"""One step of a history, and how a history is written down as a script that repeats it."""

from collections.abc import Iterable
from typing import Final, final

from attrs import Factory, frozen

from .shapes import VERSION, Wire

HAND_OVER: Final = "hand over"
"""The kind of a step that is no request: a message of the outbox reaches its receiver."""
LAST_CURSOR: Final = "the last cursor"
"""Stands for the cursor of the last page that was given: every system has cursors of its own."""


@final
@frozen
class Step:
    """A request at an instant, or a message handed over.

    Attributes:
        now: the instant (ms).
        kind: of the request, or `HAND_OVER`.
        data: of the request, or `kind`, `id` and `address` of the message.
        version: the version of the protocol that the request names.
        debug: whether the server is in debug mode.
    """

    now: int
    kind: str
    data: Wire = Factory(dict)
    version: str = VERSION
    debug: bool = True

    @property
    def envelope(self) -> Wire:
        """The request as it travels."""
        head = {"corrId": "c", "version": self.version, "resonate:debug_time": self.now}
        return {"kind": self.kind, "head": head, "data": self.data}

    def __str__(self) -> str:
        named = {"version": VERSION, "debug": True}
        changed = [f"{n}={getattr(self, n)!r}" for n, usual in named.items() if getattr(self, n) != usual]
        return f"Step({', '.join([str(self.now), repr(self.kind), repr(self.data), *changed])})"


def script(steps: Iterable[Step], model: type) -> str:
    """Write a Python script that repeats a history from the start: run it in the root of the project."""
    lines = "".join(f"    {step},\n" for step in steps)
    return (
        f"from {model.__module__} import {model.__name__}\n"
        "from tests.model.replay import replay\n"
        "from tests.model.steps import Step\n"
        "\n"
        f"STEPS = [\n{lines}]\n"
        "\n"
        f"replay(STEPS, {model.__name__})\n"
    )
