"""The commands that look at an invocation, cancel it, or let it go on: what they say, and their exit statuses."""

import re
from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

import anyio
import pytest
from click.testing import CliRunner, Result

from resonate_trio import Client, InvocationCancelled
from resonate_trio._codec import Codec
from resonate_trio._transport import HttpTransport, Link, accepted
from resonate_trio.cli import main
from resonate_trio.protocol import (
    Empty,
    PromiseCreate,
    PromiseReply,
    PromiseSettle,
    PromiseState,
    Request,
    TaskGet,
    TaskHalt,
    TaskReply,
    TaskState,
    tags,
)
from server_ref.machine import Extensions

from .http_kit import answering, refusal, serving

T = TypeVar("T")


@pytest.fixture(scope="module")
def url(server_extensions: Extensions) -> Generator[str]:
    """Run a server, and return its URL."""
    with serving(server_extensions) as url:
        yield url


@pytest.fixture
def id(request: pytest.FixtureRequest) -> str:
    """Return an id for an invocation that no other test uses."""
    return str(request.node.name)


def with_client(url: str, act: Callable[[Client], Awaitable[T]]) -> T:
    """Do something with a client."""

    async def run() -> T:
        async with Client(url) as client:
            return await act(client)

    return anyio.run(run, backend="trio")


def ask(url: str, request: Request, reply: type[T]) -> T:
    """Have the server perform a request."""

    async def run() -> T:
        async with HttpTransport(url) as transport:
            return accepted(await Link(transport).ask(request), reply)

    return anyio.run(run, backend="trio")


def invoke(url: str, id: str) -> None:
    """Invoke a function that nobody executes."""
    with_client(url, lambda client: client.options(timeout=3600).rfi(id, "pay", "Ann", 5, note="ü"))


def command(*arguments: str, **environment: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, arguments, env=environment)


# --- cancel ---------------------------------------------------------------------------------------


def test_cancel_ends_an_invocation(url: str, id: str) -> None:
    """Whoever awaits it hears why."""
    invoke(url, id)
    done = command("cancel", id, "--budget", "0.01", "--reason", "out of money", "--url", url)
    assert (done.exit_code, done.output) == (0, f"{id} is cancelled\n")

    async def await_it(client: Client) -> None:
        with pytest.raises(InvocationCancelled, match="by a client: out of money"):
            await (await client.get(id))

    with_client(url, await_it)


@pytest.mark.needs_extension("cancel")
def test_cancel_need_not_wait(url: str, id: str) -> None:
    """The server sees to it."""
    invoke(url, id)
    done = command("cancel", id, "--no-wait", "--budget", "0.01", "--url", url)
    assert (done.exit_code, done.output) == (0, f"{id} is asked to end within 0.01 s\n")
    assert command("cancel", id, "--url", url).output == f"{id} is cancelled\n"


def test_cancel_says_if_it_came_too_late(url: str, id: str) -> None:
    """What has a result keeps it."""
    invoke(url, id)
    ask(url, PromiseSettle(id, PromiseState.RESOLVED), PromiseReply)
    done = command("cancel", id, "--url", url)
    assert (done.exit_code, done.stderr) == (
        1,
        f"Error: {id} was not cancelled: it had ended before, as resolved\n",
    )


# --- continue -------------------------------------------------------------------------------------


def test_continue_lets_a_halted_invocation_go_on(url: str, id: str) -> None:
    """Its task is dispatched again."""
    invoke(url, id)
    ask(url, TaskHalt(id), Empty)
    done = command("continue", id, "--url", url)
    assert (done.exit_code, done.output) == (0, f"{id} goes on\n")
    assert ask(url, TaskGet(id), TaskReply).task.state is TaskState.PENDING


def test_continue_says_if_there_is_nothing_to_do(url: str, id: str) -> None:
    """With the state of the task."""
    invoke(url, id)
    done = command("continue", id, "--url", url)
    assert (done.exit_code, done.stderr) == (1, f"Error: {id} is not halted: its task is pending\n")


# --- get ------------------------------------------------------------------------------------------


def shown(url: str, id: str) -> list[str]:
    """Return what `get` shows, without the instants."""
    done = command("get", id, "--url", url)
    assert done.exit_code == 0
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "(time)", done.output).splitlines()


def test_get_shows_an_invocation(url: str, id: str) -> None:
    """What it does, for whom, since when, and how its task stands."""
    invoke(url, id)
    assert shown(url, id) == [
        f"{id}: pending",
        '  call      pay("Ann", 5, note="ü"), version 1',
        "  target    poll://any@pay",
        "  created   (time)",
        "  deadline  (time)",
        "  task      pending, version 0",
    ]


def test_get_shows_a_result(url: str, id: str) -> None:
    """As JSON."""
    invoke(url, id)
    ask(url, PromiseSettle(id, PromiseState.RESOLVED, Codec().encode({"paid": [1, 2]})), PromiseReply)
    assert shown(url, id)[5:] == [
        "  ended     (time)",
        '  result    {"paid": [1, 2]}',
        "  task      fulfilled, version 0",
    ]


def test_get_shows_an_error(url: str, id: str) -> None:
    """By its class and message."""
    invoke(url, id)
    ask(url, PromiseSettle(id, PromiseState.REJECTED, Codec().encode_error(ValueError("no"))), PromiseReply)
    assert "  error     ValueError: no" in shown(url, id)


def test_get_shows_a_promise_that_is_no_invocation(url: str, id: str) -> None:
    """It has no task, and nothing to call."""
    ask(url, PromiseCreate(f"{id}:1", 2**53 - 1, {tags.PARENT: id, tags.ORIGIN: id}), PromiseReply)
    assert shown(url, f"{id}:1") == [f"{id}:1: pending", f"  called by {id}", "  created   (time)"]


def test_get_shows_what_it_cannot_read(url: str, id: str) -> None:
    """Others may store anything."""
    param = Codec().encode("what")
    ask(url, PromiseCreate(id, 2**53 - 1, {tags.TARGET: "poll://any@g"}, param), PromiseReply)
    assert "  call      not readable" in shown(url, id)


# --- What goes wrong ------------------------------------------------------------------------------

COMMANDS = ["cancel", "continue", "get"]


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_id_is_an_error(url: str, name: str) -> None:
    """One line says so."""
    done = command(name, "nowhere", RESONATE_URL=url)
    assert done.exit_code == 1
    assert re.fullmatch(r"Error: there is no (promise|task) 'nowhere': check the id.*\n", done.stderr)


@pytest.mark.parametrize("name", COMMANDS)
def test_server_must_be_named(name: str) -> None:
    """By an option, or in the environment."""
    done = command(name, "a")
    assert done.exit_code == 2
    assert "which server? Give --url http://localhost:8001, or set RESONATE_URL" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_url_must_be_one(name: str) -> None:
    """What cannot be meant is not tried."""
    done = command(name, "a", "--url", "localhost")
    assert (done.exit_code, "must begin with http://" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_server_that_is_away_is_an_error_of_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few seconds, for somebody is watching."""
    monkeypatch.setattr("resonate_trio.cli._asking.PATIENCE", 0)
    monkeypatch.setattr("resonate_trio.cli.invocations.PATIENCE", 0)
    done = command(name, "a", "--url", "http://127.0.0.1:1")
    assert done.exit_code == 3
    assert "no answer from http://127.0.0.1:1: is the server running" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_server_that_wants_another_token_is_an_error_of_its_own(name: str) -> None:
    """The message says where tokens come from."""
    with answering(lambda _, body: refusal(401, body, "no") if body else (401, b"")) as url:
        done = command(name, "a", "--url", url, "--token", "abc")
    assert (done.exit_code, "RESONATE_TOKEN" in done.stderr) == (3, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_refusal_is_an_error(name: str) -> None:
    """Whatever it is about."""
    with answering(lambda _, body: refusal(400, body, "no such kind") if body else (404, b"")) as url:
        done = command(name, "a", "--url", url)
    assert (done.exit_code, "no such kind" in done.stderr) == (1, True)
