"""The functions that an application offers, by name and version; and its exception classes."""

import inspect
import math
from collections.abc import Callable
from typing import Final, final

from attrs import Factory, frozen

from resonate_trio._codec import ErrorClasses
from resonate_trio._errors import UnknownFunctionError, UnregisteredFunctionError, UsageError
from resonate_trio._retry import Constant, Exponential, Linear, Never, RetryPolicy

from ._function import Function
from ._inspection import check_callable, describe

# How many callables that were not registered are remembered, so that a step in a loop is inspected once. A program
# that makes a new lambda for each call must not fill the memory.
MAX_ADHOC: Final = 256


@final
@frozen(eq=False)
class Registry:
    """The functions that an application offers, by name and version; and its exception classes.

    Attributes:
        errors: the exception classes.
    """

    errors: ErrorClasses = Factory(ErrorClasses)
    _by_name: dict[str, dict[int, Function]] = Factory(dict)
    _by_object: dict[tuple[int, ...], Function] = Factory(dict)
    _adhoc: dict[tuple[int, ...], Function] = Factory(dict)

    def register(
        self,
        fn: Callable[..., object],
        *,
        name: str | None = None,
        version: int = 1,
        retry: RetryPolicy | None = None,
        timeout: float | None = None,
    ) -> Function:
        """Offer a function. Doing so again with the same options changes nothing.

        Args:
            fn: the function.
            name: what it is invoked by; its own name if None.
            version: 1 or greater. A name may be registered at several versions.
            retry: its policy; None: that of the application.
            timeout: how long an invocation of it may take, in seconds; None: the default.

        Raises:
            UsageError: it cannot be a durable function, an option makes no sense, or its name and version
                are taken.
        """
        check_callable(fn)
        function = Function(_name(fn, name), version, fn, retry, timeout)
        _check_options(function)
        versions = self._by_name.setdefault(function.name, {})
        present = versions.get(version)
        if present is not None:
            _check_same(present, function)
            return present
        versions[version] = function
        self._by_object[_identity(fn)] = function
        return function

    def register_error(self, cls: type[Exception], *, name: str | None = None) -> None:
        """Have an exception class built again where its exceptions are read, as `Resonate.register_error`.

        Raises:
            UsageError: it cannot be registered, or it or its name is registered already.
        """
        self.errors.add(cls, name)

    def named(self, name: str, version: int = 0) -> Function:
        """Return the function of this name and version; 0 means the newest. Raises UnknownFunctionError."""
        versions = self._by_name.get(name, {})
        function = versions.get(version or max(versions, default=0))
        if function is None:
            raise UnknownFunctionError(name, version, self._listed())
        return function

    def of(self, fn: Callable[..., object]) -> Function:
        """Return what a function object was registered as, last if more than once.

        Raises:
            UnregisteredFunctionError: it was not.
        """
        function = self._by_object.get(_identity(fn))
        if function is None:
            raise UnregisteredFunctionError(fn)
        return function

    def adhoc(self, fn: Callable[..., object]) -> Function:
        """Return a function for a local call of any callable; what it was registered as, if it was.

        Raises:
            UsageError: it can be no durable function.
        """
        key = _identity(fn)
        function = self._by_object.get(key) or self._adhoc.get(key)
        if function is None:
            check_callable(fn)
            function = Function(describe(fn), 1, fn)
            if len(self._adhoc) >= MAX_ADHOC:
                self._adhoc.clear()
            self._adhoc[key] = function  # which keeps `fn` alive, so that nothing else gets its id
        return function

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def _listed(self) -> list[str]:
        listed = []
        for name, versions in sorted(self._by_name.items()):
            several = f" (versions {', '.join(map(str, sorted(versions)))})" if set(versions) != {1} else ""
            listed.append(name + several)
        return listed


def _identity(fn: object) -> tuple[int, ...]:
    """Return what tells a function object from all others, hashable or not.

    A bound method is a new object each time it is looked up, so it is known by its parts.
    """
    return (id(fn.__self__), id(fn.__func__)) if inspect.ismethod(fn) else (id(fn),)


def _name(fn: Callable[..., object], name: str | None) -> str:
    if name is None:
        name = getattr(fn, "__name__", None)
        if name is None or name == "<lambda>":
            raise UsageError(f'{describe(fn)} has no name of its own: give it one with name="…"')
    if not isinstance(name, str) or not name:
        raise UsageError(f"name={name!r}: the name of a function is a string that is not empty")
    return name


def _check_options(function: Function) -> None:
    version, retry, timeout = function.version, function.retry, function.timeout
    if type(version) is not int or version < 1:
        raise UsageError(f"{function.name}: version={version!r}: a version is an integer, 1 or greater")
    if retry is not None and not isinstance(retry, Exponential | Linear | Constant | Never):
        raise UsageError(
            f"{function.name}: retry={retry!r}: a policy is Exponential(), Linear(), Constant() or Never()"
        )
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and 0 < timeout < math.inf):
        raise UsageError(f"{function.name}: timeout={timeout!r}: a timeout is a number of seconds above 0")


def _check_same(present: Function, function: Function) -> None:
    if _identity(present.call) != _identity(function.call):
        raise UsageError(
            f"{function.name!r} version {function.version} is registered already, as {describe(present.call)}: "
            f"give {describe(function.call)} another name= or version="
        )
    if (present.retry, present.timeout) != (function.retry, function.timeout):
        raise UsageError(
            f"{function.name!r} version {function.version} is registered already with other options: "
            f"register it once"
        )
