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
        if self.group is not None and (not self.group or "/" in self.group):
            raise UsageError(f"group={self.group!r} is no name of a group: it must not be empty or contain '/'")
        if self.timeout is not None and (math.isnan(self.timeout) or self.timeout <= 0):
            raise UsageError(f"timeout={self.timeout!r}: a timeout is a number of seconds greater than 0")
        if self.version is not None and self.version < 0:
            raise UsageError(f"version={self.version!r}: a version is an integer, 0 (the newest) or greater")

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


NO_OPTIONS = Options()
