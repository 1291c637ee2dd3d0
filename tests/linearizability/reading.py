"""Traces, as `--trace FILE` writes them: reading one, and repeating it in the model."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from resonate_trio.protocol import PROTOCOL_VERSION
from tests.model.model import Model
from tests.model.shapes import Wire

from .specification import RETRY_INTERVAL_MS, plain


def read_trace(path: Path) -> list[Wire]:
    """Return the lines of a trace."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def repeated(trace: Sequence[Wire]) -> Iterator[tuple[Wire, Wire]]:
    """Repeat a trace in the model. Yields each reply as the server gave it and as the model does."""
    model = Model(RETRY_INTERVAL_MS)
    for line in trace:
        for tick in line.get("ticks", ()):
            model.world.tick(tick)
        head = {"corrId": line["res"]["head"]["corrId"], "version": PROTOCOL_VERSION}
        request = {"kind": line["kind"], "head": head, "data": line["req"]}
        yield plain(line["res"]), plain(model.perform(request, line["now"]))
