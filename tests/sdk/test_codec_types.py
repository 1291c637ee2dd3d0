"""The codec: annotations. What was encoded is decoded to an equal value; what does not fit is refused."""

import dataclasses
import enum
import string
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterable, Mapping, MutableSet, Sequence, Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from resonate_trio._codec import Codec
from resonate_trio._errors import DecodingError

_CODEC = Codec()
T = TypeVar("T")
K = TypeVar("K")
OrderId = NewType("OrderId", str)


class _Name(str):  # ruff: ignore[subclass-builtin]
    __slots__ = ()


class _Colour(enum.Enum):
    RED = "red"
    BLUE = 7
    GREEN = (1, "g")


class _Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class _Size(enum.StrEnum):
    SMALL = "s"
    LARGE = "l"


class _Flags(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class _Point(NamedTuple):
    x: int
    y: float = 0.5


_Pair = namedtuple("_Pair", "left right")


@attrs.frozen
class _Line:
    name: str
    price: Decimal
    _note: str | None = None


@attrs.define(kw_only=True)
class _Order:
    id: OrderId
    lines: list[_Line]
    placed: datetime
    total: int = attrs.field(init=False, default=0)


@dataclasses.dataclass(frozen=True)
class _Node:
    value: int
    children: "list[_Node]" = dataclasses.field(default_factory=list)
    parent: "_Node | None" = None
    depth: int = dataclasses.field(init=False, default=3)


@attrs.frozen
class _Box(Generic[T]):
    content: T
    others: list[T] = attrs.Factory(list)
    maybe: Optional[T] = None  # ruff: ignore[non-pep604-annotation-optional]


@dataclasses.dataclass
class _Table(Generic[K, T]):
    rows: dict[K, T]


@attrs.frozen
class _IntBox(_Box[int]):
    label: str = ""


class _Movie(TypedDict):
    title: str
    year: NotRequired[int]


@attrs.frozen
class _Card:
    number: str


@dataclasses.dataclass
class _Transfer:
    iban: str
    bank: str | None = None


@attrs.frozen
class _Paid:
    amount: int
    kind: Literal["paid"] = "paid"


@attrs.frozen
class _Refunded:
    amount: int
    kind: Literal["refunded"] = "refunded"


@attrs.frozen
class _Nothing:
    pass


@attrs.frozen
class _Even:
    number: int = attrs.field()

    @number.validator
    def _check(self, _: object, value: int) -> None:
        if value % 2:
            error = ValueError(f"{value} is odd")
            error.add_note("a note that is no part of the path")
            raise error


_LINE = _Line("tea", Decimal("1.50"), "hot")
_NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

_VALUES: list[tuple[object, object]] = [
    (None, None),
    (True, bool),
    (7, int),
    (7, float),
    (7.5, float),
    ("a", str),
    (b"\0\xff", bytes),
    (bytearray(b"ab"), bytearray),
    (_Name("x"), _Name),
    (OrderId("x"), OrderId),
    (Decimal("1.50"), Decimal),
    (UUID(int=5), UUID),
    (_NOON, datetime),
    (datetime(2026, 1, 31, 12, 0, 0, 7), datetime),  # ruff: ignore[call-datetime-without-tzinfo]
    (date(2026, 1, 31), date),
    (time(12, 30), time),
    (timedelta(days=-1, microseconds=1), timedelta),
    (timedelta(days=999_999_999), timedelta),
    (timedelta(seconds=2**33, microseconds=-1), timedelta),
    (PurePosixPath("a/b"), PurePosixPath),
    (Path("a/b"), Path),
    (_Colour.RED, _Colour),
    (_Colour.BLUE, _Colour),
    (_Colour.GREEN, _Colour),
    (_Level.HIGH, _Level),
    (_Size.LARGE, _Size),
    (_Flags.READ | _Flags.WRITE, _Flags),
    (_Flags.READ, _Flags),
    ([1, 2], list[int]),
    ([1, "a"], list),
    ([b"a"], Sequence[bytes]),
    ([b"a"], Iterable[bytes]),
    ((1, 2), tuple[int, ...]),
    ((1, "a", b"b"), tuple[int, str, bytes]),
    ((), tuple[()]),
    ((1, 2), tuple),
    ({1, 2}, set[int]),
    ({b"a"}, MutableSet[bytes]),
    ({b"a"}, AbstractSet[bytes]),
    (frozenset({(1, "a")}), frozenset[tuple[int, str]]),
    (deque([_NOON]), deque[datetime]),
    ({"a": b"b"}, dict[str, bytes]),
    ({"a": b"b"}, Mapping[str, bytes]),
    (OrderedDict(a=1), OrderedDict[str, int]),
    (defaultdict(list, a=[1]), defaultdict[str, list[int]]),
    (Counter("aab"), Counter[str]),
    ({1: "a", -2: "b"}, dict[int, str]),
    ({1.5: "a"}, dict[float, str]),
    ({True: 1, False: 0}, dict[bool, int]),
    ({None: 1}, dict[None, int]),
    ({_Level.LOW: 1}, dict[_Level, int]),
    ({_Colour.RED: 1, _Colour.BLUE: 2}, dict[_Colour, int]),
    ({UUID(int=5): 1}, dict[UUID, int]),
    ({_NOON.date(): 1}, dict[date, int]),
    ({b"a": 1}, dict[bytes, int]),
    ({"a": 1}, dict),
    (_Point(1, 2.5), _Point),
    (_Pair(1, "a"), _Pair),
    (_LINE, _Line),
    (_Order(id=OrderId("a"), lines=[_LINE], placed=_NOON), _Order),
    (_Node(1, [_Node(2), _Node(3, [_Node(4)])], parent=_Node(0)), _Node),
    (_Box(_LINE, [_LINE], _LINE), _Box[_Line]),
    (_Box(_Box(b"a")), _Box[_Box[bytes]]),
    (_Box(1, [2]), _Box),
    (_Table({1: _NOON}), _Table[int, datetime]),
    (_IntBox(1, [2], 3, label="x"), _IntBox),
    ({"title": "Alien"}, _Movie),
    ({"title": "Alien", "year": 1979}, _Movie),
    ("a", Literal["a", 1]),
    (1, Literal["a", 1]),
    (_Colour.RED, Literal[_Colour.RED]),
    (_NOON, Annotated[datetime, "utc"]),
    (_NOON, Final[datetime]),
    (None, _Line | None),
    (_LINE, _Line | None),
    (_LINE, Optional[_Line]),  # ruff: ignore[non-pep604-annotation-optional]
    (1, int | str),
    ("1", int | str),
    (1, float | int),
    (1.5, int | float),
    (True, int | bool),
    (None, int | str | None),
    (_NOON, date | datetime),
    (_NOON.date(), datetime | date),
    (UUID(int=5), Decimal | UUID | None),
    ([1], list[int] | dict[str, int]),
    ({"a": 1}, list[int] | dict[str, int]),
    (_Card("1"), _Card | _Transfer),
    (_Transfer("DE", "x"), _Card | _Transfer),
    (_Transfer("DE"), str | _Card | _Transfer),
    (_Paid(1), _Paid | _Refunded),
    (_Refunded(1), _Paid | _Refunded | None),
    ([_Refunded(1), _Paid(2)], list[_Paid | _Refunded]),
    (_Box(b"a"), _Box[int] | _Box[bytes]),
    ([None], list[None]),
    ((1, None), tuple[int, None]),
    ({"title": "Alien"}, _Card | _Movie),
    ({"anything": [1, None]}, Any),
    ({"anything": [1, None]}, object),
]


@pytest.mark.parametrize(("value", "annotation"), _VALUES)
def test_a_value_survives(value: object, annotation: object) -> None:
    """Encoded and decoded by its annotation it is equal, and of the same type."""
    decoded = _CODEC.decode(_CODEC.encode(value), annotation)
    assert decoded == value
    if annotation not in {float, MutableSet[bytes], AbstractSet[bytes]}:
        assert type(decoded) is type(value)


_STAMPS = st.datetimes(timezones=st.none() | st.timezones(), allow_imaginary=False)
_SCALARS: list[tuple[st.SearchStrategy[Any], object]] = [
    (st.integers(), int),
    (st.floats(allow_nan=False, allow_infinity=False), float),
    (st.text(), str),
    (st.binary(), bytes),
    (_STAMPS.filter(lambda stamp: stamp.fold == 0), datetime),
    (st.dates(), date),
    (st.times(), time),
    (st.timedeltas(timedelta(seconds=1 - 2**33), timedelta(seconds=2**33 - 1)), timedelta),
    (st.decimals(allow_nan=False), Decimal),
    (st.uuids(), UUID),
    (st.sampled_from([_Colour.RED, _Colour.BLUE]), _Colour),
]


@settings(max_examples=100)
@given(data=st.data())
def test_random_values_survive_in_every_collection(data: st.DataObject) -> None:
    """Whatever the scalar: alone, in lists, tuples, sets, as key and value of dicts, in generic classes."""
    strategy, cls = data.draw(st.sampled_from(_SCALARS))
    value = data.draw(strategy)
    for wrapped, annotation in (
        (value, cls),
        ([value], list[cls]),  # type: ignore[valid-type]
        ((value, 1), tuple[cls, int]),  # type: ignore[valid-type]
        ({value}, set[cls]),  # type: ignore[valid-type]
        ({value: [value]}, dict[cls, list[cls]]),  # type: ignore[valid-type]
        (_Box(value, [value]), _Box[cls]),  # type: ignore[valid-type]
        (value, cls | None),
    ):
        assert _CODEC.decode(_CODEC.encode(wrapped), annotation) == wrapped


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(string.ascii_letters), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100)
@given(_JSON)
def test_json_data_stays_as_it_is(data: object) -> None:
    """What is JSON already needs no annotation."""
    assert _CODEC.decode(_CODEC.encode(data)) == data


@pytest.mark.parametrize(
    ("data", "annotation", "message"),
    [
        (1.0, int, "value: expected an integer, got 1.0"),
        (True, int, "value: expected an integer, got True"),
        ("1", int, "value: expected an integer, got '1'"),
        (None, int, "value: expected an integer, got None"),
        (1, str, "value: expected a string, got 1"),
        (1, bool, "value: expected a boolean, got 1"),
        ("1", float, "value: expected a number, got '1'"),
        (True, float, "value: expected a number, got True"),
        (10**400, float, "value: the integer is too large for a float"),
        (1, None, "value: expected None, got 1"),
        ("%", bytes, "value: expected base64, got '%'"),
        ("2026-01-31", datetime, "value: expected a date with a time in ISO 8601, got '2026-01-31'"),
        ("yesterday at noon", datetime, "value: expected a date with a time"),
        ("2026-01-31T12:00", date, "value: expected a date in ISO 8601"),
        ("noon", time, "value: expected a time in ISO 8601, got 'noon'"),
        ("1", timedelta, "value: expected a number of seconds, got '1'"),
        (1e300, timedelta, "value: 1e+300 seconds are too long for a timedelta"),
        (1.5, Decimal, "value: expected a string, got 1.5"),
        ("x", Decimal, "value: expected a decimal number in a string, got 'x'"),
        ("x", UUID, "value: expected a UUID, got 'x'"),
        ("x" * 100, UUID, "value: expected a UUID, got a string"),
        ("green", _Colour, "value: expected a value of _Colour ('red', 7, [1, 'g']), got 'green'"),
        (True, _Level, "value: expected a value of _Level (1, 2), got True"),
        (99, _Flags, "value: expected flags of _Flags, got 99"),
        (True, Literal[1, "a"], "value: expected one of 1, 'a', got True"),
        ("ab", list[str], "value: expected an array, got 'ab'"),
        ({"a": 1}, list[str], "value: expected an array, got an object"),
        ([1, "a"], list[int], "value[1]: expected an integer, got 'a'"),
        ([[1], ["a"]], list[set[int]], "value[1][0]: expected an integer, got 'a'"),
        ([1], tuple[int, int], "value: expected an array of length 2, got one of length 1"),
        ([1, "a"], tuple[int, int], "value[1]: expected an integer, got 'a'"),
        ([1, 2, 3], _Point, "value: expected an array of length 2, got one of length 3"),
        ([1], dict[str, int], "value: expected an object, got an array"),
        ({"a": {"b": "c"}}, dict[str, dict[str, int]], "value['a']['b']: expected an integer, got 'c'"),
        ({"a": 1}, dict[int, int], "value['a']: expected an integer, got 'a'"),
        ({"1.5": 1}, dict[int, int], "value['1.5']: expected an integer, got 1.5"),
        ([], _Line, "value: expected an object, got an array"),
        ({"name": "a"}, _Line, "value.price: is missing"),
        ({"name": "a", "price": "1", "_note": 7}, _Line, "value._note: expected a string, got 7"),
        ({"value": 1, "children": [{"value": "x"}]}, _Node, "value.children[0].value: expected an integer"),
        ({"content": 1, "others": ["a"]}, _Box[int], "value.others[0]: expected an integer, got 'a'"),
        ({"number": 3}, _Even, "value: ValueError: 3 is odd"),
        ({"year": 1979}, _Movie, "value.title: is missing"),
        ({"title": "Alien", "year": "x"}, _Movie, "value.year: expected an integer, got 'x'"),
        ("x", int | None, "value: expected an integer, got 'x'"),
        (1.5, int | str, "value: 1.5 fits no member of the union (int: expected an integer, got 1.5; str: exp"),
        (
            {"iban": 1},
            _Card | _Transfer,
            "value: an object fits no member of the union (_Transfer.iban:",
        ),
        ({}, _Card | _Even, "_Card.number: is missing; _Even.number: is missing"),
        ("x", _Nothing, "value: expected an object, got 'x'"),
        ("x", type, "value: no value of the type <class 'type'> can be made from JSON"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(data: object, annotation: object, message: str) -> None:
    """Nothing is coerced; the error names the place, what was expected and what is there."""
    with pytest.raises(DecodingError) as caught:
        _CODEC.decode(_CODEC.encode(data), annotation)
    assert message in str(caught.value)


def test_fields_that_a_class_does_not_know_are_ignored() -> None:
    """So a newer writer may add some."""
    assert _CODEC.structure({"number": "1", "new": 2}, _Card, where="x") == _Card("1")


def test_places_of_a_named_tuple_with_a_default_may_be_missing() -> None:
    """So an older writer need not know them."""
    assert _CODEC.structure([1], _Point, where="x") == _Point(1)


def test_the_class_whose_fields_match_goes_first_in_a_union() -> None:
    """A class that would fit too, by ignoring a field, does not take it."""

    @attrs.frozen
    class Short:
        a: int

    @attrs.frozen
    class Long:
        a: int
        b: int = 0

    for annotation in (Short | Long, Long | Short):
        assert _CODEC.structure({"a": 1, "b": 2}, annotation, where="x") == Long(1, 2)
        assert _CODEC.structure({"a": 1}, annotation, where="x") == Short(1)


def test_classes_that_data_cannot_tell_apart_are_refused_in_a_union() -> None:
    """Reading one for the other would be silent and wrong."""

    @attrs.frozen
    class Cat:
        name: str

    @attrs.frozen
    class Dog:
        name: str

    with pytest.raises(DecodingError, match=r"Cat and Dog have the same fields.*give each a field like kind"):
        _CODEC.structure({"name": "x"}, Cat | Dog, where="x")


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    """A class that names in a string what its module does not have cannot be read."""

    @attrs.frozen
    class Local:
        other: "Missing"  # type: ignore[name-defined]  # ruff: ignore[undefined-name]

    with pytest.raises(DecodingError, match="names 'Missing', which is not known where the class stands"):
        _CODEC.structure({"other": 1}, Local, where="x")


def test_data_nested_too_deep_for_its_class_is_refused() -> None:
    """It is an error like any other, not the end of the worker."""
    data: dict[str, object] = {"value": 1}
    for _ in range(300):
        data = {"value": 1, "children": [data]}
    with pytest.raises(DecodingError, match="is nested too deep"):
        _CODEC.structure(data, _Node, where="x")
