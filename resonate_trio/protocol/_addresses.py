"""Addresses: where a message is delivered."""

from typing import Final, Literal, final
from urllib.parse import urlsplit

from attrs import frozen

from ._errors import quoted

MAX_ADDRESS_LENGTH: Final = 4096


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
    if len(text) > MAX_ADDRESS_LENGTH:
        raise ValueError(f"{quoted(text)} is longer than {MAX_ADDRESS_LENGTH} characters")
    scheme, found, rest = text.partition("://")
    if found and scheme == "poll":
        return _parse_poll(text, rest)
    if found and scheme in {"http", "https"}:
        return _parse_push(text)
    raise ValueError(
        f"{quoted(text)} is no address: expected poll://any@GROUP, poll://uni@GROUP/PID or http(s)://…"
    )


def _parse_push(text: str) -> PushAddress:
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port  # a port that is none is found only when it is asked for
    except ValueError as error:
        raise ValueError(f"{quoted(text)} is no URL: {error}") from None
    if not host:
        raise ValueError(f"{quoted(text)} names no host")
    return PushAddress(text)


def _parse_poll(text: str, rest: str) -> PollAddress:
    cast, _, place = rest.partition("@")
    group, slash, pid = place.partition("/")
    if cast not in {"any", "uni"} or not group or (slash and not pid):
        raise ValueError(
            f"{quoted(text)} is no poll address: expected poll://any@GROUP[/PID] or poll://uni@GROUP/PID"
        )
    if cast == "uni" and not slash:
        raise ValueError(f"{quoted(text)} needs a process: poll://uni@GROUP/PID")
    return PollAddress("any" if cast == "any" else "uni", group, pid if slash else None)
