"""Standing at a durable wait."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, final

import trio

if TYPE_CHECKING:
    from ._frame import Frame


@final
class Standing:
    """Lets a function stand at a wait. What cuts it physically is not ours, or the end of everything.

    A class, where a generator would do: every step passes here.
    """

    def __init__(self, frame: "Frame", recheck: Callable[[], None]) -> None:
        """Describe a wait.

        Args:
            frame: the function.
            recheck: sees whether the wait is to be cut.
        """
        self._frame = frame
        self._recheck = recheck
        self._outer: Callable[[], None] | None = None

    def __enter__(self) -> None:
        self._outer, self._frame.recheck = self._frame.recheck, self._recheck

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._frame.recheck = self._outer
        if isinstance(error, trio.Cancelled):
            self._frame.check_cut()


@contextmanager
def shielded(standing: Standing, shield: AbstractContextManager[object]) -> Generator[None]:
    """Let a function stand at a wait that is shielded."""
    with standing, shield:
        yield
