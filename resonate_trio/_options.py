"""Options of an invocation: what `options(...)` takes."""

import math
from typing import TypedDict, final

import attrs

from ._errors import UsageError
from ._retry import RetryPolicy


class OptionValues(TypedDict, total=False):
    """The keywords of `options(...)`."""

    group: str
    timeout: float
    version: int
    retry: RetryPolicy


@final
@attrs.frozen
class Options:
    """How an invocation is to be made. None means: what the function's registration says, else the default.

    Attributes:
        group: the group of workers that executes it (remote invocations only).
        timeout: seconds until the invocation times out; it never outlives the caller's own deadline.
        version: the version of the function; 0 is the newest that the executing worker has. Without one, it is the
            newest that is registered here, or 1.
        retry: how failed attempts are repeated (local invocations only; a remote function is repeated as
            its own registration says).
    """

    group: str | None = None
    timeout: float | None = None
    version: int | None = None
    retry: RetryPolicy | None = None

    def __attrs_post_init__(self) -> None:
        group, timeout, version, retry = self.group, self.timeout, self.version, self.retry
        if group is not None and not (isinstance(group, str) and group and "/" not in group):
            raise UsageError(f"group={group!r} is no name of a group: a string, not empty, without '/'")
        if timeout is not None and not (is_number(timeout) and timeout > 0):
            raise UsageError(f"timeout={timeout!r}: a timeout is a number of seconds greater than 0")
        if version is not None and not (type(version) is int and version >= 0):
            raise UsageError(f"version={version!r}: a version is an integer, 0 (the newest) or greater")
        if retry is not None and not isinstance(retry, RetryPolicy):
            raise UsageError(f"retry={retry!r}: a policy is Exponential(), Linear(), Constant() or Never()")

    def merged(self, values: OptionValues) -> "Options":
        """Return these options with some of them replaced."""
        unknown = set(values) - OptionValues.__optional_keys__
        if unknown:
            known = ", ".join(sorted(OptionValues.__optional_keys__))
            raise UsageError(f"options() has no {', '.join(sorted(unknown))}; it takes {known}")
        return attrs.evolve(self, **values)

    def check_remote(self) -> None:
        """Refuse what has no meaning for a remote invocation."""
        if self.retry is not None:
            raise UsageError(
                "retry= is for local invocations: a remote function is retried where it runs, "
                "as @resonate.register(retry=...) says there"
            )

    def check_local(self) -> None:
        """Refuse what has no meaning for a local invocation."""
        if self.group is not None:
            raise UsageError("group= is for remote invocations (rfi, rfc, detached): lfi and lfc run right here")


def is_number(value: object) -> bool:
    """Tell whether a value is a number, as far as options are concerned."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


NO_OPTIONS = Options()
