"""`python -m resonate_trio`: the command `resonate-trio`."""

from resonate_trio.cli import main

main()
