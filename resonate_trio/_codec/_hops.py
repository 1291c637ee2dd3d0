"""The way an error has come: the invocations that it passed through, and what was running in each."""

import traceback
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Final, Self, final

from attrs import frozen

MAX_TRACE: Final = 8192
# Who called a function there, and what read the error it passed on, is no news to anybody.
_MACHINERY: Final = frozenset({"resonate_trio", "trio", "outcome"})


@final
@frozen
class Hop:
    """An invocation that an error was raised in, or passed through.

    Attributes:
        id: its promise.
        worker: who executed it, as `group/pid`; None if nobody knows.
        trace: the frames there, as Python prints them; or whatever another client has written.
    """

    id: str
    worker: str | None = None
    trace: str = ""


@final
class ReadNote(str):  # ruff: ignore[subclass-builtin]
    """The note that reading adds to an error (`add_note` takes only a str).

    It is not written again as a note: the hops that it tells of are.
    """

    __slots__ = ("hops",)

    hops: Sequence[Hop]

    @classmethod
    def of(cls, hops: Sequence[Hop]) -> Self:
        """Return the note that tells of these hops, the first of which has heard of the error last."""
        note = cls(told(hops))
        note.hops = tuple(hops)
        return note


def told(hops: Sequence[Hop]) -> str:
    """Return the hops as text. As in a traceback, callers come first."""
    parts = []
    for hop in hops:
        verb = "Raised" if hop is hops[-1] else "Passed on"
        worker = f" in the worker {hop.worker}" if hop.worker else ""
        end = f":\n{hop.trace.rstrip()}" if hop.trace.strip() else "."
        parts.append(f"{verb} by the invocation {hop.id!r}{worker}{end}")
    return "\n".join(parts)


def hops_of(error: BaseException) -> Sequence[Hop]:
    """Return the way that an error had come when it was read here; nothing if it was raised here."""
    notes = getattr(error, "__notes__", None)
    if not isinstance(notes, list):
        return ()
    return next((note.hops for note in notes if isinstance(note, ReadNote)), ())


def trace_of(error: BaseException, *, was_read: bool) -> str:
    """Return the frames that an error has come through in this process, as text; at the most, the last of them.

    Args:
        error: the exception.
        was_read: whether it comes from elsewhere; then it is of no interest where we have read it.
    """
    tb = _from_program(error.__traceback__)
    # A failure of our own is told whole. What was read, and groups, are only passed on or put together by us.
    is_ours = not was_read and not isinstance(error, BaseExceptionGroup)
    if tb is None and is_ours:
        tb = error.__traceback__
    frames = [frame for frame, _ in traceback.walk_tb(tb)]
    while not is_ours and frames and _is_machinery(frames[-1]):
        frames.pop()
    return shortened_front("".join(traceback.format_tb(tb, limit=len(frames))), MAX_TRACE)


def shortened_front(text: str, size: int) -> str:
    """Return the end of a text: of a traceback that is what was raised."""
    return text if len(text) <= size else f"…{text[-size:]}"


def _from_program(tb: TracebackType | None) -> TracebackType | None:
    while tb is not None and _is_machinery(tb.tb_frame):
        tb = tb.tb_next
    return tb


def _is_machinery(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    return isinstance(name, str) and name.partition(".")[0] in _MACHINERY
