"""Random flows on three workers under random faults: what must be true whatever happens."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from .plans import Plan
from .programs import is_calm
from .run import run_program
from .seeds import Case, digests, report, run_seeds

SHOWN = 3
"""How many of the seeds that fail are shown in full."""


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> range:
    """Return the seeds to try: many, or the one that was asked for."""
    one = request.config.getoption("--simulation-seed")
    count = request.config.getoption("--simulation-seeds")
    return range(count) if one is None else range(one, one + 1)


def test_whatever_happens_outcomes_follow_from_what_is_stored(
    seeds: range, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every flow comes to its end, with the outcome that the rules make of what is stored; see `reference.py`."""
    tally = run_seeds(seeds)
    with capsys.disabled():
        sys.stdout.write(f"\n{tally}\n")
    assert tally.seeds == len(seeds)
    shown = "\n\n".join(report(seed) for seed in tally.failed[:SHOWN])
    assert not tally.failed, f"{tally}\nfailed: {tally.failed}\n\n{shown}"


@pytest.mark.parametrize("seed", range(0, 40, 8))
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    """All that happens, and all that is stored, byte for byte: here, and in a process with other hashes."""
    here = digests([seed])
    assert digests([seed]) == here
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(digests, [seed]).result() == here


@pytest.mark.parametrize("max_parked", [0, 1, 10_000])
def test_executions_that_are_kept_and_those_that_replay_give_the_same(max_parked: int) -> None:
    """In programs where nothing depends on who is faster, all outcomes are the same to the last byte."""
    calm = [case for case in map(Case.of, range(60)) if is_calm(case.program)]
    assert len(calm) > 10
    for case in calm:
        kept = run_program(case.program, Plan(), case.seed)
        other = run_program(case.program, Plan(max_parked=max_parked, capacity=1), case.seed + 1)
        assert (kept.outcomes, kept.troubles) == (other.outcomes, []), case
