"""Runs workloads on systems, in rounds: each round does all of them, so that a slow minute strikes them alike."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import final

from attrs import frozen

from ._figures import Figure, Measurement, Summary
from .systems import Mode, open_system
from .workloads import WORKLOADS, Scale, Workload


@final
@frozen
class Plan:
    """What is to be run.

    Attributes:
        workloads: their names.
        modes: the systems that they run on.
        rounds: how often.
        scale: how much of each.
    """

    workloads: Sequence[str]
    modes: Sequence[Mode]
    rounds: int
    scale: Scale

    def sized_workloads(self) -> Mapping[str, Workload]:
        """Return the workloads at the scale of the plan, by name."""
        return {name: WORKLOADS[name].at(self.scale) for name in self.workloads}


async def run(plan: Plan, progress: Callable[[str], None]) -> list[Figure]:
    """Run a plan; return its figures in the order of the plan.

    Every system is started anew for each round, so that no round pays for what others have stored. Before a
    workload is measured it runs at the smallest scale, which is not counted.

    Args:
        plan: what to run.
        progress: told what begins.
    """
    measured: defaultdict[tuple[str, Mode], list[list[Measurement]]] = defaultdict(list)
    for round_number in range(1, plan.rounds + 1):
        for mode in plan.modes:
            async with open_system(mode) as system:
                for name, workload in plan.sized_workloads().items():
                    progress(f"round {round_number} of {plan.rounds}: {name}, {mode}")
                    await WORKLOADS[name].at(Scale.TINY).measure(system)
                    measured[name, mode].append(await workload.measure(system))
    return [
        figure
        for name in plan.workloads
        for mode in plan.modes
        for figure in _figures(name, mode, measured[name, mode])
    ]


def _figures(name: str, mode: Mode, rounds: Sequence[Sequence[Measurement]]) -> list[Figure]:
    """Return a figure for each case of a workload, given its measurements in each round."""
    cases = list(zip(*rounds, strict=True))
    figures = [
        Figure(name, case[0].case, mode, Summary.of(case), [Summary.of([measurement]) for measurement in case])
        for case in cases
    ]
    return [figure.relative_to(figures[0]) for figure in figures] if WORKLOADS[name].is_curve else figures
