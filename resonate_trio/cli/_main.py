"""The command `resonate-trio`. What a subcommand needs is imported when it runs."""

import click

from .demo import demo
from .get import get
from .invocations import cancel, continue_
from .serve import dev, serve


@click.group()
@click.version_option(package_name="resonate-trio", message="%(prog)s %(version)s")
def main() -> None:
    """Durable execution with structured concurrency."""


main.add_command(serve)
main.add_command(dev)
main.add_command(demo)
main.add_command(get)
main.add_command(cancel)
main.add_command(continue_)
