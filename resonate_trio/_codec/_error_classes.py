"""The exception classes that are built again where an error is read: Python's, ours, and registered ones."""

import builtins
from collections.abc import Mapping
from typing import Final, final

import trio
from attrs import Factory, frozen

from resonate_trio import _errors
from resonate_trio._errors import RemoteError, ResonateError, UsageError

# A StopIteration is left out: Python turns one that leaves a coroutine into a RuntimeError.
_NEVER: Final = (StopIteration, StopAsyncIteration)

OF_PYTHON: Final[Mapping[str, type[Exception]]] = {
    name: cls
    for name, cls in vars(builtins).items()
    if isinstance(cls, type)
    and issubclass(cls, Exception)
    and not issubclass(cls, (BaseExceptionGroup, *_NEVER))
    and cls.__name__ == name
}
OF_TRIO: Final[Mapping[str, type[Exception]]] = {"TooSlowError": trio.TooSlowError}
# Their constructors make messages out of facts; what travels is the message made, and the facts as attributes.
OF_THIS_PACKAGE: Final[Mapping[str, type[ResonateError]]] = {
    name: cls
    for name, cls in vars(_errors).items()
    if isinstance(cls, type) and issubclass(cls, ResonateError) and cls is not RemoteError
}
_TAKEN: Final = OF_PYTHON.keys() | OF_TRIO.keys() | OF_THIS_PACKAGE.keys()


@final
@frozen(eq=False)
class ErrorClasses:
    """The exception classes that an application has registered, by the names that they travel by."""

    _by_name: dict[str, type[Exception]] = Factory(dict)
    _names: dict[type[BaseException], str] = Factory(dict)

    def add(self, cls: type[Exception], name: str | None = None) -> None:
        """Register a class. Doing so again with the same name changes nothing.

        Args:
            cls: the class. Its subclasses are not meant.
            name: what it travels by; its own name if None.

        Raises:
            UsageError: it is no class of exceptions that can be registered, or it or its name is registered
                already.
        """
        name = _checked(cls, name)
        if self._by_name.get(name, cls) is not cls:
            raise UsageError(
                f"an exception class {name!r} is registered already: give {cls.__qualname__} another name="
            )
        if self._names.get(cls, name) != name:
            raise UsageError(
                f"{cls.__qualname__} is registered already, as {self._names[cls]!r}: register it once"
            )
        self._by_name[name] = cls
        self._names[cls] = name

    def named(self, name: object) -> type[Exception] | None:
        """Return the class that is registered by this name."""
        return self._by_name.get(name) if isinstance(name, str) else None

    def name_of(self, cls: type[BaseException]) -> str | None:
        """Return the name that exactly this class is registered by."""
        return self._names.get(cls)


def _checked(cls: type[Exception], name: str | None) -> str:
    if not isinstance(cls, type) or not issubclass(cls, Exception) or issubclass(cls, _NEVER):
        raise UsageError(f"{cls!r} cannot be registered as an error: give a subclass of Exception")
    if issubclass(cls, RemoteError) or cls in {Exception, ExceptionGroup} or _is_known(cls):
        raise UsageError(f"{cls.__qualname__} needs no registration: every process knows it")
    name = cls.__name__ if name is None else name
    if not isinstance(name, str) or not name:
        raise UsageError(f"name={name!r}: the name of an exception class is a string that is not empty")
    if name in _TAKEN:
        raise UsageError(
            f"{name!r} is the name of another exception, which every process knows: give {cls.__qualname__} "
            f'another one with name="…"'
        )
    return name


def _is_known(cls: type[Exception]) -> bool:
    tables: tuple[Mapping[str, type[Exception]], ...] = (OF_PYTHON, OF_TRIO, OF_THIS_PACKAGE)
    return any(table.get(cls.__name__) is cls for table in tables)
