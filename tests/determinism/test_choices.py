"""Each way is gone once, and all are."""

from .choices import Choices, all_ways


def _go(choices: Choices) -> str:
    """Choose a letter, and then as many times a digit as it says."""
    count, letter = choices.of([(0, "a"), (1, "b"), (2, "c")])
    return letter + "".join(choices.of(["0", "1"]) for _ in range(count))


def test_all_ways_are_gone_once_and_those_first_that_differ_least() -> None:
    """Also where what there is to choose depends on what was chosen."""
    assert [_go(choices) for choices in all_ways()] == ["a", "b0", "c00", "b1", "c10", "c01", "c11"]


def test_no_more_ways_are_gone_than_the_limit() -> None:
    """They are the first ones."""
    assert [_go(choices) for choices in all_ways(2)] == ["a", "b0"]


def test_the_choices_of_a_way_repeat_it() -> None:
    """What was given is chosen again, then the first option each time."""
    assert _go(Choices([2, 1])) == "c10"
