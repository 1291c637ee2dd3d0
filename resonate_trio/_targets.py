"""Whom a remote invocation means: from what a caller writes to a name, a version and a group."""

from collections.abc import Callable, Mapping, Sequence
from typing import final

from attrs import frozen

from ._codec import Call, Codec
from ._options import Options
from ._registry import Registry
from .protocol import PromiseCreate, tags


@final
@frozen
class RemoteCall:
    """A call as it travels: what, where, until when, and what comes back.

    Attributes:
        call: the function's name and version, and its arguments.
        group: the group of workers that executes it.
        timeout: seconds, or None for no limit of its own.
        result_type: what the result is read as.
    """

    call: Call
    group: str
    timeout: float | None
    result_type: object

    def to_create(self, id: str, timeout_at: int, lineage_tags: Mapping[str, str], codec: Codec) -> PromiseCreate:
        """Return the request that invokes it under an id. Raises EncodingError."""
        wire_tags = {**lineage_tags, tags.SCOPE: tags.GLOBAL, tags.TARGET: f"poll://any@{self.group}"}
        return PromiseCreate(id, timeout_at, wire_tags, codec.encode_call(self.call))


def remote_call(
    registry: Registry,
    own_group: str | None,
    options: Options,
    fn: Callable[..., object] | str,
    args: Sequence[object],
    kwargs: Mapping[str, object],
) -> RemoteCall:
    """Find out what a caller means.

    A function that is registered here runs in our own group, if we have one; any other name stands for a service,
    whose group has that name, unless the options say otherwise. What another group runs under a name that is
    registered here too is not known to be the same: its arguments are not checked, its result is plain data.

    Raises:
        UnregisteredFunctionError: `fn` is an object that was not registered.
        UnknownFunctionError: the name is registered here, but not in that version.
        ArgumentsError: the arguments do not fit the function.
        UsageError: the options have no meaning for a remote invocation.
    """
    options.check_remote()
    if isinstance(fn, str):
        is_ours = fn in registry and options.group in {None, own_group}
        function = registry.named(fn, options.version or 0) if is_ours else None
    else:
        function = registry.of(fn)
    if function is None:
        assert isinstance(fn, str)
        # Version 1 is what a name means without a version; some published workers know no "newest" (0).
        call = Call(fn, args, kwargs, 1 if options.version is None else options.version)
        return RemoteCall(call, options.group or fn, options.timeout, object)
    function.check_arguments(args, kwargs)
    version = function.version if options.version is None else options.version
    timeout = function.timeout if options.timeout is None else options.timeout
    call = Call(function.name, args, kwargs, version)
    return RemoteCall(call, options.group or own_group or function.name, timeout, function.result_type)
