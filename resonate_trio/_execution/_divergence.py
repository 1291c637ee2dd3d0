"""Replays are checked: is what is stored at an id what the code asks for there?"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from resonate_trio._codec import Codec
from resonate_trio._errors import DecodingError, DivergenceError, EncodingError
from resonate_trio.protocol import Promise, PromiseCreate, Value, tags as tag

ARGUMENTS: Final = "resonate-trio-arguments"
"""The header of the parameter of a local invocation that tells its arguments from others."""
DIGEST_LENGTH: Final = 16


def with_arguments(param: Value, args: object, kwargs: object, codec: Codec) -> Value:
    """Return the parameter of a local invocation with a digest of its arguments, if these can be encoded.

    The arguments themselves stay in the process, and may be anything.
    """
    try:
        encoded = codec.encode([args, kwargs]).data or ""
    except EncodingError:
        return param
    return Value({ARGUMENTS: sha256(encoded.encode()).hexdigest()[:DIGEST_LENGTH]}, param.data)


def divergence(request: PromiseCreate, stored: Promise, codec: Codec) -> DivergenceError | None:
    """Return the error if a stored promise is not the one that is asked for.

    Compared are kind, function and arguments. A version may differ: which one runs was decided when the
    invocation was stored. So may deadlines: those of the first run hold.
    """
    asked_kind, stored_kind = _kind(request.tags), _kind(stored.tags)
    if asked_kind == stored_kind and request.param == stored.param:
        return None
    asked, found = (
        _described(kind, value, codec)
        for kind, value in ((asked_kind, request.param), (stored_kind, stored.param))
    )
    if asked_kind == stored_kind and (_agree(request.param, stored.param, codec)):
        return None
    if asked == found:
        found += " with other arguments"
    return DivergenceError(request.id, asked=asked, stored=found)


def _kind(tags: Mapping[str, str]) -> str:
    if tag.is_timer(tags):
        return "timer"
    if tag.has_task(tags):
        return "detached" if tags.get(tag.DETACHED) == "true" else "remote"
    return "local" if tags.get(tag.SCOPE) == tag.LOCAL else "external"


def _agree(asked: Value, stored: Value, codec: Codec) -> bool:
    """Tell whether two parameters mean the same call. One that is empty says nothing, and agrees."""
    if asked.data is None or stored.data is None:
        return True
    digests = [(value.headers or {}).get(ARGUMENTS) for value in (asked, stored)]
    if None not in digests and digests[0] != digests[1]:
        return False
    try:
        calls = [codec.decode_call(value) for value in (asked, stored)]
    except DecodingError:
        return asked.data == stored.data
    first, second = ((call.func, list(call.args), dict(call.kwargs)) for call in calls)
    return first == second


def _described(kind: str, param: Value, codec: Codec) -> str:
    names = {
        "timer": "a timer",
        "detached": "a detached invocation",
        "remote": "a remote invocation",
        "local": "a local invocation",
        "external": "a promise",
    }
    if param.data is None:
        return names[kind]
    try:
        call = codec.decode_call(param)
    except DecodingError:
        return f"{names[kind]} that cannot be read"
    arguments = [repr(value) for value in call.args] + [f"{name}={value!r}" for name, value in call.kwargs.items()]
    shown = ", ".join(arguments)
    return f"{names[kind]} of {call.func}({shown if len(shown) <= 200 else shown[:200] + '…'})"
