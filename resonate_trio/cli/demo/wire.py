"""The hooks of an Instrument, carried to another process: one line of JSON for each call.

A service of the demo prints the lines, the demo reads them, and makes the same calls on an instrument of its own.
"""

import json
from typing import Final, final

import click

from resonate_trio import DivergenceError, Instrument
from resonate_trio._instrument import InvocationKind

READY: Final = "ready"
HALTED: Final = "task_halted"
_HOOKS: Final = frozenset(name for name in vars(Instrument) if not name.startswith("_"))


@final
class EventWriter(Instrument):
    """Prints what a worker does."""

    def ready(self) -> None:
        """Tell that the worker takes tasks."""
        _write(READY)

    def task_started(self, id: str, function: str) -> None:
        """Print it."""
        _write("task_started", id, function)

    def task_suspended(self, id: str) -> None:
        """Print it."""
        _write("task_suspended", id)

    def task_resumed(self, id: str) -> None:
        """Print it."""
        _write("task_resumed", id)

    def task_finished(self, id: str, state: str) -> None:
        """Print it."""
        _write("task_finished", id, state)

    def task_dropped(self, id: str, reason: str) -> None:
        """Print it."""
        _write("task_dropped", id, reason)

    def task_halted(self, id: str, error: DivergenceError) -> None:
        """Print it."""
        _write(HALTED, id, error.id, error.asked, error.stored)

    def invoked(self, id: str, kind: InvocationKind, name: str, parent: str) -> None:
        """Print it."""
        _write("invoked", id, kind, name, parent)

    def step_executed(self, id: str, function: str) -> None:
        """Print it."""
        _write("step_executed", id, function)

    def step_replayed(self, id: str, function: str) -> None:
        """Print it."""
        _write("step_replayed", id, function)


def perform(line: str, instrument: Instrument) -> bool:
    """Make the call that a line describes; return whether it was one. The only other line tells of readiness.

    Raises:
        ValueError: the line is neither.
    """
    hook, *args = json.loads(line)
    if hook == READY:
        return False
    if hook not in _HOOKS:
        raise ValueError(f"{line!r} is no event: an Instrument has no {hook!r}")
    if hook == HALTED:
        id, at, asked, stored = args
        instrument.task_halted(id, DivergenceError(at, asked=asked, stored=stored))
    else:
        getattr(instrument, hook)(*args)
    return True


def _write(*event: str) -> None:
    # In one write, and at once: whoever reads this may kill us for it.
    click.echo(json.dumps(event))
