"""How long what speaks HTTP waits for its peers, and how much it takes in from them before it knows what it is."""

from typing import Final

KEEP_ALIVE_S: Final = 75
"""How long an idle connection is kept: longer than clients keep theirs, so that it is they who close it."""
VANISHED_MS: Final = 30_000
"""When a peer has acknowledged nothing for so long, its connection is given up."""
GRACE_S: Final = 8
"""How long running requests may take to finish when the server stops."""
MAX_HEAD_BYTES: Final = 64 * 1024
"""How long the head of a request may be, with all its headers."""
