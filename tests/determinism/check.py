"""The claim: what is stored decides the path, and nothing else does."""

from collections.abc import Sequence
from itertools import combinations
from typing import final

from attrs import define, field

from .choices import all_ways
from .play import PENDING, Facts, Flow, Played, play, replay
from .server import EAGER, SILENT, USUAL, Manner
from .stage import Paths, is_call
from .story import Bounds


@final
@define
class Check:
    """Plays histories of one function, and compares the paths that it takes.

    Attributes:
        histories: how many were played.
        known: by what is stored at the end, a history that left it.
    """

    flow: Flow
    histories: int = 0
    known: dict[Facts, Played] = field(factory=dict)

    def play_all(self, bounds: Bounds, manner: Manner, limit: int | None = None) -> None:
        """Play all histories within bounds, up to a limit."""
        for choices in all_ways(limit):
            self.take(play(self.flow, manner, bounds, choices))

    def take(self, played: Played) -> None:
        """Check one history, and what it leaves stored, if that is new."""
        self.histories += 1
        check_runs(played)
        if played.result is None:
            return
        left = [fact for fact in played.facts if fact.outcome == PENDING and not fact.may_be_left]
        assert not left, played.story.fails(f"when it has ended, others have not: {left}")
        known = self.known.setdefault(played.facts, played)
        if known is played:
            self._check_replays(played)
        else:
            compare(known, played, "two histories that leave the same stored")

    def _check_replays(self, played: Played) -> None:
        for manner in (EAGER, SILENT):
            compare(played, replay(self.flow, manner, played), "a replay")
        if played.story.is_cancelled and played.facts:
            untold = replay(self.flow, USUAL, played, is_told=False)
            compare(played, untold, "a replay that does not hear that it is cancelled")


def check_runs(played: Played) -> None:
    """Check that all runs took the same path, as far as each has come."""
    for earlier, later in combinations(played.runs, 2):
        for id in earlier.keys() & later.keys():
            seen, path = _seen(earlier[id]), later[id]
            is_last = later is played.runs[-1] and played.result is not None
            both = len(seen) if is_last else min(len(seen), len(_seen(path)))
            assert seen[:both] == path[:both], _difference("a later run", earlier, later, played)


def _seen(path: Sequence[str]) -> Sequence[str]:
    """Return a path without the calls at its end: what came of them was not seen, so they may not be stored."""
    end = len(path)
    while end and is_call(path[end - 1]):
        end -= 1
    return path[:end]


def compare(first: Played, second: Played, what: str) -> None:
    """Check that the last runs of two histories took the same path, and left the same stored."""
    one, other = first.runs[-1], second.runs[-1]
    for id in one.keys() & other.keys():
        assert one[id] == other[id], _difference(what, one, other, second, first)
    assert second.facts == first.facts, second.story.fails(f"{what} stores {set(first.facts) ^ set(second.facts)}")
    assert second.result == first.result, second.story.fails(f"{what} ends as {second.result}, not {first.result}")


def _difference(what: str, one: Paths, other: Paths, *histories: Played) -> str:
    lines = [f"{what} takes another path"]
    for id in one.keys() & other.keys():
        lines += [f"{id}:", *(f"    {step}" for step in one[id]), "  and", *(f"    {step}" for step in other[id])]
    return "\n".join([*lines, *(each.story.fails("in") for each in histories)])
