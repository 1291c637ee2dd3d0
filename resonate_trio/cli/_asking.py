"""What the commands that ask a server have in common: how it is found, and how errors are shown."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from functools import reduce
from typing import TYPE_CHECKING, Final, TypeVar, final

import click

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from resonate_trio._transport import Link

T = TypeVar("T")
CommandT = TypeVar("CommandT", bound=Callable[..., object])

PATIENCE: Final = 5.0
"""Seconds to try for while the server cannot be reached: somebody is watching."""

_OPTIONS: Final = (
    click.option("--url", metavar="URL", envvar="RESONATE_URL", show_envvar=True, help="The server."),
    click.option(
        "--token", metavar="JWT", envvar="RESONATE_TOKEN", show_envvar=True, help="For a server that asks for one."
    ),
)


def server_options(command: CommandT) -> CommandT:
    """Give a command the options `--url` and `--token`."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


class Failure(click.ClickException):
    """What was asked cannot be done. Shown as one line."""

    exit_code = 1


@final
class NoEntry(Failure):
    """No server answers, or it does not let us in."""

    exit_code = 3


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run what asks the server. Its errors end the command, each shown as one line."""
    import anyio  # it takes a moment, which `--help` should not

    from resonate_trio._errors import (
        AuthenticationError,
        PermissionDeniedError,
        ResonateError,
        ServerUnreachableError,
        UsageError,
    )

    try:
        return anyio.run(main, backend="trio")
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    except ServerUnreachableError as error:
        raise NoEntry(
            f"no answer from {error.url}: is the server running, and is this its URL (--url or RESONATE_URL)?"
        ) from None
    except (AuthenticationError, PermissionDeniedError) as error:
        raise NoEntry(str(error)) from None
    except ResonateError as error:
        raise Failure(str(error)) from None


def known(url: str | None) -> str:
    """Return the server's URL. Raises click.UsageError if there is none."""
    if not url:
        raise click.UsageError("which server? Give --url http://localhost:8001, or set RESONATE_URL")
    return url


@asynccontextmanager
async def open_link(url: str | None, token: str | None) -> "AsyncGenerator[Link]":
    """Open a way to the server. Raises UsageError if the URL cannot be meant."""
    from resonate_trio._config import load_settings
    from resonate_trio._transport import HttpTransport, Link

    settings = load_settings(known(url), token, None, None)
    assert settings.url is not None
    async with HttpTransport(settings.url, token=settings.token) as transport:
        yield Link(transport, token=settings.token, patience=PATIENCE)
