"""Random histories: which moves are drawn, how often, and with what."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, ClassVar, Final

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from . import shuffle as some
from .model import Model
from .moves import Moves, Seen
from .shapes import Wire
from .side_by_side import DifferenceError, Servers
from .steps import Step

Move = tuple[str, dict[str, Any]]
"""The name of a method of `Moves`, and its arguments."""

MOVES_PER_HISTORY: Final = 60
HISTORIES_PER_ROUND: Final = 10
"""As many as Hypothesis makes before it begins to make most of them by changing others a little."""
PATIENCE: Final = 3
"""How many times the steps that were asked for are made at most, to see what was asked for."""


def _moves(weight: int, name: str, **arguments: st.SearchStrategy[Any]) -> list[st.SearchStrategy[Move]]:
    """Return a strategy for one move, as many times as it has weight."""
    return [st.tuples(st.just(name), st.fixed_dictionaries(arguments))] * weight


_NEW_PROMISE: Final[dict[str, st.SearchStrategy[Any]]] = {
    "id": some.ids,
    "deadline": some.deadline_offsets,
    "kind": some.kinds_of_promise,
    "lineage": some.lineages,
}
_NEW_TASK: Final = _NEW_PROMISE | {"kind": some.kinds_of_task}
_HELD: Final[dict[str, st.SearchStrategy[Any]]] = {
    "position": some.positions,
    "offset": some.version_offsets,
}
MOVES: Final[tuple[st.SearchStrategy[Move], ...]] = (
    # Hypothesis draws the first one more often than others.
    *_moves(4, "task_create", **_NEW_TASK, pid=some.pids, ttl=some.ttls),
    *_moves(1, "promise_get", position=some.positions),
    *_moves(3, "promise_create", **_NEW_PROMISE, delay=some.delay_offsets, param=some.values),
    *_moves(
        2,
        "promise_create_with_target",
        id=some.ids,
        deadline=some.deadline_offsets,
        delay=some.odd_delays,
        lineage=some.lineages,
    ),
    *_moves(2, "promise_settle", position=some.positions, state=some.outcomes, value=some.values),
    *_moves(2, "settle_what_is_awaited", position=some.positions, state=some.outcomes),
    *_moves(
        1,
        "family",
        position=some.positions,
        member=some.positions,
        others=some.positions,
        budget=some.budgets,
    ),
    *_moves(1, "promise_cancel", position=some.positions, budget=some.budgets, value=some.values),
    *_moves(1, "task_cancel", position=some.positions, budget=some.budgets, value=some.values),
    *_moves(
        2,
        "promise_register_callback",
        position=some.positions,
        awaited=some.positions,
        only_failure=some.rarely,
    ),
    *_moves(1, "promise_register_any_callback", awaiter=some.positions, awaited=some.positions),
    *_moves(1, "promise_register_listener", position=some.positions, address=some.addresses),
    *_moves(1, "promise_search", state=some.promise_states, tags=some.wanted_tags, page=some.pages),
    *_moves(1, "task_get", position=some.positions),
    *_moves(8, "task_acquire", **_HELD, pid=some.pids, ttl=some.ttls, preload=some.mostly),
    *_moves(3, "task_fence_create", **_HELD, **_NEW_PROMISE),
    *_moves(2, "task_fence_settle", **_HELD, settled=some.positions, state=some.outcomes),
    *_moves(1, "task_fence_cancel", **_HELD, cancelled=some.positions, budget=some.budgets),
    *_moves(2, "task_heartbeat", **_HELD, other=some.positions, pid=some.pids),
    *_moves(3, "acquire_and_suspend", position=some.positions, awaited=some.positions),
    *_moves(4, "task_suspend", **_HELD, awaited=some.positions, knows=some.rarely),
    *_moves(
        1,
        "task_suspend_on_failure",
        position=some.positions,
        awaited=some.positions,
        other=some.positions,
        failures=some.failures,
    ),
    *_moves(3, "task_suspend_on_two", **_HELD, one=some.positions, other=some.positions),
    *_moves(2, "task_suspend_on_anything", **_HELD, awaited=some.positions),
    *_moves(2, "task_fulfill", **_HELD, state=some.outcomes, value=some.values),
    *_moves(1, "task_release", **_HELD),
    *_moves(1, "task_halt", position=some.positions),
    *_moves(1, "task_continue", position=some.positions),
    *_moves(1, "task_search", state=some.task_states, page=some.pages),
    *_moves(
        2,
        "schedule_create",
        id=some.schedule_ids,
        cron=some.crons,
        template=some.templates,
        timeout=some.promise_timeouts,
        kind=some.kinds_of_task,
        param=some.values,
    ),
    *_moves(1, "schedule_get", id=some.schedule_ids),
    *_moves(1, "schedule_delete", id=some.schedule_ids),
    *_moves(1, "schedule_search", tags=some.wanted_tags, page=some.pages),
    *_moves(4, "wait_for_something", position=some.positions, nudge=some.nudges),
    *_moves(4, "wait_and_tick", position=some.positions, nudge=some.nudges),
    *_moves(1, "tick"),
    *_moves(1, "hand_over", position=some.positions),
    *_moves(1, "debug", kind=some.debug_kinds, debug=some.mostly),
    *_moves(3, "something_broken", request=some.whole_requests, field=some.positions, junk=some.junk_positions),
    *_moves(1, "another_version", request=some.whole_requests, version=some.other_versions),
)
moves: Final = st.sampled_from(MOVES).flatmap(lambda strategy: strategy)
"""Any move, by weight: `one_of` would take each strategy once."""


class Play(RuleBasedStateMachine):
    """Makes random histories.

    There is one rule for all moves: with a rule for each, Hypothesis would leave out many of them in each
    history, and most need what others made. A subclass says with which servers, and where to count.
    """

    servers: ClassVar[Servers]
    seen: ClassVar[Seen]
    model: ClassVar[type[Model]] = Model
    explains: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.moves = Moves(self.servers.beside(self.model), self.seen)

    @initialize(first=some.first_promises)
    def populate(self, first: list[Wire]) -> None:
        """Begin with some promises, so that there is something to ask for."""
        self.make("populate", {"first": first})

    @rule(move=moves)
    def move(self, move: Move) -> None:
        """Make a move."""
        self.make(*move)

    def make(self, name: str, arguments: dict[str, Any]) -> None:
        """Make a move. If it shows a difference, find the shortest way to it."""
        try:
            getattr(self.moves, name)(**arguments)
        except DifferenceError as error:
            steps = self.moves.systems.steps
            message = self.servers.explain(steps, self.model) if self.explains else str(error)
            raise DifferenceError(message) from None


def play(
    servers: Servers,
    *,
    steps: int,
    until: Iterable[tuple[str, int]] = (),
    model: type[Model] = Model,
    seed: int = 0,
    explains: bool = True,
) -> Seen:
    """Make histories of so many steps in all, and return how often each kind gave each status.

    Args:
        servers: what the model is compared with.
        steps: how many steps are made at least.
        until: which statuses of which kinds have to be seen before it ends, within `PATIENCE`.
        model: the model.
        seed: which histories are made.
        explains: whether the shortest way to a difference is found.

    Raises:
        DifferenceError: the servers and the model differ. The message has a script that shows it.
    """
    seen: Seen = Counter()
    attributes = {"servers": servers, "model": model, "seen": seen, "explains": explains}
    wanted = set(until)
    while seen.total() < steps or (not wanted <= seen.keys() and seen.total() < PATIENCE * steps):
        machine = hypothesis.seed(seed)(type("Round", (Play,), attributes))
        run_state_machine_as_test(machine, settings=_settings(HISTORIES_PER_ROUND))
        seed += 1
    return seen


def histories(number: int, *, seed: int = 0) -> list[list[Step]]:
    """Make histories of the model alone, to be performed elsewhere."""
    made: list[list[Step]] = []

    class Recorded(Play):
        servers = Servers({})
        seen: ClassVar[Seen] = Counter()

        def teardown(self) -> None:
            made.append(self.moves.systems.steps)

    run_state_machine_as_test(hypothesis.seed(seed)(Recorded), settings=_settings(number))
    return made


def _settings(histories: int) -> settings:
    """Return how Hypothesis makes that many histories: it does not make smaller what failed, `explain` does."""
    return settings(
        max_examples=histories,
        stateful_step_count=MOVES_PER_HISTORY,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
