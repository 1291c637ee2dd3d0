"""The engine runs on both backends of anyio here too."""

from tests.server.conftest import anyio_backend as anyio_backend
