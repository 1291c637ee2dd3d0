"""Which promises a reply sends ahead, because the worker will ask for them next."""

from collections.abc import Iterable, Sequence
from itertools import chain

from resonate_trio.protocol import Promise, extensions, tags as tag

from ._extensions import Extensions
from ._projection import find_promise, project
from ._view import View


def preload(view: View, promise: Promise, now: int, also: Iterable[str] = ()) -> Sequence[Promise]:
    """Return the others of the same branch, and those in `also`, as they are at `now`, ordered by id.

    A promise that names no branch, as one created by hand, is a root: what its task creates names it.
    """
    branch = promise.tags.get(tag.BRANCH, promise.id)
    return _found(view, promise, now, view.branch(branch), also)


def preload_taken(
    view: View, promise: Promise, now: int, resumes: Iterable[str], offered: Extensions
) -> Sequence[Promise]:
    """Return what comes along with a task that is taken: what woke it, its branch, and what else it has called."""
    children = (child.id for child in view.children(promise.id)) if extensions.PRELOAD in offered else ()
    return preload(view, promise, now, chain(resumes, children))


def named(view: View, promise: Promise, now: int, ids: Iterable[str]) -> Sequence[Promise]:
    """Return only the promises in `ids` as they are at `now`, ordered by id."""
    return _found(view, promise, now, (), ids)


def _found(
    view: View, promise: Promise, now: int, others: Iterable[Promise], also: Iterable[str]
) -> Sequence[Promise]:
    found = {other.id: project(other, now) for other in others}
    for id in also:
        if id not in found and (other := find_promise(view, id, now)) is not None:
            found[id] = other
    found.pop(promise.id, None)
    return [found[id] for id in sorted(found)]
