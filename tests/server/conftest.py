"""What the tests of the server share: they run on both backends of anyio."""

from typing import Any

import pytest
from trio.testing import MockClock


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Run each async test on both backends; trio's time is virtual and jumps to the next deadline.

    A test that waits asks for trio alone: `@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)`.
    """
    if request.param == "trio":
        return "trio", {"clock": MockClock(autojump_threshold=0)}
    return request.param, {}
