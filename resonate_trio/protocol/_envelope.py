"""Envelopes: what surrounds the data of a request and of a reply."""

from collections.abc import Mapping
from typing import ClassVar, Generic, Protocol, TypeVar, final

from attrs import field, frozen

from ._records import Millis

PROTOCOL_VERSION = "2026-04-01"


class RequestData(Protocol):
    """What every request class of this package has."""

    kind: ClassVar[str]
    reply: ClassVar[type]


DataT_co = TypeVar("DataT_co", bound=RequestData, covariant=True)


@final
@frozen
class Head:
    """The head of a request.

    `debug_time` (ms) is the `now` of the operation, in debug mode only.
    """

    corr_id: str
    version: str = field(default=PROTOCOL_VERSION, metadata={"required": True})
    auth: str | None = field(default=None, repr=False)
    origin: str | None = field(default=None, metadata={"wire": "resonate:origin"})
    debug_time: Millis | None = field(default=None, metadata={"wire": "resonate:debug_time"})


@final
@frozen
class Envelope(Generic[DataT_co]):
    """A request as it travels. Its kind is that of its data."""

    head: Head
    data: DataT_co

    @property
    def kind(self) -> str:
        """The kind of the request."""
        return self.data.kind


@final
@frozen
class ReplyHead:
    """The head of a reply."""

    corr_id: str
    status: int
    version: str = PROTOCOL_VERSION


@final
@frozen
class Reply:
    """A reply as it travels.

    `data` is of the request's `reply` class; with a status of 400 and above it is the message, a string.
    """

    kind: str
    head: ReplyHead
    data: object

    @property
    def status(self) -> int:
        """The status, as in HTTP."""
        return self.head.status

    @property
    def is_error(self) -> bool:
        """Tell whether `data` is a message that says why the request was refused."""
        return self.head.status >= 400


WireObject = Mapping[str, object]
"""A JSON object, decoded."""
