"""All ways in which something can go that decides by choosing, each once, and those first that differ least."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TypeVar, final

from attrs import define, field

T = TypeVar("T")


@final
@define
class Choices:
    """The decisions of one way: those given first, then the first option each time."""

    given: Sequence[int] = ()
    _counts: list[int] = field(factory=list)  # of how many options each was

    def of(self, options: Sequence[T]) -> T:
        """Choose one of the options; there must be at least one."""
        place = len(self._counts)
        self._counts.append(len(options))
        return options[self.given[place] if place < len(self.given) else 0]

    def branches(self) -> Iterator[Sequence[int]]:
        """Yield what to give to go as this way did, up to a decision after the given ones, and then elsewhere."""
        for place in range(len(self.given), len(self._counts)):
            straight = [0] * (place - len(self.given))
            for index in range(1, self._counts[place]):
                yield [*self.given, *straight, index]


def all_ways(limit: int | None = None) -> Iterator[Choices]:
    """Yield the choices of each way, up to a limit. Each must be gone to its end before the next is asked for."""
    branches: deque[Sequence[int]] = deque([()])
    count = 0
    while branches and count != limit:
        choices = Choices(branches.popleft())
        yield choices
        branches.extend(choices.branches())
        count += 1
