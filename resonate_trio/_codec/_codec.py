"""What is stored in a promise: Python values, calls and failures as base64 of their JSON."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, final

from attrs import Factory, field, frozen
from cattrs import Converter

from resonate_trio._errors import DecodingError, EncodingError, RemoteError
from resonate_trio.protocol import EMPTY, Value

from ._error_classes import ErrorClasses
from ._error_reading import error_from_json
from ._error_writing import error_to_json
from ._reading import named
from ._structure import make_converter, structure
from ._unstructure import unstructure

MAX_STEPS: Final = 1_000
"""How many functions are remembered as they are stored."""

ENCODER: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


@final
@frozen
class Call:
    """What a promise with a target asks for.

    Attributes:
        func: name of the function.
        args: its positional arguments.
        kwargs: its keyword arguments.
        version: its version; 0 means the newest that the worker has.
    """

    func: str
    args: Sequence[object] = ()
    kwargs: Mapping[str, object] = Factory(dict)
    version: int = 1


@final
@frozen
class Codec:
    """Turns Python values into the payloads that promises hold, and back.

    It remembers how to read each class that it has read once, so one is made and used for all.

    Attributes:
        errors: the exception classes that are built again where they are read.
        worker: for whom errors are written, as `group/pid`.
    """

    errors: ErrorClasses = Factory(ErrorClasses)
    worker: str | None = None
    _converter: Converter = field(init=False, factory=make_converter, eq=False, repr=False)
    _steps: dict[tuple[str, int], Value] = field(init=False, factory=dict, eq=False, repr=False)

    # --- Values -----------------------------------------------------------------------------------

    def encode(self, value: object, *, path: str = "value") -> Value:
        """Return `value` as a payload. None is nothing.

        Args:
            value: what `EncodingError` lists, nested as one likes.
            path: what error messages call it.

        Raises:
            EncodingError: it, or something in it, cannot be encoded.
        """
        return _payload(unstructure(value, path), path)

    def decode(self, value: Value, type: object = object, *, where: str = "value") -> object:
        """Return the value of a payload.

        Args:
            value: the payload.
            type: the annotation to read it by; with `object` it stays JSON data.
            where: what error messages call it.

        Raises:
            DecodingError: it is no payload, or does not fit the annotation.
        """
        return self.structure(_json_of(value, where), type, where=where)

    def structure(self, data: object, type: object, *, where: str) -> object:
        """Return JSON data as a value of the annotation `type`. Raises DecodingError if it does not fit."""
        return structure(self._converter, data, type, where)

    # --- Calls ------------------------------------------------------------------------------------

    def encode_call(self, call: Call) -> Value:
        """Return a call as a payload.

        Raises:
            EncodingError: an argument cannot be encoded; the path begins with `args[0]` or `kwargs['name']`.
        """
        data: dict[str, object] = {"func": call.func, "args": unstructure(list(call.args), "args")}
        if call.kwargs:
            data["kwargs"] = unstructure(dict(call.kwargs), "kwargs")
        data["version"] = call.version
        return _payload(data, "args")

    def encode_step(self, func: str, version: int) -> Value:
        """Return the call of a function whose arguments are not stored. It is the same each time, and kept."""
        value = self._steps.get((func, version))
        if value is None:
            if len(self._steps) >= MAX_STEPS:
                self._steps.clear()
            value = self._steps[func, version] = self.encode_call(Call(func, (), {}, version))
        return value

    def decode_call(self, value: Value) -> Call:
        """Return the call in a payload, its arguments as JSON data.

        Other clients leave out what is empty, and mean version 1 if they name none.

        Raises:
            DecodingError: the payload is no call.
        """
        data = _json_of(value, "call")
        if not isinstance(data, dict):
            raise DecodingError("call", f"expected an object with a function's name, got {named(data)}")
        func, version = data.get("func"), data.get("version", 1)
        args, kwargs = data.get("args"), data.get("kwargs")
        if not isinstance(func, str):
            raise DecodingError("call.func", f"expected a string, got {named(func)}")
        if args is not None and not isinstance(args, list):
            raise DecodingError("call.args", f"expected an array, got {named(args)}")
        if kwargs is not None and not isinstance(kwargs, dict):
            raise DecodingError("call.kwargs", f"expected an object, got {named(kwargs)}")
        if type(version) is not int or version < 0:
            raise DecodingError("call.version", f"expected an integer, 0 or greater, got {named(version)}")
        return Call(func, args or (), kwargs or {}, version)

    # --- Failures ---------------------------------------------------------------------------------

    def encode_error(self, error: BaseException) -> Value:
        """Return an exception as a payload. Whatever the exception is, this does not fail."""
        return _payload(error_to_json(error, self.errors, self.worker), "error")

    def decode_error(self, value: Value, *, id: str) -> Exception:
        """Return the exception that the rejected promise `id` holds. Whatever it holds, this does not fail.

        Returns:
            An exception of Python's own or of a registered class, built again; a group, with its members; or a
            RemoteError.
        """
        try:
            data = _json_of(value, "error")
        except DecodingError as error:
            data, message = value.data, f"(what is stored about it cannot be read: {error.reason})"
            return RemoteError(id, type_name="Error", message=message, data=data)
        return error_from_json(data, id, self.errors, self._converter)


def _payload(data: object, path: str) -> Value:
    if data is None:
        return EMPTY
    try:
        text = ENCODER.encode(data)
    except ValueError:
        # Everything else has been checked. Python refuses to write integers of thousands of digits.
        raise EncodingError(path, int, "has an integer with more digits than Python converts") from None
    return Value(data=b64encode(text.encode("ascii")).decode("ascii"))


def _json_of(value: Value, where: str) -> object:
    if not value.data:
        return None
    try:
        raw = b64decode(value.data, validate=True)
    except ValueError:
        raise DecodingError(where, "the payload is no base64") from None
    try:
        return DECODER.decode(raw.decode())
    except UnicodeDecodeError:
        raise DecodingError(where, "the payload is no UTF-8; is it encrypted?") from None
    except RecursionError:
        raise DecodingError(where, "the payload is nested too deep") from None
    except ValueError as error:
        raise DecodingError(where, f"the payload is no JSON: {error}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")


DECODER: Final = json.JSONDecoder(parse_constant=_refuse)
