"""Answers of HTTP, put together from what is received."""

from collections.abc import Sequence
from typing import Final, TypeAlias, final

import httpcore
import httptools
from attrs import frozen

MAX_HEAD_BYTES: Final = 64 * 1024
"""How large the head of an answer may be, about: beyond that whatever answers is no server of ours."""
LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})
"""The headers that say where a body ends."""
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


@final
@frozen
class Answer:
    """What the server answered. The names of its headers are in lower case."""

    status: int
    headers: Headers
    content: bytes

    def header(self, wanted: bytes) -> str:
        """Return a header, empty if there is none."""
        return ", ".join([value.decode("latin-1") for name, value in self.headers if name == wanted])


@final
class AnswerReader:
    """Reads the answers on one connection, one after the other. Its parser calls the methods `on_…`.

    Attributes:
        answer: the answer that was expected last, None until it is complete.
        is_kept: whether the connection can be used on: the server keeps it, and sent nothing beyond that answer.
    """

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.is_kept = False
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._has_head = False
        self._head_bytes = 0

    def expect(self) -> None:
        """Begin to wait for an answer."""
        self.answer, self._headers, self._parts = None, [], []
        self._has_head, self._head_bytes = False, 0

    def feed(self, received: bytes) -> None:
        """Take in what was received, nothing at the end of the connection.

        Raises:
            httpcore.RemoteProtocolError: it is no HTTP, or the connection has ended too early.
        """
        if received:
            try:
                self._parser.feed_data(received)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                raise httpcore.RemoteProtocolError(f"the answer is no HTTP: {error}") from error
            self._head_bytes += 0 if self._has_head else len(received)
            if self._head_bytes > MAX_HEAD_BYTES:
                raise httpcore.RemoteProtocolError(f"the head of the answer exceeds {MAX_HEAD_BYTES} bytes")
        elif self._has_head and LENGTHS.isdisjoint([name for name, _ in self._headers]):
            self._complete()
        else:
            raise httpcore.RemoteProtocolError("the server closed the connection without a complete answer")

    def _complete(self) -> None:
        self.answer = Answer(self._parser.get_status_code(), self._headers, b"".join(self._parts))

    # --- What the parser finds ------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Take in that there is an answer, or with the last one complete, something that answers nothing."""
        self.is_kept = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header."""
        if self.answer is None:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Take in the end of the head."""
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        """Take in a part of the body."""
        if self.answer is None:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """Take in the end of an answer. If it only announces another one, that is waited for."""
        if self.answer is not None:
            return
        if self._parser.get_status_code() < 200:
            self.expect()
        else:
            self._complete()
            self.is_kept = self._parser.should_keep_alive()
