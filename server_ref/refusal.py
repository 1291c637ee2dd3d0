"""What the HTTP interface refuses before the engine sees it."""

from collections.abc import Mapping
from typing import final


@final
class Refusal(Exception):
    """A request that is not performed.

    Attributes:
        status: 400 to 413, or 503.
        message: why, and what to do, for the client to read.
        headers: what the answer carries beside it.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}
