"""The command `resonate-trio`."""

from ._main import main as main
