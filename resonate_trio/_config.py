"""Where settings come from: the constructor, then the environment, then a default."""

import os
import secrets
import socket
from collections.abc import Mapping
from typing import final
from urllib.parse import urlsplit

from attrs import frozen

from ._errors import UsageError

DEFAULT_GROUP = "default"


@final
@frozen
class Settings:
    """What an application, a worker or a client is told about its surroundings.

    Attributes:
        url: the server, or None to embed one.
        token: a JWT for a server that asks for one.
        group: the group that this process belongs to.
        pid: this process, among those of its group.
    """

    url: str | None
    token: str | None
    group: str
    pid: str


def load_settings(
    url: str | None,
    token: str | None,
    group: str | None,
    pid: str | None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings: arguments first, then RESONATE_URL, RESONATE_TOKEN and RESONATE_GROUP.

    Raises:
        UsageError: one of them cannot be meant. The message names it.
    """
    env = os.environ if environment is None else environment
    url = url or env.get("RESONATE_URL") or None
    group = group or env.get("RESONATE_GROUP") or DEFAULT_GROUP
    pid = pid or new_pid()
    if url is not None:
        _check_url(url)
    for name, value in (("group", group), ("pid", pid)):
        if "/" in value:
            raise UsageError(f"{name}={value!r} must not contain '/'")
    # Tokens come from files, with a line's end, which no HTTP header may hold.
    token = (token or env.get("RESONATE_TOKEN") or "").strip() or None
    return Settings(url.rstrip("/") if url else None, token, group, pid)


def _check_url(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"the server's url is {url!r}; it must begin with http:// or https://")
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number, or too great
        is_complete = False
    if not is_complete:
        raise UsageError(f"the server's url is {url!r}; it must name a host, as in http://localhost:8001")


def new_pid() -> str:
    """Return a name for this process that no other has: host, process id, and 32 random bits."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}".replace("/", "-")
