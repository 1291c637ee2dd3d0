"""What the figures are to be, and how they are shown."""

from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from benchmarks._docs import figures_text, goals_text, write_docs
from benchmarks._figures import Figure, Summary
from benchmarks._goals import judge
from benchmarks._pictures import draw
from benchmarks._profile import attribute
from benchmarks._report import figures_of, to_document
from benchmarks._runner import Plan
from benchmarks.systems import Mode
from benchmarks.workloads import WORKLOADS, Scale


def figure(
    workload: str, mode: Mode, rate: float, size: int | None = None, amounts: Mapping[str, float] | None = None
) -> Figure:
    """Return a figure of one round in which everything happened one after the other."""
    summary = Summary(1, 1000 / rate, 1000 / rate, rate, amounts or {})
    return Figure(workload, f"n = {size}" if size else "case", mode, summary, (summary,), size)


def test_goal_is_judged_at_the_largest_size_that_both_systems_ran() -> None:
    """A size that only one of them ran says nothing."""
    (verdict,) = judge([
        figure("steps", Mode.HTTP, 2_100, 200),
        figure("steps", Mode.HTTP, 100, 1_000),
        figure("steps", Mode.RESTATE, 1_000, 200),
    ])
    assert (verdict.wanted, verdict.is_met) == ("2 × Restate", True)
    assert verdict.found == "2,100/s, 2.10 × Restate (1,000/s)"


@pytest.mark.parametrize(("slow", "is_met"), [(100, True), (70, False)])
def test_growing_time_of_a_call_is_seen(slow: float, is_met: bool) -> None:
    """Calls that take longer the more there are miss their goal."""
    (verdict,) = judge([figure("rfcs", Mode.HTTP, 100, 10), figure("rfcs", Mode.HTTP, slow, 1_000)])
    assert verdict.is_met is is_met


def test_every_goal_gets_a_verdict_from_a_whole_run() -> None:
    """With figures of everything, nothing is left unjudged."""
    verdicts = judge([
        *(figure(name, mode, 100, 50) for name in ("steps", "rfcs", "flows", "fan-out") for mode in Mode),
        *(figure("starts", mode, 100) for mode in Mode),
        figure("children", Mode.HTTP, 100, 50),
        figure("fan-out-requests", Mode.HTTP, 100, 50, {"requests by the parent": 9.0}),
        figure("rfcs", Mode.HTTP, 100, 10),
        figure("requests", Mode.HTTP, 100),
        figure("parked", Mode.HTTP, 100, 50, {"KiB each": 21.0, "worker MiB": 40.0}),
        figure("sleepers", Mode.HTTP, 100, 50, {"server MiB": 40.0}),
        figure("sleepers", Mode.HTTP, 100, None, {"server MiB": 40.0}),
    ])
    assert len(verdicts) == 13
    assert "9" in goals_text(verdicts)


def test_nothing_is_judged_without_figures() -> None:
    """A run of one workload gives no verdict on the others."""
    assert judge([]) == []


def test_pictures_are_svg_without_scripts_or_addresses() -> None:
    """What the documentation shows runs nothing and fetches nothing."""
    pictures = draw([
        figure("steps", Mode.HTTP, 800, 50),
        figure("steps", Mode.HTTP, 810, 200),
        figure("steps", Mode.RESONATE_SDK, 90, 50),
        figure("parked", Mode.HTTP, 100, 50, {"KiB each": 21.0, "worker MiB": 40.0}),
    ])
    assert sorted(pictures) == ["memory-parked", "peers", "steps"]
    for svg in pictures.values():
        tags = {element.tag for element in fromstring(svg).iter() if isinstance(element.tag, str)}
        assert "{http://www.w3.org/2000/svg}path" in tags
        assert not {tag for tag in tags if tag.endswith("script")}
        assert "href" not in svg


def test_table_has_a_column_for_each_system() -> None:
    """A system that did not run a case has an empty cell in its line."""
    text = figures_text([figure("steps", Mode.HTTP, 1_000, 50), figure("starts", Mode.DBOS, 500)])
    assert text.splitlines() == [
        "| workload | case | http | dbos |",
        "|---|---|---|---|",
        "| steps | n = 50 | 1,000 steps/s<br>1.00 ms |  |",
        "| starts | case |  | 500 starts/s<br>2.00 ms |",
    ]


def test_documentation_is_made_from_a_document(tmp_path: Path) -> None:
    """What a run wrote is read again and gives the same figures; old pictures go."""
    (tmp_path / "old.svg").touch()
    figures = [figure("steps", Mode.HTTP, 1_000, 50), figure("steps", Mode.RESTATE, 500, 50)]
    facts = {
        "cpus": 2,
        "machine": "x",
        "system": "y",
        "python": "z",
        "sqlite": "3",
        "commit": "abc",
        "uncommitted_changes": False,
        "load_average": [0.5, 0.1, 0.1],
        "peers": {"restate": "restate-sdk 1"},
    }
    document = to_document(Plan(["steps"], [Mode.HTTP, Mode.RESTATE], 1, Scale.QUICK), figures, facts)
    assert figures_of(document) == figures
    write_docs(document, tmp_path)
    names = {"machine.inc", "goals.inc", "figures.inc", "pictures.inc", "results.json", "steps.svg", "peers.svg"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert "no figures to quote" in (tmp_path / "machine.inc").read_text()


def test_samples_count_for_the_innermost_layer() -> None:
    """A thread that waits for work does not count; what is called counts for whoever it belongs to."""
    shares = attribute(
        "caller",
        [
            "run (trio/_core/_run.py:1);ask (resonate_trio/_x.py:2);p (x/_transport/_connections.py:3) 3",
            "run (trio/_core/_run.py:1);ask (resonate_trio/_transport/_http.py:2);sleep (somewhere.py:1) 1",
            "run (trio/_core/_run.py:1);EpollIOManager.get_events (trio/_core/_io_epoll.py:4) 96",
            "torn (nonsense",
        ],
        2.0,
    )
    assert [(share.layer, share.share, share.us_each) for share in shares] == [
        ("HTTP client (httpcore, httptools)", 0.75, 6.0),
        ("SDK", 0.25, 2.0),
    ]


def test_peers_are_only_asked_for_what_they_can_do() -> None:
    """A plan gives each system the workloads that it has, and a system of its own where one is left unfit."""
    plan = Plan(list(WORKLOADS), list(Mode), 1, Scale.TINY)
    assert list(plan.sessions(Mode.DBOS)) == [["steps", "rfcs", "round-trip", "fan-out", "flows", "starts"]]
    assert list(plan.sessions(Mode.HTTP))[1:] == [["parked"], ["sleepers"]]
