"""`resonate-trio demo`."""

from .command import demo as demo
