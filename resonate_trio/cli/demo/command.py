"""`resonate-trio demo`: the flows, through crashes, for people to watch."""

import errno
import logging
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
def demo() -> None:
    """Watch durable functions survive crashes.

    Starts a server and three services, runs seven flows, and kills processes in the middle of them. Ends with
    status 1 if anything is not as expected. It takes less than a minute, and leaves nothing behind.
    """
    # They take a moment, which `--help` should not.
    import trio
    from rich.console import Console

    from .live import LiveScreen
    from .plain import PlainScreen
    from .processes import ProcessFailedError
    from .run import run

    # The client logs when a server is away. Here that is planned, and the log would tear the picture.
    logging.getLogger("resonate_trio").addHandler(logging.NullHandler())
    console = Console()
    screen = LiveScreen(console) if _can_draw(console) else PlainScreen(console)
    status = 1
    reader_is_gone = False
    try:
        status = trio.run(run, screen)
    except* (ProcessFailedError, TimeoutError) as failures:
        click.echo("\n".join(_messages(failures)), err=True)
    except* trio.TooSlowError:
        click.echo("the demo took too long and was ended: is this machine very busy?", err=True)
    except* BrokenPipeError:
        reader_is_gone = True
    if reader_is_gone:
        raise BrokenPipeError(errno.EPIPE, "nobody reads our output")  # click ends quietly with status 1
    sys.exit(status)


def _can_draw(console: "Console") -> bool:
    """Tell whether the output is a terminal that can move its cursor and show what we draw."""
    return (
        sys.stdout.isatty()
        and console.is_terminal
        and not console.is_dumb_terminal
        and not console.options.ascii_only
    )


def _messages(failures: BaseExceptionGroup[Exception]) -> list[str]:
    """Return what each exception in a group says."""
    messages = []
    for failure in failures.exceptions:
        messages += _messages(failure) if isinstance(failure, BaseExceptionGroup) else [str(failure)]
    return messages
