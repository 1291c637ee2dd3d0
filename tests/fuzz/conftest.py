"""What the tests of bad input share."""

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from server_ref.config import HttpServer

SHARES: Final = {"broken": 60, "nonsense": 25, "http": 10, "connections": 5}
"""How the inputs are shared out (in percent) among the tests, each of which runs twice."""


@pytest.fixture
def inputs(request: pytest.FixtureRequest) -> Callable[[str], settings]:
    """Give the settings of a test that tries its share of inputs."""
    total = int(request.config.getoption("--fuzz-inputs"))

    def share(name: str) -> settings:
        count = max(1, total * SHARES[name] // 200)
        return settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))

    return share


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both backends in real time, as the network is real."""
    return str(request.param)


@pytest.fixture
def http_server(anyio_backend: str) -> HttpServer:
    """Give the name of the server that runs on the backend."""
    return "uvicorn" if anyio_backend == "asyncio" else "hypercorn"
