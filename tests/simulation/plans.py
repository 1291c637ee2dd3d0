"""What happens to a run besides its program: faults, cancellations from outside, workers that stop."""

from random import Random
from typing import Any, Final, final

import attrs
from attrs import frozen

from resonate_trio.testing import Faults

RATES: Final = {
    "crash_before": 0.015,
    "crash_after": 0.015,
    "lose_request": 0.04,
    "lose_reply": 0.04,
    "duplicate_request": 0.05,
    "delay_request": 0.08,
    "delay_reply": 0.08,
    "cut": 0.01,
    "expire_lease": 0.03,
    "restart_server": 0.01,
    "lose_message": 0.05,
    "duplicate_message": 0.1,
    "delay_message": 0.15,
}
"""How likely each kind of fault is in a storm of all of them."""
FORKING: Final = frozenset({
    "crash_before",
    "crash_after",
    "lose_request",
    "lose_reply",
    "delay_request",
    "delay_reply",
    "cut",
    "expire_lease",
    "restart_server",
    "lose_message",
})
"""Those after which a worker may go on for a while with a task that is not its own any more."""


@final
@frozen
class Plan:
    """How a program is run.

    Attributes:
        roots: how many invocations of its first function.
        rates: how likely faults are, by name.
        max_parked: how many suspended executions a worker keeps.
        capacity: how many tasks a worker runs at a time.
        cancels: when (s) which invocation is cancelled from outside, and with which budget (s).
        stops: when (s) which worker is stopped, and for how long (s).
    """

    roots: int = 1
    rates: dict[str, float] = attrs.Factory(dict)
    max_parked: int = 10_000
    capacity: int = 100
    cancels: tuple[tuple[float, str, float], ...] = ()
    stops: tuple[tuple[float, int, float], ...] = ()

    @property
    def faults(self) -> Faults:
        """The faults of the run."""
        return Faults(**self.rates)

    @property
    def is_calm(self) -> bool:
        """Whether nothing comes from outside that changes outcomes."""
        return not self.cancels

    @property
    def may_fork(self) -> bool:
        """Whether two executions of a task may run at a time for a while."""
        return bool(FORKING & self.rates.keys() or self.stops)

    @property
    def may_repeat(self) -> bool:
        """Whether steps may run more than once."""
        return self.may_fork


def make_plan(random: Random) -> Plan:
    """Return a plan."""
    return Plan(
        roots=random.choice([1, 1, 1, 2]),
        rates=_rates(random),
        max_parked=random.choice([0, 1, 10_000, 10_000]),
        capacity=random.choice([1, 2, 100, 100]),
        cancels=_cancels(random),
        stops=_stops(random),
    )


def _rates(random: Random) -> dict[str, float]:
    weather = random.choices(["none", "one", "some", "all"], [15, 30, 25, 30])[0]
    names = list(RATES)
    if weather == "none":
        return {}
    if weather == "one":
        name = random.choice(names)
        return {name: min(0.4, RATES[name] * 4)}
    chosen = random.sample(names, 4) if weather == "some" else names
    return {name: RATES[name] * (2 if weather == "some" else 1) for name in chosen}


def _cancels(random: Random) -> tuple[tuple[float, str, float], ...]:
    if random.random() > 0.2:
        return ()
    at = random.randint(0, 40) / 4
    id = random.choice(["r0", "r0", "r0:1", "r0:2", "r0:3", "r0:2.1"])
    return ((at, id, random.choice([30.0, 30.0, 1.0])),)


def _stops(random: Random) -> tuple[tuple[float, int, float], ...]:
    if random.random() > 0.15:
        return ()
    return ((random.randint(0, 40) / 4, random.randrange(3), random.randint(0, 8) / 2),)


def describe(plan: Plan) -> dict[str, Any]:
    """Return a plan as it is printed."""
    return attrs.asdict(plan)
