"""The codec: exceptions across processes."""

import builtins
import json
import traceback
from base64 import b64decode, b64encode
from decimal import Decimal
from typing import NoReturn

import pytest
from hypothesis import given, settings, strategies as st

from resonate_trio._codec import Codec
from resonate_trio._errors import (
    ArgumentsError,
    EncodingError,
    InvocationTimedOut,
    RemoteError,
    UnknownFunctionError,
)
from resonate_trio.protocol import EMPTY, Value

_CODEC = Codec()


class _CardDeclinedError(ValueError):
    pass


class _SilentError(Exception):
    def __str__(self) -> NoReturn:
        raise RuntimeError


def _caught(error: BaseException) -> BaseException:
    """Return the error as it is after it was raised: with a traceback."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def _travel(error: BaseException, id: str = "root:1") -> Exception:
    return _CODEC.decode_error(_CODEC.encode_error(_caught(error)), id=id)


def _json(value: Value) -> dict[str, object]:
    assert value.data is not None
    data = json.loads(b64decode(value.data))
    assert isinstance(data, dict)
    return data


def _payload(data: object) -> Value:
    return Value(data=b64encode(json.dumps(data).encode()).decode())


def _notes(error: BaseException) -> str:
    return "\n".join(error.__notes__)


def _remote(error: BaseException) -> RemoteError:
    assert isinstance(error, RemoteError)
    return error


# --- Exceptions of this package ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        UnknownFunctionError("charge", 2, ["reserve", "charge (versions 1)"]),
        ArgumentsError("charge: the argument order is missing", function="charge", path="order.items[2]"),
        EncodingError("args[0]", object),
        InvocationTimedOut("order:1"),
    ],
)
def test_our_own_exceptions_arrive_as_what_they_were(error: Exception) -> None:
    """With their message and their attributes, so that a caller can act on them."""
    read = _travel(error)
    assert type(read) is type(error)
    assert str(read) == str(error)
    assert {name: value for name, value in vars(read).items() if name != "__notes__"} == vars(error)


def test_what_pretends_to_be_our_own_sets_facts_only() -> None:
    """Nothing that the data says replaces what the class is."""
    data = {
        "name": "InvocationTimedOut",
        "message": "late",
        "resonate_trio": {
            "module": "resonate_trio",
            "attributes": {"id": "x", "__class__": "y", "with_traceback": 1, "args": []},
        },
    }
    read = _CODEC.decode_error(_payload(data), id="p")
    assert isinstance(read, InvocationTimedOut)
    assert (read.id, str(read), callable(read.with_traceback)) == ("x", "late", True)


def test_our_own_name_from_another_client_is_not_taken_for_ours() -> None:
    """Its attributes would be missing."""
    read = _CODEC.decode_error(_payload({"name": "InvocationTimedOut", "message": "late"}), id="p")
    assert _remote(read).type_name == "InvocationTimedOut"


# --- Exceptions of Python's own -------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such order"),
        ValueError(),
        ValueError("a", 1, 2.5, None, True),
        KeyError("order-17"),
        ZeroDivisionError("division by zero"),
        OSError(28, "disk full"),
        FileNotFoundError(2, "No such file", "a.txt"),
        FileExistsError(17, "File exists", "a.txt", None, "b.txt"),
        TimeoutError("too late"),
        NotImplementedError(),
        UserWarning("hm"),
    ],
    ids=repr,
)
def test_an_exception_of_python_is_built_again(error: Exception) -> None:
    """Same class, same arguments, same text: `except ValueError` works across processes."""
    read = _travel(error)
    assert type(read) is type(error)
    assert read.args == error.args
    assert str(read) == str(error)


def test_arguments_that_are_no_json_leave_the_message() -> None:
    """The class still counts."""
    read = _travel(ValueError(Decimal("1.5")))
    assert type(read) is ValueError
    assert read.args == ("1.5",)


def test_an_exception_that_wants_other_arguments_becomes_a_remote_error() -> None:
    """Not every class can be built from a message."""
    read = _remote(_travel(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")))
    assert read.type_name == "UnicodeDecodeError"
    assert "invalid start byte" in read.message


@pytest.mark.parametrize("error", [StopIteration(1), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_control_flow_of_python_becomes_a_remote_error(error: BaseException) -> None:
    """What would end a loop, a coroutine or the process here is only told."""
    assert _remote(_travel(error)).type_name == type(error).__name__


def test_a_class_that_only_shares_a_name_with_python_is_not_taken_for_it() -> None:
    """Libraries have a ConnectionError of their own."""
    own = type("ConnectionError", (Exception,), {"__module__": "somelib"})
    assert _remote(_travel(own("x"))).type_name == "ConnectionError"


# --- All others -----------------------------------------------------------------------------------


def test_any_other_exception_becomes_a_remote_error() -> None:
    """With its name, message, traceback and data."""
    read = _remote(_travel(_CardDeclinedError("no funds")))
    assert str(read) == "_CardDeclinedError: no funds"
    assert (read.id, read.type_name, read.message) == ("root:1", "_CardDeclinedError", "no funds")
    assert read.remote_traceback is not None
    assert "in _caught" in read.remote_traceback
    assert isinstance(read.data, dict)
    assert read.data["message"] == "no funds"


def test_a_remote_error_that_passes_through_keeps_its_name() -> None:
    """The caller of the caller sees what was raised at the source, and where."""
    first = _remote(_travel(_CardDeclinedError("no funds"), "root:1.1"))
    second = _remote(_travel(first, "root:1"))
    assert str(second) == "_CardDeclinedError: no funds"
    assert second.id == "root:1.1"
    assert "RemoteError" in str(second.remote_traceback)


# --- Notes and tracebacks -------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("x"), _CardDeclinedError("x")], ids=repr)
def test_what_is_read_notes_the_invocation_and_the_traceback_there(error: Exception) -> None:
    """So the traceback that is printed in the end tells the whole way."""
    notes = _notes(_travel(error, "root:1"))
    assert notes.startswith("Raised by the invocation 'root:1':\n  File ")
    assert "in _caught" in notes


def test_notes_survive_and_do_not_multiply() -> None:
    """Those of the program are kept; reading adds one, with a part for each hop, callers first."""
    error = ValueError("x")
    error.add_note("while paying")
    read = error
    for hop in range(6):
        read = _travel(read, f"hop-{hop}")  # type: ignore[assignment]
    assert read.__notes__[0] == "while paying"
    assert len(read.__notes__) == 2
    told = [line for line in read.__notes__[1].splitlines() if line.startswith(("Passed", "Raised"))]
    passed = [f"Passed on by the invocation 'hop-{hop}':" for hop in (5, 4, 3, 2, 1)]
    assert told == [*passed, "Raised by the invocation 'hop-0':"]


# --- Groups ---------------------------------------------------------------------------------------


def test_a_group_travels_with_its_members() -> None:
    """`except*` works across processes."""
    group = ExceptionGroup("two failed", [ValueError("a"), ExceptionGroup("b", [_CardDeclinedError("c")])])
    group.add_note("in the shop")
    read = _travel(group)
    assert isinstance(read, ExceptionGroup)
    assert read.message == "two failed"
    assert type(read.exceptions[0]) is ValueError
    assert read.exceptions[0].args == ("a",)
    inner = read.exceptions[1]
    assert isinstance(inner, ExceptionGroup)
    assert str(_remote(inner.exceptions[0])) == "_CardDeclinedError: c"
    assert read.__notes__[0] == "in the shop"
    assert read.__notes__[1].startswith("Raised by the invocation 'root:1':\n")
    assert _notes(read.exceptions[0]) == "Raised by the invocation 'root:1'."


def test_a_group_with_signals_becomes_a_group_of_errors() -> None:
    """No KeyboardInterrupt is raised because one was raised elsewhere."""
    read = _travel(BaseExceptionGroup("x", [KeyboardInterrupt(), ValueError("a")]))
    assert isinstance(read, ExceptionGroup)
    assert [type(member) for member in read.exceptions] == [RemoteError, ValueError]


def test_groups_in_groups_end_somewhere() -> None:
    """Members that lie too deep are told, not rebuilt."""
    error: Exception = ValueError("deep")
    for _ in range(200):
        error = ExceptionGroup("g", [error])
    depth, read = 0, _travel(error)
    while isinstance(read, ExceptionGroup):
        depth, read = depth + 1, read.exceptions[0]
    assert depth == 20
    assert _remote(read).type_name == "ExceptionGroup"


# --- Form, and other clients ----------------------------------------------------------------------


def test_an_error_has_the_form_of_the_protocol() -> None:
    """What others read stands where they look for it; all of ours is under one key."""
    data = _json(_CODEC.encode_error(KeyError("a")))
    assert data.pop("stack") == "KeyError: 'a'\n"
    assert data == {
        "__type": "error",
        "name": "KeyError",
        "message": "'a'",
        "resonate_trio": {"module": "builtins", "args": ["a"]},
    }


def test_a_group_has_the_form_of_an_aggregate_error() -> None:
    """As other clients write and read it."""
    data = _json(_CODEC.encode_error(ExceptionGroup("two", [ValueError("a")])))
    assert (data["__type"], data["message"]) == ("aggregate_error", "two")
    assert isinstance(data["errors"], list)
    assert data["errors"][0]["message"] == "a"


def test_an_aggregate_error_of_another_client_is_a_group() -> None:
    """Its members are errors, or whatever was rejected with."""
    members = [{"__type": "error", "message": "a", "name": "RangeError", "stack": "at x"}, "just text"]
    data = {"__type": "aggregate_error", "message": "All failed", "name": "AggregateError", "errors": members}
    read = _CODEC.decode_error(_payload(data), id="a")
    assert isinstance(read, ExceptionGroup)
    assert [str(member) for member in read.exceptions] == ["RangeError: a", "Error: just text"]


def test_an_error_of_another_client_is_read() -> None:
    """Name, message and stack; a name that Python has too is taken for it."""
    data = {"__type": "error", "message": "no funds", "name": "CardDeclined", "stack": "at pay"}
    read = _remote(_CODEC.decode_error(_payload(data), id="a"))
    assert str(read) == "CardDeclined: no funds"
    assert (read.remote_traceback, read.data) == ("at pay", data)
    read_value_error = _CODEC.decode_error(_payload({**data, "name": "ValueError"}), id="a")
    assert type(read_value_error) is ValueError
    assert read_value_error.args == ("no funds",)


def test_a_pickle_is_never_opened() -> None:
    """Some clients add one; it stays data."""
    data = {"__type": "error", "message": "x", "__py_pickle": b64encode(b"cos\nabort\n(tR.").decode()}
    assert str(_CODEC.decode_error(_payload(data), id="a")) == "Error: x"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (EMPTY, "Error: (nothing is stored about it)"),
        (_payload("just text"), "Error: just text"),
        (_payload(17), "Error: 17"),
        (_payload({"code": 7}), "Error: {'code': 7}"),
        (_payload({"message": "x"}), "Error: x"),
        (_payload({"__type": "error", "message": 3, "name": 4, "stack": 5}), "Error: {'__type': 'error', "),
        (_payload({"name": "KeyError", "message": "x", "resonate_trio": 3}), "'x'"),
        (_payload({"name": "KeyError", "resonate_trio": {"args": 3, "notes": 4}}), ""),
        (_payload({"name": "ExceptionGroup", "message": "x"}), "ExceptionGroup: x"),
        (_payload({"__type": "aggregate_error", "message": "x", "errors": []}), "Error: x"),
        (_payload({"__type": "aggregate_error", "errors": [None]}), " (1 sub-exception)"),
        (Value(data="%"), "Error: (what is stored about it cannot be read: the payload is no base64)"),
    ],
)
def test_what_is_malformed_is_told_as_far_as_it_goes(value: Value, text: str) -> None:
    """A rejected promise always gives an exception, whoever wrote whatever into it."""
    assert str(_CODEC.decode_error(value, id="a")).startswith(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["__type", "name", "message", "stack", "errors", "resonate_trio", "args", "notes"]),
            inner | st.sampled_from(["error", "aggregate_error", "KeyError", "OSError", *dir(builtins)]),
        )
    ),
    max_leaves=10,
)


@settings(max_examples=100)
@given(_JSON)
def test_reading_an_error_never_fails(data: object) -> None:
    """Whatever JSON is stored, an exception comes out, and it can be printed."""
    error = _CODEC.decode_error(_CODEC.encode(data), id="a")
    assert isinstance(error, Exception)
    assert traceback.format_exception(error)


def test_errors_nested_deeper_than_we_write_them_are_read() -> None:
    """Other clients may know no limit, but Python has one."""
    data: object = "x"
    for _ in range(400):
        data = {"__type": "aggregate_error", "errors": [data]}
    assert isinstance(_CODEC.decode_error(_payload(data), id="a"), Exception)


# --- What must not break it -----------------------------------------------------------------------


def test_a_huge_message_is_shortened() -> None:
    """A failure does not fill the store."""
    value = _CODEC.encode_error(_caught(ValueError("x" * 10**6)))
    assert value.data is not None
    assert len(value.data) < 100_000
    read = _CODEC.decode_error(value, id="a")
    assert type(read) is ValueError
    assert str(read).endswith("x… (1000000 characters)")


def test_many_and_large_arguments_are_left_out() -> None:
    """The message tells of them."""
    for args in (tuple(range(1000)), (2**5000,), (float("nan"),)):
        details = _json(_CODEC.encode_error(ValueError(*args)))["resonate_trio"]
        assert details == {"module": "builtins"}


def test_lone_surrogates_survive_in_a_message() -> None:
    """As they come from the names of files."""
    assert str(_travel(ValueError("a\udc80"))) == "a\udc80"


def test_an_exception_that_cannot_be_printed_is_written() -> None:
    """Its class is known at least."""
    read = _remote(_travel(_SilentError()))
    assert read.type_name == "_SilentError"
    assert read.message == "(no message: its __str__ fails)"


def test_endless_recursion_is_written() -> None:
    """Its traceback is long; what is kept is its end."""

    def forever() -> None:
        forever()

    with pytest.raises(RecursionError) as caught:
        forever()
    read = _CODEC.decode_error(_CODEC.encode_error(caught.value), id="a")
    assert type(read) is RecursionError
    assert "in forever" in _notes(read)
