"""The codec: payloads, calls, and what cannot be encoded."""

import json
import socket
from base64 import b64decode, b64encode
from collections import UserDict
from datetime import timedelta

import pytest
from attrs import define, frozen

from resonate_trio._codec import Call, Codec
from resonate_trio._errors import DecodingError, EncodingError
from resonate_trio.protocol import EMPTY, Value

_CODEC = Codec()


@frozen
class _Line:
    name: str
    item: object


@define
class _Order:
    id: int
    lines: list[_Line]


def _json(value: Value) -> object:
    assert value.data is not None
    return json.loads(b64decode(value.data))


def _payload(text: str | bytes) -> Value:
    return Value(data=b64encode(text.encode() if isinstance(text, str) else text).decode())


# --- Payloads -------------------------------------------------------------------------------------


def test_a_payload_is_base64_of_json() -> None:
    """As every client of the protocol writes it."""
    value = _CODEC.encode({"a": [1, "ü", None]})
    assert value.headers is None
    assert _json(value) == {"a": [1, "ü", None]}


def test_none_is_no_payload() -> None:
    """Nothing is stored for it, and nothing reads as None, in each form that clients write nothing in."""
    assert _CODEC.encode(None) == EMPTY
    for nothing in (EMPTY, Value(data=""), Value(headers={}, data=None), _payload("null")):
        assert _CODEC.decode(nothing) is None


def test_without_annotation_data_stays_as_it_is() -> None:
    """Whoever does not say what they want gets plain JSON data."""
    assert _CODEC.decode(_payload('{"a": [1, 2.5, true]}')) == {"a": [1, 2.5, True]}


def test_integers_are_of_any_size() -> None:
    """Nothing is rounded to a float."""
    assert _CODEC.decode(_CODEC.encode(2**200 + 1), int) == 2**200 + 1


def test_lone_surrogates_survive() -> None:
    """Text that is no valid Unicode, as a file's name may be, does not break a payload."""
    assert _CODEC.decode(_CODEC.encode("a\udc80"), str) == "a\udc80"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Value(data="%"), "the payload is no base64"),
        (Value(data="ü"), "the payload is no base64"),
        (_payload(b"\xff\xfe"), "the payload is no UTF-8; is it encrypted?"),
        (_payload("{"), "the payload is no JSON"),
        (_payload("[NaN]"), "NaN is no number in JSON"),
        (_payload("[" * 100_000), "the payload is nested too deep"),
    ],
)
def test_a_broken_payload_is_told(value: Value, reason: str) -> None:
    """The error says which layer is broken, and in what."""
    with pytest.raises(DecodingError, match=rf"^the result of 'a': .*{reason}"):
        _CODEC.decode(value, where="the result of 'a'")


# --- What cannot be encoded -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), "value"),
        ([1, [object()]], "value[1][0]"),
        ((1, {object()}), "value[1][0]"),
        ({"a": {"b": object()}}, "value['a']['b']"),
        ({3: object()}, "value[3]"),
        (_Order(1, [_Line("x", 1), _Line("y", {"z": object()})]), "value.lines[1].item['z']"),
    ],
)
def test_what_cannot_be_encoded_is_named_with_its_path(value: object, path: str) -> None:
    """Through lists, tuples, sets, dicts and classes."""
    with pytest.raises(EncodingError) as caught:
        _CODEC.encode(value)
    assert caught.value.path == path
    assert caught.value.value_type == "object"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([float("nan")], r"value\[0\]: nan cannot be encoded: JSON has no such number"),
        ([float("-inf")], r"value\[0\]: -inf cannot be encoded"),
        ({(1, 2): 3}, r"value: the key \(1, 2\) cannot be encoded: it is no scalar"),
        ({1: "a", "1": "b"}, "value: has two keys that JSON both writes as '1'"),
        (timedelta.max, "value: .* is too long to keep its microseconds"),
        (timedelta(seconds=2**33, microseconds=1), "value: .* is too long to keep its microseconds"),
        ([ValueError("x")], r"value\[0\]: ValueError cannot be encoded"),
        (iter([1]), "value: list_iterator cannot be encoded"),
    ],
)
def test_what_would_be_lost_is_refused(value: object, reason: str) -> None:
    """Rather an error than another value on the other side."""
    with pytest.raises(EncodingError, match=f"^{reason}"):
        _CODEC.encode(value)


def test_an_integer_of_thousands_of_digits_is_refused() -> None:
    """Python does not convert it to text, nor would it read it back."""
    with pytest.raises(EncodingError, match=r"^args: has an integer with more digits than Python converts"):
        _CODEC.encode([10**5000], path="args")


def test_a_value_that_contains_itself_is_refused() -> None:
    """Instead of never ending."""
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(EncodingError, match=r"^result: is nested too deep, or contains itself"):
        _CODEC.encode(loop, path="result")


def test_sets_are_written_in_one_order() -> None:
    """Equal sets give equal payloads, in whatever order they were filled: replay compares payloads."""
    items = ["b", "a", "c", "aa"]
    assert _json(_CODEC.encode(set(items))) == ["a", "aa", "b", "c"]
    assert _CODEC.encode({1, 2, 3, "x", None}) == _CODEC.encode({None, "x", 3, 2, 1})


def test_any_mapping_is_an_object() -> None:
    """Not only dict."""
    assert _json(_CODEC.encode(UserDict({"a": 1}))) == {"a": 1}


# --- Calls ----------------------------------------------------------------------------------------


def test_a_call_has_the_form_of_the_protocol() -> None:
    """What is empty among the keyword arguments is left out."""
    assert _json(_CODEC.encode_call(Call("foo", [1, _Line("a", 2)], {"k": {3}}, 2))) == {
        "func": "foo",
        "args": [1, {"name": "a", "item": 2}],
        "kwargs": {"k": [3]},
        "version": 2,
    }
    assert _json(_CODEC.encode_call(Call("foo"))) == {"func": "foo", "args": [], "version": 1}


def test_a_call_survives() -> None:
    """Arguments come back as JSON data."""
    call = Call("foo", (1, "a"), {"k": [3]}, 2)
    assert _CODEC.decode_call(_CODEC.encode_call(call)) == Call("foo", [1, "a"], {"k": [3]}, 2)


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ('{"func": "foo", "args": [1], "version": 1}', Call("foo", [1], {}, 1)),
        ('{"func": "foo", "args": [], "kwargs": {}, "version": 0, "retry": {}}', Call("foo", (), {}, 0)),
        ('{"func": "foo"}', Call("foo", (), {}, 1)),
        ('{"func": "foo", "args": null, "kwargs": null}', Call("foo", (), {}, 1)),
    ],
)
def test_calls_of_other_clients_are_read(text: str, call: Call) -> None:
    """They leave out what is empty, and mean version 1 where they name none."""
    assert _CODEC.decode_call(_payload(text)) == call


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("null", "call: expected an object with a function's name, got None"),
        ("[]", "call: expected an object with a function's name, got an array"),
        ('{"args": []}', r"call\.func: expected a string, got None"),
        ('{"func": "foo", "args": {}}', r"call\.args: expected an array, got an object"),
        ('{"func": "foo", "kwargs": []}', r"call\.kwargs: expected an object, got an array"),
        ('{"func": "foo", "version": "1"}', r"call\.version: expected an integer, 0 or greater, got '1'"),
        ('{"func": "foo", "version": true}', r"call\.version: .* got True"),
        ('{"func": "foo", "version": -1}', r"call\.version: .* got -1"),
    ],
)
def test_what_is_no_call_is_refused(text: str, message: str) -> None:
    """The error names the part."""
    with pytest.raises(DecodingError, match=f"^{message}"):
        _CODEC.decode_call(_payload(text))


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (Call("foo", [1, _Line("a", socket.socket)]), "args[1].item"),
        (Call("foo", [], {"k": _Line("a", object())}), "kwargs['k'].item"),
    ],
)
def test_an_argument_that_cannot_be_encoded_is_named(call: Call, path: str) -> None:
    """By its place among the arguments, and the place in it."""
    with pytest.raises(EncodingError) as caught:
        _CODEC.encode_call(call)
    assert caught.value.path == path
