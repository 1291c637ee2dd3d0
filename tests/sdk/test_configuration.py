"""Configuration: what wins over what, and what is refused, with which words."""

import math
from typing import Any

import pytest

from resonate_trio import Client, Exponential, Resonate, UsageError, WorkerOptions
from resonate_trio._config import load_settings, new_pid
from resonate_trio._options import NO_OPTIONS, Options

ENVIRONMENT = {"RESONATE_URL": "http://env:1/", "RESONATE_TOKEN": " env-token\n", "RESONATE_GROUP": "env-group"}


def test_arguments_win_over_the_environment() -> None:
    """Constructor first."""
    settings = load_settings("https://arg:2/base/", "arg-token", "arg-group", "arg-pid", ENVIRONMENT)
    assert (settings.url, settings.token) == ("https://arg:2/base", "arg-token")
    assert (settings.group, settings.pid) == ("arg-group", "arg-pid")


def test_environment_wins_over_defaults() -> None:
    """Then the environment; a token may come with the end of a line, a URL with a slash."""
    settings = load_settings(None, None, None, None, ENVIRONMENT)
    assert (settings.url, settings.token, settings.group) == ("http://env:1", "env-token", "env-group")


@pytest.mark.parametrize("environment", [{}, dict.fromkeys(ENVIRONMENT, "")], ids=["unset", "empty"])
def test_defaults_are_an_embedded_server_and_the_group_default(environment: dict[str, str]) -> None:
    """A variable that is empty is none."""
    settings = load_settings(None, None, None, None, environment)
    assert (settings.url, settings.token, settings.group) == (None, None, "default")
    assert settings.pid


def test_processes_have_names_of_their_own() -> None:
    """Without '/', which separates a process from its group in an address."""
    assert new_pid() != new_pid()
    assert "/" not in new_pid()


@pytest.mark.parametrize("url", ["localhost:8001", "ftp://host", "http://", "http://host:port", "http://h:99999"])
def test_url_that_cannot_be_meant_is_refused(url: str) -> None:
    """The message quotes it, and says what is expected."""
    with pytest.raises(UsageError, match=r"the server's url is '.*'; it must .*http://"):
        Resonate(url)


@pytest.mark.parametrize(("group", "pid"), [("a/b", None), (None, "a/b")])
def test_name_with_a_slash_is_refused(group: str | None, pid: str | None) -> None:
    """It could not be told apart in an address."""
    with pytest.raises(UsageError, match="'a/b' must not contain '/'"):
        load_settings(None, None, group, pid, {})


def test_real_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """By applications and clients."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert repr(Resonate()) == "<Resonate 'env-group' on http://env:1, closed>"
    assert repr(Client()) == "<Client of http://env:1, closed>"


def test_path_wins_over_the_url_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for a file gets an embedded server."""
    monkeypatch.setenv("RESONATE_URL", "http://env:1")
    assert "embedded" in repr(Resonate(path="app.db"))


def test_server_is_named_once() -> None:
    """Two answers to where the server is are a mistake."""
    with pytest.raises(UsageError, match="give one of them at most"):
        Resonate("http://host", path="app.db")


def test_client_needs_a_url() -> None:
    """It embeds no server."""
    with pytest.raises(UsageError, match=r"needs the URL of a server.*RESONATE_URL"):
        Client()


@pytest.mark.parametrize(
    "options",
    [
        {"capacity": 0},
        {"capacity": 1.5},
        {"capacity": True},
        {"lease": 0.05},
        {"lease": math.inf},
        {"lease": math.nan},
        {"lease": "10"},
        {"grace": -1},
        {"grace": math.nan},
        {"max_parked": -1},
        {"max_parked": 1.5},
        {"pid": ""},
        {"pid": "a/b"},
        {"pid": 7},
    ],
    ids=str,
)
def test_option_of_a_worker_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    """The message quotes it."""
    ((name, value),) = options.items()
    with pytest.raises(UsageError) as raised:
        WorkerOptions(**options)
    assert str(raised.value).startswith(f"{name}={value!r}: ")


def test_options_of_a_worker_have_defaults() -> None:
    """And limits that are allowed."""
    assert WorkerOptions().capacity == 100
    assert WorkerOptions(capacity=1, lease=0.1, grace=math.inf, max_parked=0, pid="p").pid == "p"


@pytest.mark.parametrize(
    "options",
    [
        {"group": ""},
        {"group": "a/b"},
        {"group": 7},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": math.nan},
        {"timeout": "10"},
        {"timeout": True},
        {"version": -1},
        {"version": "1"},
        {"version": 1.0},
        {"retry": 3},
        {"retry": Exponential},
    ],
    ids=str,
)
def test_option_of_an_invocation_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    """The message quotes it."""
    ((name, value),) = options.items()
    with pytest.raises(UsageError) as raised:
        NO_OPTIONS.merged(options)  # type: ignore[arg-type]  # what a program without types may do
    assert str(raised.value).startswith(f"{name}={value!r}")


def test_option_that_does_not_exist_is_refused() -> None:
    """The message lists those that do."""
    with pytest.raises(UsageError, match="has no colour; it takes group, retry, timeout, version"):
        NO_OPTIONS.merged({"colour": "red"})  # type: ignore[typeddict-unknown-key]


def test_options_add_up() -> None:
    """Later ones win, the others stay."""
    options = NO_OPTIONS.merged({"group": "g", "timeout": 1}).merged({"timeout": 2.5, "version": 0})
    assert options == Options(group="g", timeout=2.5, version=0)


def test_options_are_checked_for_their_use() -> None:
    """A retry policy has no meaning elsewhere, a group none here."""
    with pytest.raises(UsageError, match=r"retry= is for local invocations.*@resonate\.register"):
        Options(retry=Exponential()).check_remote()
    with pytest.raises(UsageError, match="group= is for remote invocations"):
        Options(group="g").check_local()
