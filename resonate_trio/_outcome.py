"""What a settled promise means to the code that awaits it."""

from typing import final

from attrs import frozen

from ._codec import Codec
from ._errors import DecodingError, InvocationCancelled, InvocationTimedOut
from .protocol import Promise, PromiseState


@final
@frozen
class Outcome:
    """The result of an invocation, or the error it ended with."""

    value: object = None
    error: Exception | None = None

    def unwrap(self) -> object:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


def outcome_of(promise: Promise, result_type: object, codec: Codec) -> Outcome:
    """Read the outcome of a settled promise. A result that does not fit `result_type` is a DecodingError."""
    match promise.state:
        case PromiseState.RESOLVED:
            try:
                return Outcome(codec.decode(promise.value, result_type, where=f"the result of {promise.id!r}"))
            except DecodingError as error:
                return Outcome(error=error)
        case PromiseState.REJECTED:
            return Outcome(error=codec.decode_error(promise.value, id=promise.id))
        case PromiseState.CANCELED:
            return Outcome(error=InvocationCancelled(promise.id))
        case PromiseState.TIMEDOUT:
            return Outcome(error=InvocationTimedOut(promise.id))
        case PromiseState.PENDING:
            raise RuntimeError(f"promise {promise.id!r} is not settled")
