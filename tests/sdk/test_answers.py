"""Answers of HTTP: whole, byte by byte, with more behind them, and none."""

import httpcore
import pytest

from resonate_trio._transport._answers import Answer, AnswerReader

PLAIN = b"HTTP/1.1 200 OK\r\nX-A: 1\r\ncontent-length: 3\r\n\r\nabc"
CHUNKS = b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\nx-late: 1\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nx-a: 1\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS
CLOSING = b"HTTP/1.1 200 OK\r\nx-a: 1\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc"
ANNOUNCED = b"HTTP/1.1 100 Continue\r\nx-a: 0\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + PLAIN
ENDLESS = b"HTTP/1.0 200 OK\r\nx-a: 1\r\n\r\nabc"


def read(reader: AnswerReader, received: bytes, size: int) -> Answer | None:
    """Return what comes of what is received in portions of a size."""
    reader.expect()
    for start in range(0, len(received), size):
        reader.feed(received[start : start + size])
    return reader.answer


def read_to_the_end(received: bytes) -> None:
    """Read what is received byte by byte until the connection ends. There is no answer before."""
    reader = AnswerReader()
    assert read(reader, received, 1) is None
    reader.feed(b"")


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("received", "is_kept"),
    [(PLAIN, True), (CHUNKED, True), (CLOSING, False), (ANNOUNCED, True)],
    ids=["plain", "chunked", "closing", "announced"],
)
def test_answer_may_come_in_any_portions(received: bytes, is_kept: bool, size: int) -> None:
    """And so may the next one, if there may be one."""
    reader = AnswerReader()
    for _ in range(1 + is_kept):
        answer = read(reader, received, size)
        assert answer is not None
        assert (answer.status, answer.header(b"x-a"), answer.content) == (200, "1", b"abc")
        assert reader.is_kept == is_kept


def test_header_that_comes_twice_is_one_list() -> None:
    """As HTTP has it; one that does not come is empty."""
    answer = read(AnswerReader(), PLAIN.replace(b"\r\n\r\n", b"\r\nx-a: 2\r\n\r\n"), 1000)
    assert answer is not None
    assert (answer.header(b"x-a"), answer.header(b"x-b")) == ("1, 2", "")


def test_answer_without_a_length_lasts_until_the_end() -> None:
    """Old proxies do that."""
    reader = AnswerReader()
    assert read(reader, ENDLESS, 1) is None
    reader.feed(b"")
    assert reader.answer is not None
    assert (reader.answer.content, reader.is_kept) == (b"abc", False)


@pytest.mark.parametrize("more", [PLAIN, PLAIN[:20], b"x"], ids=["an answer", "a part of one", "anything"])
def test_more_than_an_answer_is_no_part_of_it(more: bytes) -> None:
    """It comes from a server that is not to be asked again on this connection."""
    reader = AnswerReader()
    try:
        answer = read(reader, PLAIN + more, 1000)
    except httpcore.RemoteProtocolError:
        assert more == b"x"
    else:
        assert answer is not None
        assert (answer.content, reader.is_kept) == (b"abc", False)


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"HTTP/1.1 200",
        PLAIN[:-1],
        CHUNKED[:-2],
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ],
    ids=[
        "nothing",
        "a status",
        "a part",
        "no last chunk",
        "no head",
        "an announcement",
        "ssh",
        "length",
        "upgrade",
    ],
)
def test_what_is_no_answer_is_an_error(received: bytes) -> None:
    """Whether it ends too early or is something else."""
    with pytest.raises(httpcore.RemoteProtocolError, match=r"closed the connection|no HTTP"):
        read_to_the_end(received)


def test_head_without_an_end_is_refused() -> None:
    """It would fill the memory. A large body does not count."""
    reader = AnswerReader()
    with pytest.raises(httpcore.RemoteProtocolError, match="head of the answer exceeds 65536 bytes"):
        read(reader, b"HTTP/1.1 200 OK\r\n" + b"x-a: 1\r\n" * 10_000, 1000)
    large = b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"a" * 200_000
    answer = read(AnswerReader(), large, 100_000)
    assert answer is not None
    assert len(answer.content) == 200_000
