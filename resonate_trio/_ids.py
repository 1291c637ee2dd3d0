"""Ids that the SDK mints, and the place of an invocation in its call graph.

The id of a child depends on nothing but the order of calls in its parent, so a replay finds the same ones:
`root`, `root:1`, `root:1.2` in the current dialect, `root`, `root.1`, `root.1.2` in the older one.

A root id is chosen by the application and becomes the origin of everything below it. The server cuts an
origin off at the first `:`, so a root id must not contain one, in either dialect. A `.` is fine: the origin
travels as a tag and is not read out of the id. But the older dialect calls the first child of `order`
`order.1`; there, a root of that name would be taken for it, and is refused.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias, final

from attrs import frozen

from ._errors import UsageError
from .protocol import MAX_ID_LENGTH, check_id, tags as tag

Dialect: TypeAlias = Literal["colon", "dot"]


def child_id(parent: str, number: int, dialect: Dialect) -> str:
    """Return the id of the child `number` (counted from 1) of `parent`.

    Raises:
        UsageError: the id would be longer than the server takes, because invocations are nested too deep.
    """
    return _below(parent, str(number), dialect)


def _below(parent: str, name: str, dialect: Dialect) -> str:
    separator = ":" if dialect == "colon" and ":" not in parent else "."
    id = f"{parent}{separator}{name}"
    if len(id) > MAX_ID_LENGTH:
        raise UsageError(
            f"invocations below {id[:40]!r}… are nested too deep: each level makes the id longer, and an id "
            f"has at most {MAX_ID_LENGTH} characters. Loop where you recurse, or choose a shorter root id"
        )
    return id


def check_root_id(id: object, dialect: Dialect = "colon") -> str:
    """Return `id` if an application may give it to an invocation.

    Raises:
        UsageError: it may not; the message says why, and what to do.
    """
    if not isinstance(id, str):
        raise UsageError(
            f"an invocation from outside is given an id first, got {id!r}: write it as "
            f'resonate.rfc("order-17", function, argument)'
        )
    try:
        check_id(id).encode()
    except UnicodeEncodeError:
        raise UsageError(f"the id {id!r} has characters that are no valid Unicode text") from None
    except ValueError as error:
        raise UsageError(f"the id {_shortened(id)} {error}") from None
    if ":" in id:
        raise UsageError(
            f"the id {_shortened(id)} must not contain ':', which separates a root from what it invokes: "
            f"use another character, as in {_shortened(id.replace(':', '-'))}"
        )
    head, _, last = id.rpartition(".")
    if dialect == "dot" and head and last.isdecimal():
        raise UsageError(
            f"the id {_shortened(id)} belongs to the child {last} of {_shortened(head)} in the dot dialect: "
            f"use another character, as in {_shortened(f'{head}-{last}')}"
        )
    return id


def _shortened(id: str) -> str:
    return repr(id) if len(id) <= 80 else f"{id[:40]!r}…"


@final
@frozen
class Lineage:
    """The place of an invocation in its call graph.

    Attributes:
        id: the invocation.
        origin: the root of the graph.
        branch: the task in which its promise lives: its caller's branch, or its own id if it is remote.
        parent: its caller; a root is its own.
    """

    id: str
    origin: str
    branch: str
    parent: str

    @classmethod
    def root(cls, id: str, dialect: Dialect = "colon") -> "Lineage":
        """Return the lineage of an invocation from outside. Raises UsageError if `id` cannot be a root."""
        check_root_id(id, dialect)
        return cls(id, id, id, id)

    @classmethod
    def of(cls, id: str, tags: Mapping[str, str]) -> "Lineage":
        """Return the lineage of a stored promise that this task is to execute, whoever created it."""
        return cls(id, tag.promise_origin(id, tags), tags.get(tag.BRANCH) or id, tags.get(tag.PARENT) or id)

    def local_child(self, number: int, dialect: Dialect) -> "Lineage":
        """Return the lineage of the child `number` that is executed within this task."""
        return Lineage(child_id(self.id, number, dialect), self.origin, self.branch, self.id)

    def named_child(self, name: str, dialect: Dialect) -> "Lineage":
        """Return the lineage of a child of this task that has a name instead of a number."""
        return Lineage(_below(self.id, name, dialect), self.origin, self.branch, self.id)

    def remote_child(self, number: int, dialect: Dialect) -> "Lineage":
        """Return the lineage of the child `number` that becomes a task of its own."""
        id = child_id(self.id, number, dialect)
        return Lineage(id, self.origin, id, self.id)

    def tags(self) -> dict[str, str]:
        """Return the tags that tell a server all this."""
        return {tag.ORIGIN: self.origin, tag.BRANCH: self.branch, tag.PARENT: self.parent}
