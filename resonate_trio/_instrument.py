"""What an application may watch of its own workers."""

from typing import Literal

from ._errors import DivergenceError

InvocationKind = Literal["local", "remote", "detached", "timer", "external"]


class Instrument:
    """Hooks that a worker calls as it works; override those of interest.

    They run inside the worker and must return quickly. An exception from a hook is a bug of the application: it
    ends the worker.
    """

    def task_started(self, id: str, function: str) -> None:
        """Note that the task `id` begins from the start of its function."""

    def task_suspended(self, id: str) -> None:
        """Note that the task `id` was given back: everything that is left to wait for is elsewhere."""

    def task_resumed(self, id: str) -> None:
        """Note that the suspended task `id` goes on here, where it was."""

    def task_finished(self, id: str, state: str) -> None:
        """Note that the task `id` was settled as `state`."""

    def task_dropped(self, id: str, reason: str) -> None:
        """Note that the execution of the task `id` ended here without a result."""

    def task_halted(self, id: str, error: DivergenceError) -> None:
        """Note that the task `id` was halted, as the code has changed under it."""

    def invoked(self, id: str, kind: InvocationKind, name: str, parent: str) -> None:
        """Note that `parent` invoked `name`, for the first time or again in a replay."""

    def step_executed(self, id: str, function: str) -> None:
        """Note that the function of the local invocation `id` ran to its end."""

    def step_replayed(self, id: str, function: str) -> None:
        """Note that the outcome of the local invocation `id` was known, and that its function did not run."""
