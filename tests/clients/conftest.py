"""The published clients, installed once a session, and a server for them."""

import os
import re
import select
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from resonate_trio.protocol import PROTOCOL_VERSION, DebugReset, Envelope, Head, encode_request
from tests.e2e.kit import open_kit

from .installing import MissingClientError, install_python, install_typescript
from .kit import Language, Stage

_PATIENCE_S = 20.0

# --- Clients --------------------------------------------------------------------------------------


def _installed(config: pytest.Config, name: str, install: Callable[[Path], list[str]]) -> Language:
    """Install a client. In CI a missing one is a failure: a test that was skipped there did not run."""
    assert config.cache is not None
    try:
        return Language(name, install(config.cache.mkdir("clients") / name))
    except MissingClientError as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def typescript(pytestconfig: pytest.Config) -> Language:
    """Return the published TypeScript client."""
    return _installed(pytestconfig, "typescript", install_typescript)


@pytest.fixture(scope="session")
def python(pytestconfig: pytest.Config) -> Language:
    """Return the published Python client."""
    return _installed(pytestconfig, "python", install_python)


@pytest.fixture(params=["typescript", "python"])
def published(request: pytest.FixtureRequest) -> Language:
    """Return each published client in turn."""
    language = request.getfixturevalue(request.param)
    assert isinstance(language, Language)
    return language


# --- Server ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def running_server() -> Iterator[str]:
    """Run one server for all tests here, to save their time, and return its URL. It must log nothing."""
    command = [sys.executable, "-m", "resonate_trio", "dev", "--port", "0", "--debug"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert select.select([process.stderr], [], [], _PATIENCE_S)[0], "the server did not start"
            listening = re.search(r"http://\S+:\d+", process.stderr.readline())
            assert listening is not None
            yield listening[0]
            process.terminate()
            _, logged = process.communicate(timeout=_PATIENCE_S)
            assert logged == ""
        finally:
            process.kill()


@pytest.fixture
def server(running_server: str) -> str:
    """Return the URL of the server, with nothing in it."""
    request = encode_request(Envelope(Head("reset", PROTOCOL_VERSION), DebugReset()))
    httpx.post(running_server, content=request, timeout=_PATIENCE_S).raise_for_status()
    return running_server


@pytest.fixture
async def stage(tmp_path: Path, server: str) -> AsyncIterator[Stage]:
    """Open a stage for the test. No process of it survives the test, and no client may have logged anything.

    A client that is refused something it did not expect logs that, and goes on in some way.
    """
    async with open_kit(tmp_path) as kit:
        stage = Stage(kit, server)
        yield stage
        assert stage.complaints() == []
