"""The vocabulary of errors."""

import decimal
import inspect

import pytest

from resonate_trio import _errors
from resonate_trio._errors import (
    ArgumentsError,
    AuthenticationError,
    DecodingError,
    EncodingError,
    ExecutionDropped,
    InvocationCancelled,
    InvocationFailed,
    InvocationTimedOut,
    PermissionDeniedError,
    PromiseNotFoundError,
    RemoteError,
    RequestRefusedError,
    ResonateError,
    ServerError,
    ServerUnreachableError,
    UnknownFunctionError,
    UnregisteredFunctionError,
    UsageError,
)

_CLASSES = [cls for cls in vars(_errors).values() if inspect.isclass(cls) and issubclass(cls, BaseException)]


def _unregistered() -> None:
    """Stand for a function that nobody registered."""


@pytest.mark.parametrize("cls", _CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_is_documented_and_below_the_root(cls: type[BaseException]) -> None:
    """Whoever catches ResonateError catches all but the control signal, and each says when it is raised."""
    assert cls.__doc__
    assert issubclass(cls, ResonateError) != (cls is ExecutionDropped)


def test_the_control_signal_passes_an_except_exception() -> None:
    """A durable function that catches all exceptions does not swallow the signal."""
    assert not issubclass(ExecutionDropped, Exception)


def test_an_unregistered_function_is_named_with_the_remedy() -> None:
    """The message names the object and shows the decorator."""
    error = UnregisteredFunctionError(_unregistered)
    assert "_unregistered is not registered" in str(error)
    assert "@resonate.register" in str(error)
    assert error.function == "_unregistered"
    assert isinstance(error, UsageError)


def test_arguments_error_is_a_type_error() -> None:
    """Code that expects Python's own error for a wrong call gets it."""
    error = ArgumentsError("foo: too many", function="foo", path="order.items[2]")
    assert isinstance(error, TypeError)
    assert (error.function, error.path) == ("foo", "order.items[2]")


def test_encoding_error_names_path_type_and_what_can_be_encoded() -> None:
    """The message is enough to find the value and to know what to pass instead."""
    error = EncodingError("args[0].socket", type(_unregistered))
    assert str(error).startswith("args[0].socket: function cannot be encoded. What can be encoded: None, ")
    assert error.value_type == "function"


def test_encoding_error_names_the_module_of_a_class_that_is_no_builtin() -> None:
    """Two classes of one name are told apart."""
    assert "x: decimal.Context cannot be encoded" in str(EncodingError("x", decimal.Context))


def test_encoding_error_gives_a_reason_of_its_own() -> None:
    """A value of a type that can be encoded has another reason, and no list."""
    assert str(EncodingError("value", float, "inf cannot be encoded")) == "value: inf cannot be encoded"


def test_an_unknown_function_is_named_with_those_that_are_known() -> None:
    """The message names the version asked for and lists what is there."""
    error = UnknownFunctionError("bar", 3, ["baz", "foo (versions 1, 2)"])
    assert "no function 'bar' version 3 is registered" in str(error)
    assert "registered: baz, foo (versions 1, 2)" in str(error)
    assert error.registered == ("baz", "foo (versions 1, 2)")


def test_an_unknown_function_in_an_empty_registry() -> None:
    """Version 0 means any, so it is not named; an empty list is told as such."""
    error = UnknownFunctionError("bar", 0, [])
    assert "no function 'bar' is registered" in str(error)
    assert "registered: none at all" in str(error)


def test_decoding_error_names_path_and_reason() -> None:
    """The message begins with the place."""
    error = DecodingError("value.items[2]", "is missing")
    assert str(error) == "value.items[2]: is missing"
    assert (error.path, error.reason) == ("value.items[2]", "is missing")


def test_an_unreachable_server_is_named_with_the_time_spent() -> None:
    """The message names the URL, where it comes from, and how long it was tried."""
    error = ServerUnreachableError("http://localhost:8001", 12.34)
    assert "no answer from http://localhost:8001 for 12.3 seconds" in str(error)
    assert "RESONATE_URL" in str(error)
    assert (error.url, error.seconds) == ("http://localhost:8001", 12.34)


@pytest.mark.parametrize("cls", [AuthenticationError, PermissionDeniedError])
def test_a_refused_token_points_to_where_tokens_come_from(
    cls: type[AuthenticationError] | type[PermissionDeniedError],
) -> None:
    """The message repeats what the server said and names both ways to give a token."""
    error = cls("the token has expired")
    assert "the token has expired" in str(error)
    assert "token=" in str(error)
    assert "RESONATE_TOKEN" in str(error)
    assert error.detail == "the token has expired"


def test_a_server_error_has_the_status_if_there_was_one() -> None:
    """A reply that is none of this protocol has no status."""
    assert str(ServerError("disk full", status=500)) == "the server failed with status 500: disk full"
    assert str(ServerError("the reply is no JSON")) == "the reply is no JSON"
    assert ServerError("x").status is None


def test_a_refused_request_names_its_kind_and_status() -> None:
    """The message says what was refused, and keeps what the server said."""
    error = RequestRefusedError("awaited is local", status=422, kind="task.suspend")
    assert str(error) == "task.suspend was refused with status 422: awaited is local"
    assert (error.status, error.kind, error.detail) == (422, "task.suspend", "awaited is local")


def test_a_promise_that_is_not_found_is_named() -> None:
    """The message has the id."""
    assert "'order-17'" in str(PromiseNotFoundError("order-17"))
    assert PromiseNotFoundError("order-17").id == "order-17"


@pytest.mark.parametrize("cls", [InvocationCancelled, InvocationTimedOut])
def test_a_failed_invocation_is_named(cls: type[InvocationCancelled] | type[InvocationTimedOut]) -> None:
    """How an invocation ended is caught by one base class, and names the promise."""
    error = cls("order-17:1")
    assert isinstance(error, InvocationFailed)
    assert "'order-17:1'" in str(error)
    assert error.id == "order-17:1"


def test_a_remote_error_reads_like_the_exception_it_stands_for() -> None:
    """Its text is that of the last line of the traceback there."""
    error = RemoteError("order-17:1", type_name="CardDeclined", message="no funds", remote_traceback="…")
    assert str(error) == "CardDeclined: no funds"
    assert (error.id, error.type_name, error.message) == ("order-17:1", "CardDeclined", "no funds")
    assert (error.remote_traceback, error.data) == ("…", None)


def test_a_remote_error_without_a_message_is_its_name() -> None:
    """As Python prints an exception without arguments."""
    assert str(RemoteError("a", type_name="CardDeclined", message="")) == "CardDeclined"
