"""How much a client may ask for, and how much all of them together."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, final

from attrs import define, field, frozen, validators

from resonate_trio.protocol import MAX_ID_LENGTH, Batch, Request
from server_ref.contents import ids_of, tags_of
from server_ref.refusal import Refusal

MIB: Final = 1024 * 1024
TRY_AGAIN: Final = {"retry-after": "1"}

_positive: Final[Any] = validators.gt(0)  # of integers and of seconds


@final
@frozen
class Limits:
    """What is more than this is refused, with the status in brackets.

    Attributes:
        body_bytes: of one request (413).
        receive_timeout: seconds that a request may take to arrive, its head and its body each (408).
        id_length: characters of an id (400).
        tags: of one promise, or of one filter (400).
        batch: requests of one batch (413).
        polls: open streams of messages (503).
        requests: being received or performed at a time (503).
        request_bytes: of the bodies of all these requests (503).
    """

    body_bytes: int = field(default=8 * MIB, validator=_positive)
    receive_timeout: float = field(default=30.0, validator=_positive)
    id_length: int = field(default=MAX_ID_LENGTH, validator=[_positive, validators.le(MAX_ID_LENGTH)])
    tags: int = field(default=64, validator=_positive)
    batch: int = field(default=1_000, validator=_positive)
    polls: int = field(default=10_000, validator=_positive)
    requests: int = field(default=1_000, validator=_positive)
    request_bytes: int = field(default=256 * MIB, validator=_positive)

    def check(self, request: Request) -> None:
        """Refuse a request that holds too long an id, too many tags, or too many requests."""
        if isinstance(request, Batch) and len(request.requests) > self.batch:
            raise Refusal(
                413, f"data.requests: {len(request.requests)} requests, at most {self.batch} are accepted"
            )
        if self.id_length < MAX_ID_LENGTH:  # the longer ones are no ids
            for where, id in ids_of(request):
                if len(id) > self.id_length:
                    raise Refusal(400, f"data.{where}: is longer than {self.id_length} characters")
        for where, tags in tags_of(request):
            if len(tags) > self.tags:
                raise Refusal(400, f"data.{where}: {len(tags)} tags, at most {self.tags} are accepted")


DEFAULT_LIMITS: Final = Limits()
Grow = Callable[[int], None]
"""Counts bytes of the body of a request. Raises Refusal when they are too many."""


@final
@define
class Load:
    """How much of what the limits allow is in use."""

    limits: Limits
    requests: int = field(default=0, init=False)
    request_bytes: int = field(default=0, init=False)
    polls: int = field(default=0, init=False)

    @contextmanager
    def request(self) -> Generator[Grow]:
        """Count a request in. What is given counts the bytes of its body, until the block ends."""
        held = 0

        def grow(count: int) -> None:
            nonlocal held
            if held + count > self.limits.body_bytes:
                raise self.too_large()
            if self.request_bytes + count > self.limits.request_bytes:
                raise Refusal(503, "the server holds too many bytes of requests: try again later", TRY_AGAIN)
            held += count
            self.request_bytes += count

        if self.requests >= self.limits.requests:
            raise Refusal(503, f"the server has {self.requests} requests to do: try again later", TRY_AGAIN)
        self.requests += 1
        try:
            yield grow
        finally:
            self.requests -= 1
            self.request_bytes -= held

    @contextmanager
    def poll(self) -> Generator[None]:
        """Count a stream of messages in, for the length of the block."""
        if self.polls >= self.limits.polls:
            raise Refusal(503, f"the server has {self.polls} workers connected: try again later", TRY_AGAIN)
        self.polls += 1
        try:
            yield
        finally:
            self.polls -= 1

    def too_large(self) -> Refusal:
        """Return the refusal of a body that is too large."""
        return Refusal(413, f"the body is too large: at most {self.limits.body_bytes} bytes are accepted")
