"""Ids and lineage."""

import pytest
from hypothesis import given, settings, strategies as st

from resonate_trio._errors import UsageError
from resonate_trio._ids import Dialect, Lineage, check_root_id, child_id
from resonate_trio.protocol import extends, origin_of, tags

_DIALECTS: list[Dialect] = ["colon", "dot"]


@pytest.mark.parametrize(
    ("parent", "dialect", "id"),
    [
        ("root", "colon", "root:2"),
        ("root:1", "colon", "root:1.2"),
        ("root:1.1", "colon", "root:1.1.2"),
        ("order-17.v2", "colon", "order-17.v2:2"),
        ("root", "dot", "root.2"),
        ("root.1", "dot", "root.1.2"),
        ("root:1", "dot", "root:1.2"),
    ],
)
def test_child_ids_follow_the_dialect(parent: str, dialect: Dialect, id: str) -> None:
    """A root is continued as the dialect says; an id that already has a ':' with '.' in both."""
    assert child_id(parent, 2, dialect) == id


@pytest.mark.parametrize("dialect", _DIALECTS)
def test_nesting_too_deep_is_refused(dialect: Dialect) -> None:
    """An id that the server would refuse is not minted."""
    assert len(child_id("r" * 1022, 1, dialect)) == 1024
    with pytest.raises(UsageError, match=r"are nested too deep.*at most 1024 characters"):
        child_id("r" * 1022, 10, dialect)


@pytest.mark.parametrize("id", ["root", "order-17.v2", "my.app.workflow", "Bestellung ü 7", "r" * 1024])
@pytest.mark.parametrize("dialect", _DIALECTS)
def test_root_ids_that_work(id: str, dialect: Dialect) -> None:
    """Dots, spaces and any language are fine, in both dialects."""
    assert check_root_id(id, dialect) == id


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("", "the id '' must not be empty"),
        ("a\0b", "must not contain NUL"),
        ("r" * 1025, r"the id 'r{40}'… is longer than 1024 characters"),
        ("\ud800", "no valid Unicode"),
        ("a:b", "the id 'a:b' must not contain ':'.*as in 'a-b'"),
        (17, r'is given an id first, got 17: write it as resonate.rfc\("order-17", function, argument\)'),
    ],
)
@pytest.mark.parametrize("dialect", _DIALECTS)
def test_root_ids_that_the_server_would_refuse(id: object, message: str, dialect: Dialect) -> None:
    """They are refused before anything is sent, and the message says what to do."""
    with pytest.raises(UsageError, match=message):
        check_root_id(id, dialect)


def test_the_dot_dialect_refuses_a_root_that_could_be_a_child() -> None:
    """`order.17` would be taken for child 17 of `order`; in the colon dialect nothing is."""
    with pytest.raises(UsageError, match=r"'order\.17' belongs to the child 17 of 'order'.*'order-17'"):
        check_root_id("order.17", "dot")
    assert check_root_id("order.17", "colon") == "order.17"
    assert check_root_id(".17", "dot") == ".17"


def test_a_root_is_its_own_origin_branch_and_parent() -> None:
    """As the tags of a root say."""
    assert Lineage.root("order-17").tags() == {
        tags.ORIGIN: "order-17",
        tags.BRANCH: "order-17",
        tags.PARENT: "order-17",
    }


def test_a_root_id_is_checked() -> None:
    """In the dialect that its children will get."""
    with pytest.raises(UsageError):
        Lineage.root("a:b")
    with pytest.raises(UsageError):
        Lineage.root("a.1", "dot")


def test_a_local_child_lives_in_the_branch_of_its_caller() -> None:
    """So it comes with the preload of that task."""
    child = Lineage.root("root").remote_child(1, "colon").local_child(2, "colon")
    assert child == Lineage(id="root:1.2", origin="root", branch="root:1", parent="root:1")


def test_a_remote_child_is_a_branch_of_its_own() -> None:
    """It becomes a task."""
    child = Lineage.root("root").local_child(1, "colon").remote_child(2, "colon")
    assert child == Lineage(id="root:1.2", origin="root", branch="root:1.2", parent="root:1")


def test_the_lineage_of_a_stored_promise_is_in_its_tags() -> None:
    """A worker goes on where whoever created the promise placed it."""
    lineage = Lineage.root("root.v2").remote_child(3, "colon")
    assert Lineage.of(lineage.id, lineage.tags()) == lineage


def test_a_stored_promise_without_tags_is_a_branch_of_the_origin_in_its_id() -> None:
    """As the server sees it."""
    assert Lineage.of("root.1", {}) == Lineage(id="root.1", origin="root", branch="root.1", parent="root.1")


@settings(max_examples=100)
@given(
    root=st.text(st.characters(codec="utf-8", exclude_characters=":\0"), min_size=1, max_size=20),
    steps=st.lists(st.tuples(st.booleans(), st.integers(1, 99))),
    dialect=st.sampled_from(_DIALECTS),
)
def test_every_lineage_passes_the_rules_of_the_server(
    root: str, steps: list[tuple[bool, int]], dialect: Dialect
) -> None:
    """The id extends origin, branch and parent; the origin has no ':'; no two dialects change that."""
    lineage = Lineage(root, root, root, root)
    for is_local, number in steps:
        derive = lineage.local_child if is_local else lineage.remote_child
        lineage = derive(number, dialect)
    assert all(extends(lineage.id, value) for value in lineage.tags().values())
    assert ":" not in lineage.origin
    if dialect == "colon":
        assert lineage.id == root or origin_of(lineage.id) == root
