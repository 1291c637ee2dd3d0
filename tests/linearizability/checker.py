"""A checker of linearizability: was there one order of all operations that explains what everyone saw?

The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993): take any operation
that could have been the first one, as none that is left had returned before it was called; perform it on a
specification; if that gives the result that was seen, go on with the rest, else try another one. As Lowe
("Testing for linearizability", 2017) proposes, no pair of a state and a set of operations is entered twice.

Histories of independent objects are checked one by one: linearizability composes.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar, final

from attrs import field, frozen

MAX_STATES: Final = 200_000
"""After so many states a search gives up: the problem is NP-complete."""

OperationT = TypeVar("OperationT")
OperationT_contra = TypeVar("OperationT_contra", contravariant=True)
StateT = TypeVar("StateT", bound=Hashable)


@final
@frozen
class Call(Generic[OperationT]):
    """An operation and the span in which it took effect.

    Attributes:
        operation: what was asked, and what was answered.
        called_at: when it was called. Any count that grows will do.
        returned_at: when it returned; None if it did not, so that it took effect at any time or never.
    """

    operation: OperationT
    called_at: int
    returned_at: int | None


class Specification(Protocol[OperationT_contra, StateT]):
    """What an object does if its operations come one after the other."""

    @property
    def initial(self) -> StateT:
        """The state in which every history begins."""

    def after(self, state: StateT, operation: OperationT_contra) -> StateT | None:
        """Return the state after an operation, or None if it would not have had the result that was seen."""


class NotLinearizableError(AssertionError):
    """No order explains the history."""


class UndecidedError(Exception):
    """The search was given up."""


def check(
    history: Sequence[Call[OperationT]],
    specification: Specification[OperationT, StateT],
    *,
    max_states: int = MAX_STATES,
) -> list[OperationT]:
    """Return an order of operations that explains a history.

    Operations that did not return are in it if they have to have taken effect.

    Raises:
        NotLinearizableError: there is none. The message has the longest order that explains a part, and the
            operations of which none can be the next.
        UndecidedError: none was found among `max_states` states.
    """
    search = _Search(sorted(history, key=lambda call: call.called_at), specification)
    return search.run(max_states)


@final
@frozen
class _Node(Generic[StateT]):
    """A point of the search: a state, the operations done (as bits), and those that may be the next."""

    state: StateT
    done: int
    candidates: Iterator[int]


@final
@frozen
class _Search(Generic[OperationT, StateT]):
    calls: Sequence[Call[OperationT]]
    specification: Specification[OperationT, StateT]
    _seen: set[tuple[int, Any]] = field(factory=set, init=False)

    def run(self, max_states: int) -> list[OperationT]:
        """Search depth first. The path is kept in lists, as it can be longer than Python's stack."""
        goal = sum(1 << index for index, call in enumerate(self.calls) if call.returned_at is not None)
        node = self._node(self.specification.initial, 0)
        nodes, path, longest = [node], list[int](), list[int]()
        while node.done & goal != goal:
            if len(self._seen) > max_states:
                raise UndecidedError(f"gave up after {max_states} states, with {len(self.calls)} operations")
            found = self._next(node)
            if found is not None:
                index, node = found
                nodes.append(node)
                path.append(index)
                longest = path[:] if len(path) > len(longest) else longest
            elif path:
                nodes.pop()
                path.pop()
                node = nodes[-1]
            else:
                raise NotLinearizableError(self._explanation(longest))
        return [self.calls[index].operation for index in path]

    def _next(self, node: _Node[StateT]) -> tuple[int, _Node[StateT]] | None:
        """Return the next operation that explains what was seen, and the node after it."""
        for index in node.candidates:
            call = self.calls[index]
            done = node.done | 1 << index
            state = self.specification.after(node.state, call.operation)
            if state is not None and (done, state) not in self._seen:
                self._seen.add((done, state))
                return index, self._node(state, done)
        return None

    def _node(self, state: StateT, done: int) -> _Node[StateT]:
        return _Node(state, done, iter(self._candidates(done)))

    def _candidates(self, done: int) -> list[int]:
        """Return the operations that may be the next: no other one had returned before they were called."""
        left = [index for index in range(len(self.calls)) if not done >> index & 1]
        returns = [at for index in left if (at := self.calls[index].returned_at) is not None]
        until = min(returns, default=0)
        # Those that never returned come last: most often they need not have happened yet.
        return sorted(
            (index for index in left if self.calls[index].called_at < until),
            key=lambda index: (self.calls[index].returned_at is None, index),
        )

    def _explanation(self, longest: list[int]) -> str:
        done = sum(1 << index for index in longest)
        lines = ["no order explains this history; the longest that explains a part of it is"]
        lines += [f"  {self.calls[index].operation}" for index in longest]
        lines += ["and none of these can be the next:"]
        lines += [f"  {self.calls[index].operation}" for index in self._candidates(done)]
        return "\n".join(lines)
