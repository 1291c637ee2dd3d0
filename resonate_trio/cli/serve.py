"""`resonate-trio serve` and `resonate-trio dev`: run a server."""

import logging
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TypeVar, final

import click

from server_ref.config import HttpServer, ServerConfig

CommandT = TypeVar("CommandT", bound=Callable[..., object])

# Their names are those of the fields of ServerConfig.
_OPTIONS = (
    click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at."),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=8001,
        show_default=True,
        help="The port to listen at, 0 for any that is free.",
    ),
    click.option(
        "--debug",
        is_flag=True,
        envvar="RESONATE_DEBUG",
        show_envvar=True,
        help="Allow the debug.* requests and resonate:debug_time.",
    ),
    click.option(
        "--server",
        "http_server",
        type=click.Choice(["uvicorn", "hypercorn"]),
        default="uvicorn",
        show_default=True,
        help="What speaks HTTP: uvicorn on asyncio, or Hypercorn on trio (the extra 'hypercorn').",
    ),
    click.option("--url", metavar="URL", help="Where workers reach this server, if not where it listens."),
)


def _server_options(command: CommandT) -> CommandT:
    """Give a command the options that both have."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


@click.command()
@click.option(
    "--db",
    "path",
    metavar="PATH",
    type=click.Path(path_type=Path),
    default="resonate.db",
    show_default=True,
    help="The SQLite file. It is created if there is none.",
)
@_server_options
def serve(*, path: Path, host: str, port: int, debug: bool, http_server: HttpServer, url: str | None) -> None:
    """Run a server that keeps everything in a SQLite file.

    Ctrl-C and SIGTERM stop it once the running requests are answered. A second signal ends it at once.
    """
    _run("serve", f"database {path}", ServerConfig(path, host, port, debug, http_server, url))


@click.command()
@_server_options
def dev(*, host: str, port: int, debug: bool, http_server: HttpServer, url: str | None) -> None:
    """Run a server that keeps everything in memory, and forgets it when it stops."""
    _run("dev", "in memory", ServerConfig(None, host, port, debug, http_server, url))


@final
class _CannotStartError(click.ClickException):
    """Shown as one line."""

    exit_code = 2


def _run(name: str, place: str, config: ServerConfig) -> None:
    from server_ref.serving import StartError, run  # they take a moment, which `--help` should not
    from server_ref.store import StoreError

    def announce(url: str) -> None:
        click.echo(f"resonate-trio {name}: listening on {url}, {place}", err=True)

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        run(config, announce)
    except (StartError, StoreError) as error:
        raise _CannotStartError(str(error)) from None
