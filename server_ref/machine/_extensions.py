"""The extensions of the protocol that this server has."""

from typing import Final

from resonate_trio.protocol import extensions

Extensions = frozenset[str]
"""The names of the extensions that are offered."""

OFFERED: Final[Extensions] = frozenset({
    extensions.BATCH,
    extensions.CAPACITY,
    extensions.ACQUIRED,
    extensions.LOST,
    extensions.PRELOAD,
    extensions.CANCEL,
    extensions.FAILURES,
})
"""Those that are offered if nothing else is said."""
