"""`resonate-trio serve` and `resonate-trio dev`: run a server."""

import logging
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar, final

import click

from server_ref.config import AuthConfig, ServerConfig, TlsConfig
from server_ref.limits import DEFAULT_LIMITS, Limits

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
    click.option(
        "--trace",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Add every request that is performed, with its reply, to this file: one JSON object a line.",
    ),
)
_FILE = click.Path(path_type=Path)
_SECURITY_OPTIONS = (
    click.option(
        "--auth-key",
        metavar="PEM",
        type=_FILE,
        help="Ask for tokens, and accept those signed for the public keys in this file (the extra 'auth').",
    ),
    click.option("--auth-issuer", metavar="NAME", help="Accept tokens of this issuer only."),
    click.option("--auth-audience", metavar="NAME", help="Accept tokens for this audience, and for no other."),
    click.option("--tls-cert", metavar="PEM", type=_FILE, help="Speak HTTPS with this certificate (or chain)."),
    click.option("--tls-key", metavar="PEM", type=_FILE, help="Its private key, if that is not in the same file."),
)


def _limit(
    name: str, kind: click.ParamType[Any], default: float, help_text: str
) -> Callable[[CommandT], CommandT]:
    return click.option(name, type=kind, default=default, show_default=True, help=help_text)


_COUNT = click.IntRange(min=1)
_LIMIT_OPTIONS = (
    _limit("--max-body", _COUNT, DEFAULT_LIMITS.body_bytes, "Bytes that the body of a request may have."),
    _limit(
        "--receive-timeout",
        click.FloatRange(min=0, min_open=True),
        DEFAULT_LIMITS.receive_timeout,
        "Seconds that a request may take to arrive.",
    ),
    _limit(
        "--max-id-length",
        click.IntRange(1, DEFAULT_LIMITS.id_length),
        DEFAULT_LIMITS.id_length,
        "Characters that an id may have.",
    ),
    _limit("--max-tags", _COUNT, DEFAULT_LIMITS.tags, "Tags that a promise may have."),
    _limit("--max-polls", _COUNT, DEFAULT_LIMITS.polls, "Workers that may be connected."),
    _limit("--max-requests", _COUNT, DEFAULT_LIMITS.requests, "Requests that may be in progress at a time."),
    _limit(
        "--max-request-bytes",
        _COUNT,
        DEFAULT_LIMITS.request_bytes,
        "Bytes that the bodies of all these requests may have.",
    ),
)


def _server_options(command: CommandT) -> CommandT:
    """Give a command the options that both have."""
    options = _OPTIONS + _SECURITY_OPTIONS + _LIMIT_OPTIONS
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)


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
def serve(*, path: Path, **options: Any) -> None:
    """Run a server that keeps everything in a SQLite file.

    Ctrl-C and SIGTERM stop it once the running requests are answered. A second signal ends it at once.
    """
    _run("serve", f"database {path}", _config(path=path, **options))


@click.command()
@_server_options
def dev(**options: Any) -> None:
    """Run a server that keeps everything in memory, and forgets it when it stops."""
    _run("dev", "in memory", _config(**options))


def _config(**options: Any) -> ServerConfig:
    """Return the configuration that the options ask for."""
    key, issuer, audience = (options.pop(f"auth_{name}") for name in ("key", "issuer", "audience"))
    cert, tls_key = options.pop("tls_cert"), options.pop("tls_key")
    if key is None and (issuer or audience):
        raise click.UsageError("--auth-issuer and --auth-audience need --auth-key: without it, nobody is asked")
    if cert is None and tls_key:
        raise click.UsageError("--tls-key needs --tls-cert")
    limits = Limits(
        body_bytes=options.pop("max_body"),
        receive_timeout=options.pop("receive_timeout"),
        id_length=options.pop("max_id_length"),
        tags=options.pop("max_tags"),
        polls=options.pop("max_polls"),
        requests=options.pop("max_requests"),
        request_bytes=options.pop("max_request_bytes"),
    )
    return ServerConfig(
        auth=AuthConfig(key, issuer, audience) if key else None,
        tls=TlsConfig(cert, tls_key) if cert else None,
        limits=limits,
        **options,
    )


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
    # It warns of every request that is no HTTP, so whoever can reach the port could fill the log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    try:
        run(config, announce)
    except (StartError, StoreError) as error:
        raise _CannotStartError(str(error)) from None
