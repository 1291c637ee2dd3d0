"""Which promises a reply sends ahead, because the worker will ask for them next."""

from collections.abc import Iterable, Sequence

from resonate_trio.protocol import Promise, tags as tag

from ._projection import find_promise, project
from ._view import View


def preload(view: View, promise: Promise, now: int, also: Iterable[str] = ()) -> Sequence[Promise]:
    """Return the others of the same branch, and those in `also`, as they are at `now`, ordered by id.

    A promise that names no branch, as one created by hand, is a root: what its task creates names it.
    """
    branch = promise.tags.get(tag.BRANCH, promise.id)
    found = {other.id: project(other, now) for other in view.branch(branch)}
    for id in also:
        if id not in found and (other := find_promise(view, id, now)) is not None:
            found[id] = other
    found.pop(promise.id, None)
    return [found[id] for id in sorted(found)]
