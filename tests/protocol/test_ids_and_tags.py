"""Ids and tags: the questions that the protocol asks of them."""

import pytest

from resonate_trio.protocol import check_id, extends, origin_of, tags


@pytest.mark.parametrize("id", ["a", "a:1.2", "é😀", " ", "x" * 1024])
def test_a_good_id_is_returned(id: str) -> None:
    """Up to 1,024 characters of anything but NUL."""
    assert check_id(id) == id


@pytest.mark.parametrize(("id", "said"), [("", "empty"), ("x" * 1025, "longer"), ("a\0", "NUL")])
def test_a_bad_id_is_refused(id: str, said: str) -> None:
    """The message says what is wrong with it."""
    with pytest.raises(ValueError, match=said):
        check_id(id)


@pytest.mark.parametrize(
    ("id", "origin"),
    [
        ("root", "root"),
        ("root:1", "root"),
        ("root:1.2", "root"),
        ("root.1", "root"),
        ("root.1.2", "root"),
        ("a.b:1", "a.b"),
        ("a:b.c:1", "a"),
        (":1", ""),
    ],
)
def test_the_origin_is_what_comes_before_the_first_separator(id: str, origin: str) -> None:
    """A `:` anywhere goes before any `.`."""
    assert origin_of(id) == origin


@pytest.mark.parametrize(
    ("id", "ancestor", "expected"),
    [
        ("root", "root", True),
        ("root:1", "root", True),
        ("root.1", "root", True),
        ("root:1.2", "root:1", True),
        ("rooted", "root", False),
        ("root", "root:1", False),
        ("other:1", "root", False),
    ],
)
def test_an_id_extends_its_ancestors(id: str, ancestor: str, expected: bool) -> None:
    """Itself and what lies below it, not what merely starts alike."""
    assert extends(id, ancestor) is expected


@pytest.mark.parametrize(
    ("carried", "timer", "task", "external"),
    [
        ({}, False, False, True),
        ({tags.SCOPE: "global"}, False, False, True),
        ({tags.SCOPE: "local"}, False, False, False),
        ({tags.SCOPE: "local", tags.EXTERNAL: "true"}, False, False, True),
        ({tags.SCOPE: "local", tags.EXTERNAL: "yes"}, False, False, False),
        ({tags.SCOPE: "local", tags.TIMER: "true"}, True, False, True),
        ({tags.SCOPE: "local", tags.TARGET: "x"}, False, True, True),
        ({tags.TARGET: "x", tags.TIMER: "true"}, True, False, True),
        ({tags.TARGET: "x", tags.TIMER: "false"}, False, True, True),
    ],
)
def test_tags_say_what_a_promise_is(carried: dict[str, str], timer: bool, task: bool, external: bool) -> None:
    """A timer, executed by a group, awaitable from outside."""
    assert (tags.is_timer(carried), tags.has_task(carried), tags.is_external(carried)) == (timer, task, external)


def test_the_origin_tag_goes_before_the_id() -> None:
    """Without one, the id says it."""
    assert tags.promise_origin("a.b:1", {tags.ORIGIN: "a"}) == "a"
    assert tags.promise_origin("a.b:1", {}) == "a.b"


@pytest.mark.parametrize(
    ("id", "carried", "detached"),
    [
        ("a", {}, False),
        ("a:1", {}, False),
        ("a:1", {tags.DETACHED: "true"}, True),
        ("a:da0f", {tags.DETACHED: "false"}, False),
        ("a:da0f", {}, True),
        ("a.da0f", {}, True),
        ("a:d", {}, False),
        ("a:dx", {}, False),
        ("a:da0f.1", {}, False),
        ("a:1.da0f", {}, False),
        ("a.b:da0f", {}, True),
        ("a.b:da0f", {tags.ORIGIN: "a"}, False),
    ],
)
def test_a_detached_promise_is_known_by_its_tag_or_its_id(
    id: str, carried: dict[str, str], detached: bool
) -> None:
    """Other clients write `d` and hex digits right below the origin; what lies below is an ordinary child."""
    assert tags.is_detached(id, carried) is detached
