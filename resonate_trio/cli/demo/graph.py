"""The call graph of the demo, folded from what the services tell: pure, without processes or a terminal.

Each process tells its own events in order; those of two processes may come in any order. So the graph takes an
invocation's start before the invocation itself, and a caller's end before that of what it called; and what a
process tells of an invocation that runs elsewhere by now changes nothing.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, final

from attrs import define, field, frozen

from resonate_trio import DivergenceError, Instrument
from resonate_trio._instrument import InvocationKind
from resonate_trio.protocol import PromiseState, origin_of


class State(StrEnum):
    """Where an invocation is in its life."""

    WAITING = "waiting for a worker"
    RUNNING = "running"
    SUSPENDED = "suspended"
    KILLED = "killed"
    OPEN = "to be settled from outside"
    DONE = "done"
    FAILED = "failed"


FINAL: Final = frozenset({State.DONE, State.FAILED})
_FIRST_STATES: Final[dict[InvocationKind, State]] = {
    "local": State.RUNNING,
    "remote": State.WAITING,
    "detached": State.WAITING,
    "timer": State.OPEN,
    "external": State.OPEN,
}


@final
@define
class Invocation:
    """One node of the graph.

    Attributes:
        id: of its promise.
        kind: how it was invoked; the roots, which the demo invokes, are remote.
        name: its function.
        parent: the id of its caller, None for a root, and until the caller has told.
        state: where it is.
        processes: where its function has run, in order.
        executed: how often its function ran to its end.
        replayed: how often its stored outcome was taken instead of running it.
        cut_off: how often its function was running when its process was killed, or lost the lease.
    """

    id: str
    kind: InvocationKind = "remote"
    name: str = ""
    parent: str | None = None
    state: State = State.WAITING
    processes: list[str] = field(factory=list)
    executed: int = 0
    replayed: int = 0
    cut_off: int = 0

    @property
    def is_final(self) -> bool:
        """Tell whether it has its outcome."""
        return self.state in FINAL

    @property
    def process(self) -> str:
        """Name the process where it runs, or has run last."""
        return self.processes[-1] if self.processes else ""

    def runs_on(self, process: str) -> None:
        """Note where its function runs now."""
        if self.process != process:
            self.processes.append(process)
        self.state = State.RUNNING

    def cut(self) -> None:
        """Note that it got no further here. Of one that was suspended nothing was running."""
        if self.state is State.RUNNING:
            self.cut_off += 1
        if not self.is_final:
            self.state = State.KILLED


@final
@frozen
class Tally:
    """What running a flow has taken, in functions: remote ones and local steps.

    Attributes:
        executed: ran to their end.
        replayed: did not run, as their outcome was stored.
        cut_off: were running when their process was killed, and had to run again.
    """

    executed: int
    replayed: int = 0
    cut_off: int = 0


@final
class CallGraph:
    """All invocations that anybody told of, by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Invocation] = {}

    def __repr__(self) -> str:
        return f"<CallGraph of {len(self._by_id)} invocations>"

    # --- What happens -----------------------------------------------------------------------------

    def observer(self, process: str) -> Instrument:
        """Return the instrument to which the events of one process are told."""
        return _Observer(self, process)

    def invocation(self, id: str) -> Invocation:
        """Return an invocation, whether or not it was heard of before."""
        return self._by_id.setdefault(id, Invocation(id))

    def settled(self, id: str) -> None:
        """Note that an external promise was settled."""
        self.invocation(id).state = State.DONE

    def killed(self, process: str) -> None:
        """Note that a process is dead, and told all that it will ever tell."""
        for invocation in self._by_id.values():
            if invocation.process == process:
                invocation.cut()

    # --- What is known ----------------------------------------------------------------------------

    def flow(self, root: str) -> list[Invocation]:
        """Return a root and all that it led to, in the order in which they became known."""
        return [invocation for id, invocation in self._by_id.items() if origin_of(id) == root]

    def children(self, parent: str) -> list[Invocation]:
        """Return what an invocation has invoked."""
        return [invocation for invocation in self._by_id.values() if invocation.parent == parent]

    def find(self, root: str, name: str, state: State) -> Iterator[Invocation]:
        """Yield the invocations of a function that are in a state."""
        return (each for each in self.flow(root) if each.name == name and each.state is state)

    def is_over(self, root: str) -> bool:
        """Tell whether every invocation of a flow has its outcome, the detached ones too."""
        return all(invocation.is_final for invocation in self.flow(root))

    def tally(self, root: str) -> Tally:
        """Count what a flow has taken so far."""
        flow = self.flow(root)
        return Tally(
            sum(invocation.executed for invocation in flow),
            sum(invocation.replayed for invocation in flow),
            sum(invocation.cut_off for invocation in flow),
        )


@final
class _Observer(Instrument):
    """Folds the events of one process into the graph."""

    def __init__(self, graph: CallGraph, process: str) -> None:
        self._graph = graph
        self._process = process

    def task_started(self, id: str, function: str) -> None:
        """Begin a run."""
        invocation = self._graph.invocation(id)
        invocation.name = function
        invocation.runs_on(self._process)

    def task_suspended(self, id: str) -> None:
        """Free the process."""
        invocation = self._graph.invocation(id)
        if invocation.process == self._process:
            invocation.state = State.SUSPENDED

    def task_resumed(self, id: str) -> None:
        """Go on in the same process."""
        self._graph.invocation(id).runs_on(self._process)

    def task_finished(self, id: str, state: str) -> None:
        """End a run, and the invocation."""
        invocation = self._graph.invocation(id)
        invocation.executed += 1
        invocation.state = State.DONE if state == PromiseState.RESOLVED else State.FAILED

    def task_dropped(self, id: str, reason: str) -> None:
        """End a run without an outcome, and the local steps in it."""
        self._cut(id)

    def task_halted(self, id: str, error: DivergenceError) -> None:
        """End a run without an outcome, and the local steps in it."""
        self._cut(id)

    def invoked(self, id: str, kind: InvocationKind, name: str, parent: str) -> None:
        """Add an invocation. In a replay it is there already, and may have ended."""
        invocation = self._graph.invocation(id)
        invocation.kind, invocation.name, invocation.parent = kind, name, parent
        if not invocation.processes and not invocation.is_final:
            invocation.state = _FIRST_STATES[kind]
        if kind == "local" and not invocation.is_final:
            invocation.runs_on(self._process)

    def step_executed(self, id: str, function: str) -> None:
        """End a local step."""
        invocation = self._graph.invocation(id)
        invocation.executed += 1
        invocation.state = State.DONE

    def step_replayed(self, id: str, function: str) -> None:
        """Note that a local step was not run again."""
        self._graph.invocation(id).replayed += 1

    def _cut(self, id: str) -> None:
        steps = [child for child in self._graph.children(id) if child.kind == "local"]
        for invocation in [self._graph.invocation(id), *steps]:
            if invocation.process == self._process:
                invocation.cut()
