"""Repeat a history, given as steps: what the scripts do that a failing run prints."""

from collections.abc import Iterable

from .model import Model
from .side_by_side import open_servers
from .steps import Step


def replay(steps: Iterable[Step], model: type[Model] = Model) -> None:
    """Perform steps in the model and in the server over each store.

    Raises:
        DifferenceError: not all gave the same answers.
    """
    with open_servers() as servers:
        systems = servers.beside(model)
        for step in steps:
            systems.perform(step)
