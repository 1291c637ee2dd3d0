"""The codec: errors with causes, members and a way behind them; and their bounds."""

import json
import traceback
from base64 import b64decode
from typing import NoReturn, TypeVar

import attrs
import pytest
import trio
from hypothesis import given, settings, strategies as st

from resonate_trio._codec import Codec
from resonate_trio._errors import RemoteError

_CODEC = Codec(worker="bars/w1")

E = TypeVar("E", bound=BaseException)


class _CardDeclinedError(Exception):
    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
        self._secret = "x"
        self.socket = object()


def _raise(error: BaseException, cause: BaseException | None = None) -> NoReturn:
    if cause is not None:
        raise error from cause
    raise error


def _caught(error: E, cause: BaseException | None = None) -> E:
    """Return the error as it is after it was raised."""
    with pytest.raises(type(error)) as caught:
        _raise(error, cause)
    return caught.value


def _raised_in_a_handler(*, is_hidden: bool) -> BaseException:
    """Return an error that was raised while another one was handled."""
    error = ValueError("second")
    try:
        _raise(KeyError("first"))
    except KeyError:
        _caught(error)
    error.__suppress_context__ = is_hidden
    return error


def _travel(error: BaseException, id: str = "a", codec: Codec = _CODEC) -> Exception:
    return codec.decode_error(codec.encode_error(error), id=id)


def _told(error: BaseException) -> list[str]:
    """Return the notes of an error without the frames in them."""
    lines = "\n".join(error.__notes__).splitlines()
    return [line for line in lines if not line.startswith(" ")]


def _cause(error: BaseException) -> BaseException:
    assert error.__cause__ is not None
    return error.__cause__


def _size(error: BaseException) -> int:
    return len(_CODEC.encode_error(error).data or "")


# --- Causes -------------------------------------------------------------------------------------------


def test_a_cause_travels() -> None:
    """`raise … from` is seen across processes, with the notes and the frames of both."""
    cause = _caught(KeyError("pear"))
    cause.add_note("in the cellar")
    read = _travel(_caught(ValueError("no pears"), cause))
    assert type(read) is ValueError
    assert type(_cause(read)) is KeyError
    assert _told(_cause(read)) == ["in the cellar", "Raised by the invocation 'a' in the worker bars/w1:"]
    printed = "".join(traceback.format_exception(read))
    assert (
        printed.index("KeyError: 'pear'") < printed.index("direct cause") < printed.index("ValueError: no pears")
    )


def test_a_context_travels() -> None:
    """What was being handled is told, as in one process."""
    read = _travel(_raised_in_a_handler(is_hidden=False))
    assert read.__cause__ is None
    assert isinstance(read.__context__, KeyError)
    assert not read.__suppress_context__


def test_a_context_that_python_would_not_print_stays_behind() -> None:
    """`raise … from None` hides it here too."""
    read = _travel(_raised_in_a_handler(is_hidden=True))
    assert (read.__cause__, read.__context__) == (None, None)


def test_causes_go_on_through_further_hops() -> None:
    """Of rebuilt exceptions, and of those that nobody knows."""
    error: BaseException = _caught(_CardDeclinedError("no funds", 51), _caught(KeyError("account")))
    for hop in ("a:1.1", "a:1", "a"):
        error = _travel(error, hop)
    assert isinstance(error, RemoteError)
    assert type(_cause(error)) is KeyError
    assert error.id == "a:1.1"


def test_members_have_causes() -> None:
    """A group's tree is kept whole."""
    member = _caught(ValueError("b"), _caught(KeyError("c")))
    read = _travel(ExceptionGroup("a", [member, TypeError("d")]))
    assert isinstance(read, ExceptionGroup)
    assert type(_cause(read.exceptions[0])) is KeyError
    assert read.exceptions[1].__cause__ is None


def test_a_cycle_of_causes_is_cut() -> None:
    """Python allows one to be made."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    read = _travel(first)
    assert str(_cause(read)) == "second"
    assert _cause(read).__cause__ is None


def test_a_long_chain_of_causes_ends_somewhere() -> None:
    """The newest are kept."""
    error = ValueError("0")
    for number in range(1, 300):
        error = _caught(ValueError(str(number)), error)
    read: BaseException | None = _travel(error)
    texts = []
    while read is not None:
        texts.append(str(read))
        read = read.__cause__
    assert texts == [str(number) for number in range(299, 278, -1)]


# --- The way ------------------------------------------------------------------------------------------


def test_a_remote_error_tells_where_it_was_raised() -> None:
    """The promise and the worker are those of the source, however many have passed it on."""
    first = _travel(_caught(_CardDeclinedError("no funds", 51)), "a:1")
    second = _travel(_caught(first), "a", Codec(worker="foos/w2"))
    assert isinstance(second, RemoteError)
    assert (second.id, second.worker) == ("a:1", "bars/w1")
    assert _told(second) == [
        "Passed on by the invocation 'a' in the worker foos/w2:",
        "Raised by the invocation 'a:1' in the worker bars/w1:",
    ]


def test_public_attributes_of_an_unknown_class_are_data() -> None:
    """As far as they can be written."""
    read = _travel(_CardDeclinedError("no funds", 51))
    assert isinstance(read, RemoteError)
    assert read.attributes == {"code": 51}


def test_attributes_of_an_exception_of_python_travel() -> None:
    """Programs add them."""
    error = ValueError("x")
    error.code = 7  # type: ignore[attr-defined]
    read = _travel(error)
    assert type(read) is ValueError
    assert vars(read)["code"] == 7


def test_members_keep_where_they_come_from() -> None:
    """Each failed in an invocation of its own."""
    members = [_travel(_caught(ValueError("b")), "a:1"), _travel(_caught(_CardDeclinedError("c", 1)), "a:2")]
    read = _travel(_caught(ExceptionGroup("two", members)), "a", Codec(worker="foos/w2"))
    assert isinstance(read, ExceptionGroup)
    assert _told(read) == ["Raised by the invocation 'a' in the worker foos/w2:"]
    assert _told(read.exceptions[0]) == ["Raised by the invocation 'a:1' in the worker bars/w1:"]
    assert isinstance(read.exceptions[1], RemoteError)
    assert read.exceptions[1].id == "a:2"


def test_the_way_stays_short() -> None:
    """Of a recursion, the newest hop and the oldest ones are told."""
    error = _travel(_caught(ValueError("x")), "0")
    for hop in range(1, 100):
        error = _travel(_caught(error), str(hop))
    told = _told(error)
    assert (len(told), told[0][:31], told[-1][:28]) == (
        17,
        "Passed on by the invocation '99",
        "Raised by the invocation '0'",
    )


def test_a_timeout_of_trio_is_built_again() -> None:
    """`trio.fail_after` raises it, and so do durable deadlines."""
    read = _travel(trio.TooSlowError())
    assert type(read) is trio.TooSlowError
    own = type("TooSlowError", (Exception,), {"__module__": "somelib"})
    assert isinstance(_travel(own()), RemoteError)


# --- Bounds -------------------------------------------------------------------------------------------


def test_a_wide_group_of_long_tracebacks_is_bounded() -> None:
    """What comes last is told in short, but keeps its class."""
    members = [_caught(ValueError("x" * 10_000)) for _ in range(300)]
    group = ExceptionGroup("many", members)
    assert _size(group) < 1_500_000
    read = _travel(group)
    assert isinstance(read, ExceptionGroup)
    assert [type(member) for member in read.exceptions] == [ValueError] * 300


def test_members_without_number_are_left_out() -> None:
    """And a note says how many."""
    read = _travel(ExceptionGroup("many", [ValueError("x")] * 12_000))
    assert isinstance(read, ExceptionGroup)
    assert len(read.exceptions) == 9_999
    assert read.__notes__[0] == "(2001 errors of this group were left out)"


class _HostileError(Exception):
    def __getattribute__(self, name: str) -> NoReturn:
        raise RuntimeError("no")


def test_an_exception_that_cannot_be_looked_at_is_written() -> None:
    """Its class and its message are known."""
    read = _travel(_HostileError("x"))
    assert isinstance(read, RemoteError)
    assert str(read) == "_HostileError: x"


def test_notes_may_be_anything() -> None:
    """Python lets a program put there what it likes."""
    error = ValueError("x")
    error.__notes__ = 3  # type: ignore[assignment]
    assert _told(_travel(error)) == ["Raised by the invocation 'a' in the worker bars/w1."]


def test_attributes_of_an_unknown_class_are_bounded() -> None:
    """Those that come first are kept."""
    error = _CardDeclinedError("x", 51)
    for name in ("first", "second"):
        setattr(error, name, "x" * 40_000)
    read = _travel(error)
    assert isinstance(read, RemoteError)
    assert set(read.attributes) == {"code", "first"}


def test_what_is_inside_the_tree_has_no_text_for_people() -> None:
    """The text of the whole has it already."""
    group = ExceptionGroup("g", [_caught(ValueError("a"), KeyError("b"))])
    data = json.loads(b64decode(_CODEC.encode_error(group).data or ""))
    assert "direct cause" in data["stack"]
    assert "stack" not in data["errors"][0]
    assert set(data) == {"__type", "name", "message", "stack", "errors", "resonate_trio"}


# --- Round trips --------------------------------------------------------------------------------------


@attrs.frozen
class _Shape:
    """What has to stay of an error."""

    type: type[Exception]
    text: str
    notes: tuple[str, ...]
    cause: "_Shape | None"
    members: "tuple[_Shape, ...]"

    @classmethod
    def of(cls, error: BaseException) -> "_Shape":
        """Return the shape of an exception."""
        assert isinstance(error, Exception)
        notes = tuple(
            note for note in getattr(error, "__notes__", ()) if not note.startswith(("Raised by", "Passed on"))
        )
        members = error.exceptions if isinstance(error, ExceptionGroup) else ()
        text = error.message if isinstance(error, ExceptionGroup) else str(error)
        cause = None if error.__cause__ is None else cls.of(error.__cause__)
        return cls(type(error), text, notes, cause, tuple(map(cls.of, members)))


_TEXT = st.text(max_size=10)


@st.composite
def _trees(draw: st.DrawFn, depth: int = 3) -> Exception:
    if depth > 0 and draw(st.booleans()):
        error: Exception = ExceptionGroup(draw(_TEXT), draw(st.lists(_trees(depth - 1), min_size=1, max_size=3)))
    else:
        error = draw(st.sampled_from([ValueError, KeyError, OSError, trio.TooSlowError]))(draw(_TEXT))
    for note in draw(st.lists(_TEXT, max_size=2)):
        error.add_note(note)
    if depth > 0 and draw(st.booleans()):
        error.__cause__ = draw(_trees(depth - 1))
    return error


@settings(max_examples=100)
@given(_trees())
def test_a_tree_keeps_its_shape_over_two_hops(error: Exception) -> None:
    """Types, texts, notes, causes and members."""
    once = _travel(error, "a:1")
    assert _Shape.of(once) == _Shape.of(error)
    assert _Shape.of(_travel(once, "a")) == _Shape.of(error)
