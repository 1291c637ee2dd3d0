"""Addresses: what is one, and what is said of what is none."""

import pytest

from resonate_trio.protocol import Address, PollAddress, PushAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("poll://any@group", PollAddress("any", "group")),
        ("poll://any@group/pid", PollAddress("any", "group", "pid")),
        ("poll://uni@group/pid", PollAddress("uni", "group", "pid")),
        ("poll://any@a group/p/q@r", PollAddress("any", "a group", "p/q@r")),
        ("http://host/path?query", PushAddress("http://host/path?query")),
        ("https://host:8443", PushAddress("https://host:8443")),
    ],
)
def test_an_address_is_read_and_written_as_it_was(text: str, address: Address) -> None:
    """Both transports, and all forms of poll."""
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "group",
        "any@group",
        "poll:any@group",
        "poll://",
        "poll://group",
        "poll://any@",
        "poll://any@/pid",
        "poll://any@group/",
        "poll://uni@group",
        "poll://all@group",
        "POLL://any@group",
        "http://",
        "https:///path",
        "http://:80",
        "ftp://host",
    ],
)
def test_what_is_no_address_is_named(text: str) -> None:
    """The message repeats it, so that the user finds it."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)


def test_a_host_that_cannot_be_read_is_no_address() -> None:
    """An unclosed bracket is an error of the address, with a message of its own."""
    with pytest.raises(ValueError, match="IPv6"):
        parse_address("http://[::1")


@pytest.mark.parametrize("port", ["x", "65536", "99999999999999999999", "-1"])
def test_a_port_that_cannot_be_is_no_address(port: str) -> None:
    """Nothing could ever be delivered there."""
    with pytest.raises(ValueError, match="no URL"):
        parse_address(f"http://host:{port}/")


@pytest.mark.parametrize("scheme", ["http://", "poll://any@", "x"])
def test_an_address_that_is_too_long_is_not_repeated_in_full(scheme: str) -> None:
    """A message is for reading, and goes back to who sent the address."""
    with pytest.raises(ValueError, match="4096 characters") as caught:
        parse_address(scheme + "x" * 5000)
    assert len(str(caught.value)) < 200
