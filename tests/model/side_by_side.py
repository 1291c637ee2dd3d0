"""The model and the server over each of its stores, side by side: one step after the other, all compared."""

from collections.abc import Collection, Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, final

from server_ref.engine._turn import RequestCrashedError
from server_ref.store import MemoryStore, SqliteStore, Store

from .model import Model
from .shapes import Wire
from .steps import Step, script
from .systems import Answers, ModelSystem, ServerSystem, leave_out_extras

IN_MEMORY: Final = Path("/dev/shm")
"""A folder without a disk, where there is one: what is compared does not depend on it, and syncs are slow."""


class DifferenceError(AssertionError):
    """The server and the model did not give the same answers."""


@final
class SideBySide:
    """The model and servers, which must agree on everything."""

    def __init__(self, model: ModelSystem, servers: dict[str, ServerSystem]) -> None:
        self.model = model.model
        self.steps: list[Step] = []
        self._model = model
        self._servers = servers

    def perform(self, step: Step) -> Wire:
        """Perform a step everywhere, and return the reply.

        Raises:
            DifferenceError: not all gave the same answers.
        """
        self.steps.append(step)
        expected = self._model.perform(step)
        for name, server in self._servers.items():
            try:
                given = server.perform(step)
            except RequestCrashedError as error:
                raise DifferenceError(f"{name} failed at {step}: {error.__cause__!r}") from error
            leave_out_extras(expected[0], given[0], self.model.world, step.now)
            if given != expected:
                raise DifferenceError(difference(step, name, expected, given))
        return expected[0]


@final
class Servers:
    """The servers that the model is compared with, kept over many histories."""

    def __init__(self, stores: dict[str, Store]) -> None:
        self._stores = stores

    def beside(self, model: type[Model]) -> SideBySide:
        """Put a new model and emptied servers side by side."""
        servers = {name: ServerSystem(store) for name, store in self._stores.items()}
        for server in servers.values():
            server.reset()
        return SideBySide(ModelSystem(model), servers)

    def differ(self, steps: Sequence[Step], model: type[Model]) -> str:
        """Perform a history from the start, and say what differed at the end, or nothing."""
        systems = self.beside(model)
        try:
            for step in steps:
                systems.perform(step)
        except DifferenceError as error:
            return str(error)
        return ""

    def explain(self, steps: Sequence[Step], model: type[Model]) -> str:
        """Return a script with as few of these steps as still end with a difference, and what that is.

        Hypothesis would make smaller what it drew. To leave out steps as they were performed is faster, and
        leaves less: any step can be performed at any time, if only to be refused.
        """
        steps = list(steps)
        for index in reversed(range(len(steps))):
            fewer = [*steps[:index], *steps[index + 1 :]]
            if self.differ(fewer, model):
                steps = fewer
        return f"{self.differ(steps, model)}\n\n{script(steps, model)}"


@contextmanager
def open_servers(names: Collection[str] = ("memory", "sqlite")) -> Generator[Servers]:
    """Open a server over each of these kinds of store."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        stores: dict[str, Store] = {"memory": MemoryStore(), "sqlite": SqliteStore(Path(folder, "model.db"))}
        chosen = {name: stores[name] for name in names}
        for store in chosen.values():
            stack.enter_context(closing(store))
            store.open()
        yield Servers(chosen)


# --- Differences ----------------------------------------------------------------------------------


def difference(step: Step, name: str, expected: Answers, given: Answers) -> str:
    """Say in a few lines where two answers to a step differ."""
    titles = ("the reply", "what is stored", "the schedules")
    lines = [f"{name} and the model differ after {step}"]
    for title, ours, theirs in zip(titles, expected, given, strict=True):
        lines += [f"  {title}{line}" for line in _differences(ours, theirs)]
    return "\n".join(lines)


def _differences(expected: object, given: object) -> list[str]:
    if expected == given:
        return []
    if isinstance(expected, dict) and isinstance(given, dict) and expected and given:
        names = sorted(expected.keys() | given.keys())
        return [f".{name}{line}" for name in names for line in _differences(expected.get(name), given.get(name))]
    return [f": the model has {expected}, the server {given}"]
