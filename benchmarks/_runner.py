"""Runs workloads on systems, in rounds: each round does all of them, so that a slow minute strikes them alike."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import final

from attrs import frozen

from ._figures import Figure, Measurement, Summary
from .peers.find import Peers
from .systems import PEERS, Mode, System, WrongResultError, open_system
from .workloads import WORKLOADS, Scale

Progress = Callable[[str], None]


@final
@frozen
class Plan:
    """What is to be run.

    Attributes:
        workloads: their names.
        modes: the systems that they run on; each runs those workloads that it can do.
        rounds: how often.
        scale: how much of each.
    """

    workloads: Sequence[str]
    modes: Sequence[Mode]
    rounds: int
    scale: Scale

    def sessions(self, mode: Mode) -> Iterable[Sequence[str]]:
        """Yield the workloads of a system, those together that it does without being started anew."""
        names = [name for name in self.workloads if mode in WORKLOADS[name].modes]
        together = [name for name in names if not WORKLOADS[name].is_alone]
        if together:
            yield together
        yield from ([name] for name in names if WORKLOADS[name].is_alone)


async def run(
    plan: Plan, progress: Progress, peers: Peers | None = None, left_out: list[str] | None = None
) -> list[Figure]:
    """Run a plan; return its figures in the order of the plan.

    Every system is started anew for each round, so that no round pays for what others have stored. In each round
    another system begins. Before a workload is measured it runs at the smallest scale, which is not counted.

    What a peer fails on, and what it would have done after that in the same round, is left out.

    Args:
        plan: what to run.
        progress: told what begins.
        peers: where the peers are, if the plan has any.
        left_out: what was left out is added to this, and why.

    Raises:
        ExceptionGroup: of WrongResultError, if one of our own systems fails.
    """
    measured: defaultdict[tuple[str, Mode], list[list[Measurement]]] = defaultdict(list)
    for number in range(plan.rounds):
        start = number % len(plan.modes)
        for mode in (*plan.modes[start:], *plan.modes[:start]):
            for names in plan.sessions(mode):
                async with open_system(mode, peers) as system:
                    for name in names:
                        what = f"round {number + 1} of {plan.rounds}: {name}, {mode}"
                        progress(what)
                        try:
                            measured[name, mode].append(await _measure(name, plan.scale, system, mode))
                        except WrongResultError as error:
                            if mode not in PEERS or left_out is None:
                                raise
                            left_out.append(f"{what}: {error}")
                            break
    return [
        figure
        for name in plan.workloads
        for mode in plan.modes
        for figure in _figures(name, mode, measured[name, mode])
    ]


async def _measure(name: str, scale: Scale, system: System, mode: Mode) -> list[Measurement]:
    await WORKLOADS[name].at(Scale.TINY).measure(system, mode)
    return await WORKLOADS[name].at(scale).measure(system, mode)


def _figures(name: str, mode: Mode, rounds: Sequence[Sequence[Measurement]]) -> list[Figure]:
    """Return a figure for each case of a workload, given its measurements in each round."""
    return [
        Figure(
            name,
            case[0].case,
            mode,
            Summary.of(case),
            [Summary.of([measurement]) for measurement in case],
            case[0].size,
        )
        for case in zip(*rounds, strict=True)
    ]
