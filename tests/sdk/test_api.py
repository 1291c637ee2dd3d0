"""What `import resonate_trio` gives: exactly this."""

import inspect

import pytest

import resonate_trio

EXPORTS = {
    "ArgumentsError",
    "AuthenticationError",
    "CancelScope",
    "Client",
    "Constant",
    "Context",
    "DecodingError",
    "DivergenceError",
    "EncodingError",
    "Exponential",
    "Handle",
    "Instrument",
    "InvocationCancelled",
    "InvocationFailed",
    "InvocationTimedOut",
    "Linear",
    "Never",
    "Nursery",
    "PermissionDeniedError",
    "PromiseNotFoundError",
    "Promises",
    "Registry",
    "RemoteError",
    "RequestRefusedError",
    "Resonate",
    "ResonateError",
    "RootHandle",
    "Schedule",
    "ScheduleNotFoundError",
    "Schedules",
    "ServerError",
    "ServerUnreachableError",
    "UnknownFunctionError",
    "UnregisteredFunctionError",
    "UsageError",
    "WorkerOptions",
}
BASES = {"Instrument", "InvocationFailed", "ResonateError", "UsageError"}
"""Those that may be subclassed: hooks to override, and errors that others are kinds of."""


def members(cls: type) -> list[tuple[str, object]]:
    """Return the public members of a class, inherited ones included."""
    found = inspect.getmembers(cls, lambda member: callable(member) or isinstance(member, property))
    return [(name, member) for name, member in found if not name.startswith("_")]


def test_exports_are_exactly_these() -> None:
    """A name that is added or lost is a decision, not an accident."""
    assert set(resonate_trio.__all__) == EXPORTS
    assert resonate_trio.__all__ == sorted(resonate_trio.__all__)


def test_nothing_else_is_public() -> None:
    """What is not exported is a module, or begins with an underscore."""
    names = {name for name in vars(resonate_trio) if not name.startswith("_")} - EXPORTS
    assert {name for name in names if not inspect.ismodule(getattr(resonate_trio, name))} == set()


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_export_says_where_it_is_imported_from(name: str) -> None:
    """In tracebacks and documentation it stands under the name that users write."""
    assert getattr(resonate_trio, name).__module__ == "resonate_trio"


@pytest.mark.parametrize("name", sorted(EXPORTS - BASES))
def test_concrete_class_is_final(name: str) -> None:
    """Nobody builds on what is not meant for it."""
    assert getattr(getattr(resonate_trio, name), "__final__", False)


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_export_is_documented(name: str) -> None:
    """With all its public methods and properties."""
    cls = getattr(resonate_trio, name)
    assert cls.__doc__
    assert [member for member, value in members(cls) if not inspect.getdoc(value)] == []
