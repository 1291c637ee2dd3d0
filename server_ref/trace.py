"""A trace: every request that was performed and its reply, in order of commit, for a checker to go through.

A trace is a file of lines, each a JSON object: `kind`, `now` (ms, the instant at which the request was
performed), `req` (its data) and `res` (the whole reply). A refused request has its line too; one that was
answered with 500 or 503 has none, as it changed nothing, nor has one that was malformed.

What the server does by itself is no request. The instants at which it did so since the line before are in
`ticks`, each the same as a `debug.tick` for that instant. So this repeats a trace on any server, and gives
the same replies: for each line, `debug.tick` for each of its ticks, then the request at `now`. (Handed-over
messages are left out; nothing but `debug.snap` shows them.)

Lines are written after the commit and before the replies. What was acknowledged is in the trace even if the
server was killed right after; the last turn before the kill can be in the store alone. A trace is not synced:
a computer that loses its power may lose its end, and cut a line.
"""

import logging
import os
from collections.abc import Iterable
from io import FileIO
from itertools import starmap
from pathlib import Path
from typing import Any, final

import orjson

from resonate_trio.protocol import Envelope, Reply, Request, converter, encode_reply

logger = logging.getLogger(__name__)


@final
class Trace:
    """A trace being written. Open it with `open_trace`."""

    def __init__(self, file: FileIO) -> None:
        self._file: FileIO | None = file
        self._ticks: list[int] = []

    def record(self, performed: Iterable[tuple[int, Envelope[Request], Reply]]) -> None:
        """Write what was performed: instants, requests and replies.

        It never fails, as what it is told has been committed: when the file can no longer be written, the
        trace ends there, and the log says so.
        """
        if self._file is None:
            return
        try:
            _write(self._file, b"".join(starmap(self._line, performed)))
        except OSError as error:
            logger.error("the trace ends here, as %s cannot be written: %s", self._file.name, error.strerror)
            self.close()

    def note_tick(self, now: int) -> None:
        """Note that all that was due at `now` has been done, after what was recorded last."""
        if self._file is not None:
            self._ticks.append(now)

    def close(self) -> None:
        """End the trace. To end it again does nothing."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _line(self, now: int, request: Envelope[Request], reply: Reply) -> bytes:
        line: dict[str, object] = {"kind": request.kind, "now": now}
        if self._ticks:
            line["ticks"], self._ticks = self._ticks, []
        line["req"] = _without_tokens(converter.unstructure(request.data))
        line["res"] = orjson.Fragment(encode_reply(reply))
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def open_trace(path: Path) -> Trace:
    """Open the file at `path` to add to what is there; it is created if there is none.

    A line that was cut by a crash is ended, so that it spoils no other.

    Raises:
        OSError: it cannot be written.
    """
    file = FileIO(os.fspath(path), "a+")
    try:
        end = file.seek(0, os.SEEK_END)
        if end and os.pread(file.fileno(), 1, end - 1) != b"\n":
            _write(file, b"\n")
    except BaseException:
        file.close()
        raise
    return Trace(file)


def _write(file: FileIO, lines: bytes) -> None:
    """Write all of it: a disk that fills up takes a part, and refuses the rest."""
    rest = memoryview(lines)
    while rest:
        rest = rest[file.write(rest) :]


def _without_tokens(data: dict[str, Any]) -> dict[str, Any]:
    """Take the tokens out of requests within a request."""
    for inner in (data.get("action"), *data.get("actions", ())):
        if inner is not None:
            inner["head"].pop("auth", None)
    return data
