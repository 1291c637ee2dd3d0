"""What the server is told at its start."""

from pathlib import Path
from typing import Literal, final

from attrs import frozen

HttpServer = Literal["uvicorn", "hypercorn"]
"""What speaks HTTP: uvicorn on asyncio, or Hypercorn on trio."""


@final
@frozen
class ServerConfig:
    """The options of `resonate-trio serve`.

    Attributes:
        path: the SQLite file, None to keep everything in memory.
        host: the address to listen at.
        port: the port, 0 for any that is free.
        debug: whether `debug.*` and `resonate:debug_time` are honoured.
        http_server: what speaks HTTP.
        url: where workers reach the server, None for where it listens.
    """

    path: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8001
    debug: bool = False
    http_server: HttpServer = "uvicorn"
    url: str | None = None
