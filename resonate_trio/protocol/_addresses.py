"""Addresses: where a message is delivered."""

from typing import Literal, final
from urllib.parse import urlsplit

from attrs import frozen


@final
@frozen
class PollAddress:
    """`poll://any@group`, `poll://any@group/pid` or `poll://uni@group/pid`.

    `any` means one worker of the group, the named one if it is connected; `uni` means the named one only.
    """

    cast: Literal["any", "uni"]
    group: str
    pid: str | None = None

    def __str__(self) -> str:
        return f"poll://{self.cast}@{self.group}" + (f"/{self.pid}" if self.pid is not None else "")


@final
@frozen
class PushAddress:
    """`http://…` or `https://…`: messages are posted there."""

    url: str

    def __str__(self) -> str:
        return self.url


Address = PollAddress | PushAddress


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        ValueError: it is no address of a transport that we know. The message says what is wrong.
    """
    scheme, found, rest = text.partition("://")
    if found and scheme == "poll":
        return _parse_poll(text, rest)
    if found and scheme in {"http", "https"}:
        if not urlsplit(text).hostname:
            raise ValueError(f"{text!r} names no host")
        return PushAddress(text)
    raise ValueError(
        f"{text!r} is no address: expected poll://any@GROUP, poll://uni@GROUP/PID or http(s)://…"
    )


def _parse_poll(text: str, rest: str) -> PollAddress:
    cast, _, place = rest.partition("@")
    group, slash, pid = place.partition("/")
    if cast not in {"any", "uni"} or not group or (slash and not pid):
        raise ValueError(
            f"{text!r} is no poll address: expected poll://any@GROUP[/PID] or poll://uni@GROUP/PID"
        )
    if cast == "uni" and not slash:
        raise ValueError(f"{text!r} needs a process: poll://uni@GROUP/PID")
    return PollAddress("any" if cast == "any" else "uni", group, pid if slash else None)
