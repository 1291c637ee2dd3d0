"""Registered exception classes: what of them arrives, and what happens if it does not fit."""

import dataclasses
import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final
from uuid import UUID

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from resonate_trio import Registry, RemoteError, Resonate, UsageError
from resonate_trio._codec import Codec
from resonate_trio._errors import InvocationFailed
from resonate_trio.protocol import Value

if TYPE_CHECKING:
    from ipaddress import IPv4Address


@attrs.frozen
class _Item:
    name: str
    price: Decimal


@attrs.define
class _AttrsError(Exception):
    items: list[_Item]
    until: date | None = None


@attrs.frozen
class _FrozenError(Exception):
    amount: Decimal
    _reason: str = "none"


@dataclasses.dataclass
class _DataError(Exception):
    amount: Decimal
    note: str = "x"


@dataclasses.dataclass(frozen=True)
class _FrozenDataError(Exception):
    amount: Decimal


class _PlainError(Exception):
    def __init__(self, order: UUID, *, amount: Decimal, where: Path) -> None:
        super().__init__(f"{order} costs {amount}")
        self.order = order
        self.amount = amount
        self._where = where
        self.at = where.name

    @property
    def where(self) -> Path:
        return self._where


class _ArgumentsError(ValueError):
    limit: Final[timedelta]
    kinds: ClassVar[tuple[str, ...]] = ()

    def __init__(self, code: int, amount: Decimal, limit: timedelta) -> None:
        super().__init__(code, amount)
        self.amount = amount
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.amount!r}"


class _InheritingError(_ArgumentsError):
    pass


class _SlotsError(Exception):
    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _FileError(OSError):
    pass


class _MixedError(ValueError, OSError):
    pass


class _FailedError(InvocationFailed):
    pass


class _GroupError(ExceptionGroup[Exception]):
    def derive(self, excs: Sequence[Exception], /) -> "_GroupError":  # type: ignore[override]
        return _GroupError(self.message, excs)


class _HiddenTypesError(Exception):
    address: "IPv4Address"

    def __init__(self, address: object) -> None:
        super().__init__(address)
        self.address = address  # type: ignore[assignment]


def _registry(*classes: type[Exception]) -> Registry:
    registry = Registry()
    for cls in classes:
        registry.register_error(cls)
    return registry


def _codec(*classes: type[Exception]) -> Codec:
    return Codec(_registry(*classes).errors)


def _travel(error: Exception, id: str = "a") -> Exception:
    """Send an error between two processes that have registered its class."""
    codec = _codec(type(error))
    return codec.decode_error(codec.encode_error(error), id=id)


def _facts(error: Exception) -> dict[str, object]:
    return {name: value for name, value in vars(error).items() if name != "__notes__"}


def _payload(data: object) -> Value:
    return Value(data=b64encode(json.dumps(data).encode()).decode())


# --- What arrives -------------------------------------------------------------------------------------

_ORDER = UUID(int=17)


@pytest.mark.parametrize(
    "error",
    [
        _AttrsError([_Item("pear", Decimal("1.50"))], date(2026, 3, 1)),
        _FrozenError(Decimal("1.50"), "why"),
        _DataError(Decimal("1.50"), note="y"),
        _DataError(amount=Decimal("1.50")),
        _FrozenDataError(Decimal("1.50")),
        _PlainError(_ORDER, amount=Decimal("1.50"), where=Path("a/b")),
        _ArgumentsError(51, Decimal("1.50"), timedelta(seconds=1.5)),
        _InheritingError(51, Decimal("1.50"), timedelta(days=2)),
        _FileError(2, "No such file", "a.txt"),
        _MixedError(2, "No such file", "a.txt"),
        _FailedError("late", id="x"),
    ],
    ids=repr,
)
def test_a_registered_class_arrives_as_what_it_was(error: Exception) -> None:
    """Class, text, arguments and attributes, with their types; also after two hops."""
    for read in (_travel(error), _travel(_travel(error))):
        assert type(read) is type(error)
        assert str(read) == str(error)
        assert read.args == error.args
        assert _facts(read) == _facts(error)


def test_slots_arrive() -> None:
    """Attributes need not be in a dict."""
    read = _travel(_SlotsError(51))
    assert isinstance(read, _SlotsError)
    assert read.code == 51


def test_a_file_error_has_what_python_keeps_inside() -> None:
    """Its parts are no attributes in Python's sense."""
    read = _travel(_FileError(2, "No such file", "a.txt"))
    assert isinstance(read, _FileError)
    assert (read.errno, read.filename) == (2, "a.txt")


def test_a_registered_group_arrives_with_its_members() -> None:
    """And stays what it was when `except*` splits it."""
    group = _GroupError("two", [ValueError("a"), KeyError("b")])
    group.code = 7  # type: ignore[attr-defined]
    read = _travel(group)
    assert isinstance(read, _GroupError)
    assert (read.message, [type(member) for member in read.exceptions]) == ("two", [ValueError, KeyError])
    assert vars(read)["code"] == 7
    assert isinstance(read.split(ValueError)[0], _GroupError)


def test_notes_and_causes_of_a_registered_class_arrive() -> None:
    """Also where instances are frozen."""
    error = _FrozenError(Decimal(1))
    error.add_note("hm")
    error.__cause__ = _FrozenError(Decimal(2))
    read = _travel(error)
    assert read.__notes__[0] == "hm"
    assert isinstance(read.__cause__, _FrozenError)


def test_subclasses_are_not_meant() -> None:
    """Who catches one by its base here still has RemoteError to think of, but no false class."""
    codec = _codec(_ArgumentsError)
    error = _InheritingError(51, Decimal(1), timedelta(1))
    read = codec.decode_error(codec.encode_error(error), id="a")
    assert isinstance(read, RemoteError)
    assert read.type_name == "_InheritingError"


def test_an_intermediate_process_need_not_know_the_class() -> None:
    """It sees a RemoteError, and passes on what it has read."""
    knows, other = _codec(_DataError), Codec()
    error = _DataError(Decimal("1.50"), note="y")
    between = other.decode_error(knows.encode_error(error), id="a:1")
    assert isinstance(between, RemoteError)
    assert between.attributes == {"amount": "1.50", "note": "y"}
    read = knows.decode_error(other.encode_error(between), id="a")
    assert read == error


def test_types_that_only_type_checkers_see_leave_json_data() -> None:
    """As for a parameter without an annotation."""
    read = _travel(_HiddenTypesError("10.0.0.1"))
    assert isinstance(read, _HiddenTypesError)
    assert vars(read)["address"] == "10.0.0.1"


def test_an_attribute_that_contradicts_its_parameter_stays_json_data() -> None:
    """The parameter of that name was only a guess."""
    error = _PlainError(_ORDER, amount=Decimal(1), where=Path("a"))
    error.amount = 5  # type: ignore[assignment]
    read = _travel(error)
    assert isinstance(read, _PlainError)
    assert read.amount == 5


@settings(max_examples=100)
@given(st.decimals(allow_nan=False), st.text(max_size=20), st.dates() | st.none(), st.lists(st.text(max_size=3)))
def test_fields_survive_whatever_they_are(
    amount: Decimal, text: str, until: date | None, names: list[str]
) -> None:
    """Of attrs classes, dataclasses and plain ones."""
    for error in (
        _AttrsError([_Item(name, amount) for name in names], until),
        _DataError(amount, text),
        _ArgumentsError(len(text), amount, timedelta(len(names))),
    ):
        read = _travel(error)
        assert type(read) is type(error)
        assert _facts(read) == _facts(error)
        assert read.args == error.args


# --- What does not fit --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [object(), float("nan"), 10**5000, "x" * 100_000], ids=["object", "nan", "digits", "size"]
)
def test_what_cannot_be_encoded_costs_the_class_only(value: object) -> None:
    """A note says why."""
    error = _SlotsError(1)
    error.extra = value  # type: ignore[attr-defined]
    read = _travel(error)
    assert isinstance(read, RemoteError)
    assert (read.type_name, read.message) == ("_SlotsError", "1")
    assert read.__notes__[0].startswith("(_SlotsError is registered, but could not be sent: _SlotsError")


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"note": "x"}, "_DataError.amount: is missing"),
        ({"amount": 3}, "_DataError.amount: "),
        ([], "_DataError: its attributes are no object"),
    ],
)
def test_what_does_not_fit_here_becomes_a_remote_error(attributes: object, reason: str) -> None:
    """Another version of the program has written it. A note says what is wrong."""
    ours = {"module": "x", "registered": True, "args": [], "attributes": attributes}
    data = {"__type": "error", "name": "_DataError", "message": "m", "resonate_trio": ours}
    read = _codec(_DataError).decode_error(_payload(data), id="a")
    assert isinstance(read, RemoteError)
    assert (read.type_name, read.message) == ("_DataError", "m")
    assert read.__notes__[0].startswith(f"(_DataError is registered here, but could not be built again: {reason}")


def test_errors_of_a_group_that_find_no_room_become_remote_errors() -> None:
    """A failure does not fill the store. A note says why."""
    codec = _codec(_SlotsError)
    errors = [_SlotsError(n) for n in range(12)]
    for error in errors:
        error.extra = "x" * 60_000  # type: ignore[attr-defined]
    read = codec.decode_error(codec.encode_error(ExceptionGroup("many", errors)), id="a")
    assert isinstance(read, ExceptionGroup)
    assert [type(error) for error in read.exceptions] == [_SlotsError] * 8 + [RemoteError] * 4
    assert read.exceptions[-1].__notes__[0] == "(_SlotsError is registered, but there was no room left to send it)"


def test_arguments_may_be_missing() -> None:
    """Fields are enough."""
    ours = {"registered": True, "attributes": {"amount": "1"}}
    data = {"__type": "error", "name": "_DataError", "message": "m", "resonate_trio": ours}
    assert _codec(_DataError).decode_error(_payload(data), id="a") == _DataError(Decimal(1))


@attrs.define
class _StrictError(Exception):
    code: int = attrs.field()

    @code.validator
    def _check(self, _: object, value: int) -> None:
        if value < 0:
            raise KeyError(value)


def test_a_class_that_refuses_its_fields_becomes_a_remote_error() -> None:
    """Whatever its validators raise."""
    error = _StrictError(1)
    with attrs.validators.disabled():
        error.code = -1
    assert isinstance(_travel(error), RemoteError)


def test_facts_replace_nothing_of_a_class() -> None:
    """Nothing that the data says is a method, a property, or Python's own."""
    attributes = {"where": 1, "with_traceback": 2, "__class__": 3, "__cause__": 4, "args": 5, "free": 6}
    ours = {"registered": True, "args": [], "attributes": attributes}
    data = {"__type": "error", "name": "_PlainError", "message": "m", "resonate_trio": ours}
    read = _codec(_PlainError).decode_error(_payload(data), id="a")
    assert type(read) is _PlainError
    assert _facts(read) == {"free": 6}
    assert read.args == ()


def test_another_client_may_raise_a_registered_class_by_its_name() -> None:
    """It has a message only; what wants more is a RemoteError."""
    data = {"__type": "error", "name": "_FileError", "message": "m"}
    read = _codec(_FileError).decode_error(_payload(data), id="a")
    assert type(read) is _FileError
    assert read.args == ("m",)
    read = _codec(_DataError).decode_error(_payload({**data, "name": "_DataError"}), id="a")
    assert isinstance(read, RemoteError)


def test_a_group_of_another_client_keeps_its_members() -> None:
    """Its name may be that of a class which has none."""
    data = {"__type": "aggregate_error", "name": "_FileError", "message": "m", "errors": ["x"]}
    read = _codec(_FileError).decode_error(_payload(data), id="a")
    assert isinstance(read, ExceptionGroup)
    assert len(read.exceptions) == 1


def test_a_class_of_that_name_that_its_writer_has_not_registered_is_another_one() -> None:
    """Names of classes are not unique; registered names are."""
    namesake = type("_DataError", (Exception,), {})
    read = _codec(_DataError).decode_error(Codec().encode_error(namesake("x")), id="a")
    assert isinstance(read, RemoteError)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_KNOWN = (_AttrsError, _FrozenError, _DataError, _FrozenDataError, _PlainError, _FileError, _GroupError)


@settings(max_examples=150)
@given(
    st.sampled_from(_KNOWN),
    st.dictionaries(st.sampled_from(["amount", "items", "order", "errno", "args", "note", "_where"]), _JSON)
    | _JSON,
    _JSON,
    _JSON,
)
def test_building_never_fails(cls: type[Exception], attributes: object, args: object, names: object) -> None:
    """Whatever is stored, an exception comes out."""
    ours = {
        "registered": True,
        "attributes": attributes,
        "args": args,
        "arg_names": names,
        "cause": {"errors": args},
    }
    data = {
        "__type": "aggregate_error",
        "name": cls.__name__,
        "message": "m",
        "resonate_trio": ours,
        "errors": args,
    }
    codec = _codec(*_KNOWN)
    read = codec.decode_error(codec.encode(data), id="a")
    assert isinstance(read, Exception)
    assert isinstance(codec.decode_error(codec.encode_error(read), id="a"), Exception)


# --- Registration -------------------------------------------------------------------------------------


def test_a_class_is_registered_by_a_decorator() -> None:
    """With or without a name of its own; the class stays as it is."""
    app = Resonate()

    @app.register_error
    class First(Exception):
        pass

    @app.register_error(name="second")
    class Second(Exception):
        pass

    assert app.registry.errors.named("First") is First
    assert app.registry.errors.named("second") is Second
    assert app.registry.errors.name_of(Second) == "second"


def test_a_name_need_not_be_that_of_the_class() -> None:
    """Two processes may call theirs differently."""
    writer, reader = Registry(), Registry()
    writer.register_error(_DataError, name="declined")
    reader.register_error(_FrozenDataError, name="declined")
    value = Codec(writer.errors).encode_error(_DataError(Decimal(3)))
    assert Codec(reader.errors).decode_error(value, id="a") == _FrozenDataError(Decimal(3))


def test_registering_a_class_again_changes_nothing() -> None:
    """Modules may be imported twice."""
    registry = _registry(_DataError, _DataError)
    assert registry.errors.named("_DataError") is _DataError


@pytest.mark.parametrize(
    ("cls", "name", "message"),
    [
        (KeyboardInterrupt, None, "give a subclass of Exception"),
        (StopIteration, None, "give a subclass of Exception"),
        (ValueError("x"), None, "give a subclass of Exception"),
        (ValueError, None, "every process knows it"),
        (UsageError, None, "every process knows it"),
        (RemoteError, None, "every process knows it"),
        (ExceptionGroup, "x", "every process knows it"),
        (_DataError, "", "a string that is not empty"),
        (_DataError, "TimeoutError", 'give _DataError another one with name="…"'),
        (_DataError, "other", "_DataError is registered already, as '_DataError'"),
        (_FrozenDataError, "_DataError", "give _FrozenDataError another name="),
    ],
)
def test_what_cannot_be_registered_is_refused(cls: type[Exception], name: str | None, message: str) -> None:
    """The message says what to do."""
    with pytest.raises(UsageError, match=message):
        _registry(_DataError).register_error(cls, name=name)
