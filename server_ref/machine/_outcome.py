"""What performing a request comes to."""

from typing import final

from attrs import frozen


@final
@frozen
class Outcome:
    """A status and the data of the reply: of the request's `reply` class, from 400 on the message."""

    status: int
    data: object


@final
class Refused(Exception):
    """A request that is refused, and has changed nothing.

    Attributes:
        status: 400 to 422.
        message: why, and what to do, for the client to read.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def outcome(self) -> Outcome:
        """Return the refusal as an outcome."""
        return Outcome(self.status, self.message)


def done(data: object) -> Outcome:
    """Return the outcome of a request that was performed."""
    return Outcome(200, data)
