"""What a function that is tried has to do with the outside: it tells what it sees, and waits for I/O."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, final

import trio

from resonate_trio import Context, Handle, Instrument
from resonate_trio._instrument import InvocationKind

Paths = dict[str, list[str]]
"""The path of each function that was run, by its id: the calls that it made, and what it came to know."""

CALL: Final = "calls "


@final
class Stage(Instrument):
    """Keeps the paths of one run. Closed, it hears nothing: what unwinds then has not happened.

    Attributes:
        paths: of the present run.
        waiting: the I/O that is waited for, by its name.
    """

    def __init__(self) -> None:
        self.paths: Paths = {}
        self.waiting: dict[str, trio.Event] = {}
        self._failing: set[str] = set()
        self._is_open = False

    def begin(self) -> None:
        """Start the paths of a new run."""
        self.paths = {}
        self.waiting = {}
        self._failing = set()
        self._is_open = True

    def close(self) -> None:
        """End the run."""
        self._is_open = False

    # --- For functions ----------------------------------------------------------------------------

    def saw(self, ctx: Context, what: object) -> None:
        """Keep what a function has come to know."""
        self._add(ctx.id, str(what))

    @contextmanager
    def seeing(self, ctx: Context, what: str) -> Generator[None]:
        """Keep how a block of a function ends."""
        try:
            yield
        except BaseException as error:
            self.saw(ctx, f"{what}: {described(error)}")
            raise
        self.saw(ctx, f"{what}: done")

    async def result(self, ctx: Context, handle: Handle[Any]) -> object:
        """Await a handle, and keep what comes of it."""
        with self.seeing(ctx, f"awaiting {handle.id}"):
            value = await handle
        self.saw(ctx, value)
        return value

    async def io(self, name: str) -> str:
        """Wait for something that is not durable. Raises ValueError if it fails, unless the name says "ok"."""
        self.waiting[name] = trio.Event()
        try:
            await self.waiting[name].wait()
        finally:
            del self.waiting[name]
        if name in self._failing:
            raise ValueError(f"failure of {name}")
        return f"result of {name}"

    # --- For the story and the runtime ------------------------------------------------------------

    def end_io(self, name: str, *, is_failure: bool) -> None:
        """End what `io` waits for."""
        if is_failure:
            self._failing.add(name)
        self.waiting[name].set()

    def invoked(self, id: str, kind: InvocationKind, name: str, parent: str) -> None:
        """Keep it: ids are a part of the path."""
        self._add(parent, f"{CALL}{kind} {id} of {name}")

    def _add(self, id: str, what: str) -> None:
        if self._is_open:
            self.paths.setdefault(id, []).append(what)


def is_call(step: str) -> bool:
    """Tell whether a step of a path is a call that the function made."""
    return step.startswith(CALL)


def described(error: BaseException) -> str:
    """Return an exception as text, with what a group holds."""
    if isinstance(error, BaseExceptionGroup):
        return f"[{', '.join(map(described, error.exceptions))}]"
    if isinstance(error, trio.Cancelled):
        return "Cancelled"
    return f"{type(error).__name__}({error})"
