"""Seeds: what is made of each, many of them on all cores, and how one that fails is shown and cut down."""

import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import Final, final

from attrs import define, evolve, field, frozen

from .plans import Plan, describe, make_plan
from .programs import Block, Program, make_program
from .run import Run, run_program

CHUNK: Final = 25
REPLAYED: Final = 4
"""Of so many seeds one is replayed from what is stored at its end."""
LAST_LINES: Final = 60
MOST_TRIALS: Final = 200
"""How often a program that fails is run again to find a smaller one that does."""


@final
@define
class Tally:
    """What many seeds came to.

    Attributes:
        failed: those that failed.
    """

    seeds: int = 0
    steps: int = 0
    promises: int = 0
    faults: Counter[str] = field(factory=Counter)
    failed: list[int] = field(factory=list)

    def add(self, other: "Tally") -> None:
        """Take in what others came to."""
        self.seeds += other.seeds
        self.steps += other.steps
        self.promises += other.promises
        self.faults += other.faults
        self.failed += other.failed

    def __str__(self) -> str:
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()))
        return (
            f"{self.seeds} seeds, {self.steps} steps, {self.promises} promises, {len(self.failed)} failed; "
            f"faults: {faults or 'none'}"
        )


@final
@frozen
class Case:
    """What is made of a seed."""

    program: Program
    plan: Plan
    seed: int

    @classmethod
    def of(cls, seed: int) -> "Case":
        """Make it."""
        random = Random(f"simulation {seed}")
        return cls(make_program(random), make_plan(random), seed)

    def run(self, *, replays: bool = True) -> Run:
        """Run it."""
        return run_program(self.program, self.plan, self.seed, replays=replays)


def run_seeds(seeds: range) -> Tally:
    """Run seeds on all cores."""
    tally = Tally()
    context = multiprocessing.get_context("spawn")
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        for part in pool.map(run_chunk, chunks):
            tally.add(part)
    return tally


def run_chunk(seeds: range) -> Tally:
    """Run seeds one after another."""
    tally = Tally()
    for seed in seeds:
        run = Case.of(seed).run(replays=seed % REPLAYED == 0)
        tally.add(Tally(1, run.steps, run.promises, Counter(run.faults), [seed] if run.troubles else []))
    return tally


def report(seed: int) -> str:
    """Run a seed that has failed once more, and return all that helps to understand it."""
    case = Case.of(seed)
    run = case.run()
    troubles = "\n".join(f"  - {trouble}" for trouble in run.troubles)
    last = "\n".join(run.trace.splitlines()[-LAST_LINES:])
    return f"{_header(case)}\n\n{troubles}\n\n{_smallest(case)}\n\n--- the end of its trace ---\n{last}"


def _header(case: Case) -> str:
    plan = json.dumps(describe(case.plan))
    command = f"pytest tests/simulation --simulation-seed {case.seed}"
    return f"seed {case.seed} fails; again: {command}\n\nplan: {plan}\n{listed(case.program)}"


def listed(program: Program) -> str:
    """Return a program as it is printed."""
    lines = []
    for number, block in enumerate(program):
        lines += [f"function {number}:", *(f"    {json.dumps(op)}" for op in block)]
    return "\n".join(lines)


def _smallest(case: Case) -> str:
    smallest = shrink(case)
    if smallest == case:
        return "no smaller program fails"
    return (
        f"a smaller program that fails, too, with the plan {describe(smallest.plan)}:\n{listed(smallest.program)}"
    )


def shrink(case: Case) -> Case:
    """Return a smaller case that fails as well."""
    trials = 0
    found = True
    while found:
        found = False
        for smaller in _smaller(case):
            trials += 1
            if trials > MOST_TRIALS:
                return case
            if smaller.run().troubles:
                case, found = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    plan = case.plan
    plans = [evolve(plan, roots=1), evolve(plan, cancels=()), evolve(plan, stops=())]
    plans += [evolve(plan, rates={n: r for n, r in plan.rates.items() if n != name}) for name in plan.rates]
    for smaller in plans:
        if smaller != plan:
            yield evolve(case, plan=smaller)
    for number, block in enumerate(case.program):
        for shorter in _shorter(block):
            yield evolve(case, program=[*case.program[:number], shorter, *case.program[number + 1 :]])


def _shorter(block: Block) -> Iterator[Block]:
    for place, op in enumerate(block):
        before, after = block[:place], block[place + 1 :]
        yield [*before, *after]
        for part, inner in enumerate(op):
            if _is_block(inner):
                yield [*before, *inner, *after]
                for shorter in _shorter(inner):
                    yield [*before, [*op[:part], shorter, *op[part + 1 :]], *after]


def _is_block(part: object) -> bool:
    return isinstance(part, list) and bool(part) and all(isinstance(op, list) for op in part)


def digests(seeds: Sequence[int]) -> list[str]:
    """Return what identifies all that happens in the runs of some seeds."""
    return [Case.of(seed).run(replays=False).digest for seed in seeds]
