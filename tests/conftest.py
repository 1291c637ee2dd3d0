"""Options of long runs: each makes one part of the tests try more than it does by default."""

import pytest

pytest_plugins = ["resonate_trio.testing.plugin"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("long runs")
    group.addoption(
        "--histories",
        type=int,
        default=16,
        metavar="N",
        help="linearizability: how many histories of concurrent clients are checked for each server (default: 16)",
    )
    group.addoption(
        "--crash-rounds",
        type=int,
        default=8,
        metavar="N",
        help="crashes: how often the server under load is killed and started again (default: 8)",
    )
    group.addoption(
        "--fuzz-inputs",
        type=int,
        default=3_000,
        metavar="N",
        help="bad input: how many requests are tried (default: 3000)",
    )
    group.addoption(
        "--model-steps",
        type=int,
        default=20_000,
        metavar="N",
        help="model: how many steps of random histories are compared with the server (default: 20000)",
    )
    group.addoption(
        "--model-seed",
        type=int,
        default=0,
        metavar="N",
        help="model: which random histories are tried: others for another number (default: 0)",
    )
    group.addoption(
        "--determinism-histories",
        type=int,
        default=None,
        metavar="N",
        help="determinism: how many histories of each flow are played (0: all)",
    )
    group.addoption(
        "--simulation-seeds",
        type=int,
        default=2_000,
        metavar="N",
        help="simulation: how many random flows are run under random faults (default: 2000)",
    )
    group.addoption(
        "--simulation-seed",
        type=int,
        default=None,
        metavar="N",
        help="simulation: the only seed to run, one that has failed, for one",
    )
    group.addoption(
        "--extensions",
        choices=("core", "none"),
        default="core",
        help="SDK: which tests meet a server without extensions: the core ones also, or all only (default: core)",
    )
