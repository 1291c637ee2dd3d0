"""The names of the extensions, as a server lists them in the header `Resonate-Extensions`."""

from typing import Final

BATCH: Final = "batch"
CAPACITY: Final = "capacity"
ACQUIRED: Final = "acquired"
LOST: Final = "lost"
PRELOAD: Final = "preload"
CANCEL: Final = "cancel"
FAILURES: Final = "failures"
