"""What we have changed in uvicorn's connections."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest

from server_ref._uvicorn import FLUSH_BYTES, _Transport

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Transport  # ruff: ignore[banned-api]


class Loop:
    """Runs callbacks when it is told to."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Note a callback."""
        self.callbacks.append(callback)

    def go_on(self) -> None:
        """Run what is noted."""
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()


class Inner:
    """Keeps what is written; raises when it is closed, as the transports of uvloop do."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """Keep it."""
        assert not self.is_closed
        self.written.append(data)

    def is_closing(self) -> bool:
        """Tell whether it is closed."""
        return self.is_closed

    def close(self) -> None:
        """Close it."""
        self.is_closed = True

    def get_extra_info(self, name: str) -> Any:
        """Return what it was asked for."""
        return name


@pytest.fixture
def loop() -> Loop:
    """Give a loop."""
    return Loop()


@pytest.fixture
def inner() -> Inner:
    """Give a transport."""
    return Inner()


@pytest.fixture
def transport(loop: Loop, inner: Inner) -> _Transport:
    """Give one of ours over it."""
    return _Transport(cast("Transport", inner), cast("AbstractEventLoop", loop))


def test_an_answer_leaves_in_one_piece(transport: _Transport, loop: Loop, inner: Inner) -> None:
    """When it is complete, or when the event loop goes on; each time what was written since."""
    transport.write(b"head ")
    transport.write(b"body")
    assert inner.written == []
    transport.flush()
    assert inner.written == [b"head body"]
    loop.go_on()
    assert inner.written == [b"head body"]
    transport.write(b"of a ")
    transport.write(b"stream")
    loop.go_on()
    assert inner.written == [b"head body", b"of a stream"]


def test_what_is_much_is_written_at_once(transport: _Transport, inner: Inner) -> None:
    """So that the sender is held back when the client does not read."""
    half = b"x" * (FLUSH_BYTES // 2)
    for _ in range(3):
        transport.write(half)
    assert inner.written == [half * 3]


def test_closing_writes_what_is_left(transport: _Transport, loop: Loop, inner: Inner) -> None:
    """And what comes later is dropped, without an error."""
    transport.write(b"the end")
    transport.close()
    transport.write(b"too late")
    loop.go_on()
    assert (inner.written, inner.is_closed) == ([b"the end"], True)
    assert transport.get_extra_info("peername") == "peername"
