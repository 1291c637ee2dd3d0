"""What a settled promise means to the code that awaits it."""

from typing import Final, final

from attrs import frozen

from ._codec import Codec
from ._errors import DecodingError, InvocationCancelled, InvocationTimedOut
from .protocol import Promise, PromiseState, Value

CLIENT: Final = "client"
"""Who cancels when no invocation does."""


@final
@frozen
class Cancellation:
    """Who asked that an invocation be cancelled, and why: the value of a promise that ended so.

    Attributes:
        by: the asking scope, or `CLIENT`; None if it is not known, as with what other clients have cancelled.
        reason: what was said.
        cause: on whose behalf, if the asking function was itself cancelled by another scope.
    """

    by: str | None = None
    reason: str | None = None
    cause: str | None = None

    def encode(self, codec: Codec) -> Value:
        """Return it as it is stored. Raises EncodingError."""
        said = {"by": self.by, "reason": self.reason}
        return codec.encode(said if self.cause is None else {**said, "cause": self.cause})

    @classmethod
    def decode(cls, value: Value, codec: Codec) -> "Cancellation":
        """Read it from a promise. What is not ours says nothing."""
        try:
            stored = codec.decode(value)
        except DecodingError:
            return cls()
        if not isinstance(stored, dict):
            return cls()
        said = {name: stored.get(name) for name in ("by", "reason", "cause")}
        return cls(**{name: text for name, text in said.items() if isinstance(text, str)})


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
            except DecodingError as misfit:
                return Outcome(error=misfit)
        case PromiseState.REJECTED:
            return Outcome(error=codec.decode_error(promise.value, id=promise.id))
        case PromiseState.CANCELED:
            cancellation = Cancellation.decode(promise.value, codec)
            error = InvocationCancelled(promise.id, by=cancellation.by, reason=cancellation.reason)
            return Outcome(error=error)
        case PromiseState.TIMEDOUT:
            return Outcome(error=InvocationTimedOut(promise.id))
        case PromiseState.PENDING:
            raise RuntimeError(f"promise {promise.id!r} is not settled")
