"""What a flow of the demo should come to, and what it did."""

from typing import final

from attrs import frozen

from .graph import Tally


@final
@frozen
class Scene:
    """What is about to be shown.

    Attributes:
        name: of the flow.
        story: what happens, in a line.
        result: what it should return.
        tally: what it should take.
    """

    name: str
    story: str
    result: object
    tally: Tally

    @property
    def id(self) -> str:
        """The id of the flow's root."""
        return self.name.replace(" ", "-")


@final
@frozen
class Report:
    """What was shown.

    Attributes:
        scene: what should have been.
        result: what the flow returned, or the exception that came instead.
        tally: what it took.
        seconds: how long it took.
    """

    scene: Scene
    result: object
    tally: Tally
    seconds: float

    @property
    def result_text(self) -> str:
        """What the flow returned, for people."""
        if isinstance(self.result, Exception):
            return f"{type(self.result).__name__}: {self.result}"
        return str(self.result)

    @property
    def problems(self) -> list[str]:
        """What differs from what should have been, in sentences."""
        wanted, got = self.scene.tally, self.tally
        found = [
            (self.scene.result, self.result_text if isinstance(self.result, Exception) else self.result, "result"),
            (wanted.executed, got.executed, "steps executed"),
            (wanted.replayed, got.replayed, "steps replayed"),
            (wanted.cut_off, got.cut_off, "steps cut off"),
        ]
        return [
            f"{self.scene.name}: {what}: {is_value}, expected {should_be}"
            for should_be, is_value, what in found
            if should_be != is_value
        ]
