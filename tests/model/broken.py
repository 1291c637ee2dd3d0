"""A model with a mistake, to show what a failing run prints."""

from typing import final

from .model import Answer, Model
from .shapes import Wire, refuse_if


@final
class BrokenModel(Model):
    """Believes that a task cannot be halted twice."""

    def task_halt(self, data: Wire, now: int) -> Answer:
        """Stop a task, unless it is stopped."""
        refuse_if(self.task_seen(data["id"], now)["state"] == "halted", 409)
        return super().task_halt(data, now)
