"""What the server is told at its start."""

from pathlib import Path
from typing import Literal, final

from attrs import frozen

from server_ref.limits import DEFAULT_LIMITS, Limits

HttpServer = Literal["uvicorn", "hypercorn"]
"""What speaks HTTP: uvicorn on asyncio, or Hypercorn on trio."""


@final
@frozen
class AuthConfig:
    """Whose tokens are accepted.

    Attributes:
        key: a PEM file with the public keys of who issues tokens.
        issuer: whom the claim `iss` of a token must name, None for anybody.
        audience: whom its claim `aud` must name; with None it must have no such claim.
    """

    key: Path
    issuer: str | None = None
    audience: str | None = None


@final
@frozen
class TlsConfig:
    """How connections are encrypted.

    Attributes:
        cert: a PEM file with the certificate and those that it rests on.
        key: a PEM file with its private key, None if that is in the same file.
    """

    cert: Path
    key: Path | None = None


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
        trace: the file to which what was performed is added, None for none.
        auth: whose tokens are accepted, None to let everybody in.
        tls: how connections are encrypted, None to leave them as they are.
        limits: how much clients may ask for.
    """

    path: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8001
    debug: bool = False
    http_server: HttpServer = "uvicorn"
    url: str | None = None
    trace: Path | None = None
    auth: AuthConfig | None = None
    tls: TlsConfig | None = None
    limits: Limits = DEFAULT_LIMITS
