"""Messages by long poll: what is yielded, what is ignored, and when it is connected again."""

import logging
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import trio

from resonate_trio import AuthenticationError, PermissionDeniedError
from resonate_trio._sources import Connected, Event, PollSource, Terms
from resonate_trio.protocol import Execute, Unblock

from .kit import in_virtual_time

pytestmark = in_virtual_time

EXECUTE = b'data: {"kind":"execute","head":{"serverUrl":"u"},"data":{"task":{"id":"a","version":1}}}\n\n'
UNBLOCK = (
    b'data: {"kind":"unblock","head":{},"data":{"promise":{"id":"p","state":"resolved","param":{},"value":{},'
    b'"tags":{},"timeoutAt":1,"createdAt":0,"settledAt":1}}}\n\n'
)


def stream(body: bytes | AsyncIterator[bytes]) -> httpx.Response:
    """Return a response that is a stream of events."""
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)


async def take(
    count: int, answer: Callable[[httpx.Request], httpx.Response], terms: Terms | None = None
) -> list[Event]:
    """Return the first events of a source whose server answers like this."""
    events: list[Event] = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        source = PollSource(client, "http://server", "the group", "a/b", terms, token="secret")
        with trio.CancelScope() as scope:
            async with source.open() as stream:
                async for event in stream:
                    events.append(event)
                    if len(events) >= count:
                        scope.cancel()
    return events[:count]


async def test_messages_are_yielded_in_order() -> None:
    """After the connection itself; comments are skipped."""
    events = await take(3, lambda request: stream(b": hello\n\n" + EXECUTE + b": alive\n\n" + UNBLOCK))
    assert events[:2] == [Connected(), Execute("a", 1, "u")]
    assert isinstance(events[2], Unblock)


async def test_address_is_encoded_and_the_token_sent() -> None:
    """Whatever the names contain."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return stream(EXECUTE)

    await take(1, answer)
    assert requests[0].url.raw_path == b"/poll/the%20group/a%2Fb"
    assert requests[0].headers["authorization"] == "Bearer secret"


async def test_terms_are_in_the_query() -> None:
    """A server that does not offer them does not look at it."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return stream(EXECUTE)

    await take(1, answer, Terms(7, 3000))
    assert requests[0].url.raw_path == b"/poll/the%20group/a%2Fb?capacity=7&ttl=3000"


async def test_message_that_is_unknown_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    """A newer server may send more than we know."""
    events = await take(2, lambda request: stream(b'data: {"kind":"new","data":{}}\n\ndata: %\n\n' + EXECUTE))
    assert events[1] == Execute("a", 1, "u")
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["ignored"] * 2


async def test_connection_is_opened_again_when_it_ends() -> None:
    """For ever, and each time it says so."""
    events = await take(6, lambda request: stream(EXECUTE))
    assert events == [Connected(), Execute("a", 1, "u")] * 3


async def test_connection_that_is_silent_is_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    """That is no outage: some servers write nothing when there is nothing."""

    async def silent() -> AsyncIterator[bytes]:
        yield EXECUTE
        raise httpx.ReadTimeout("silence")

    assert await take(4, lambda request: stream(silent())) == [Connected(), Execute("a", 1, "u")] * 2
    assert caplog.records == []


@pytest.mark.parametrize("trouble", [503, 404, httpx.ConnectError("refused"), httpx.ReadError("reset")], ids=str)
async def test_server_that_is_away_is_tried_until_it_is_back(
    trouble: int | httpx.TransportError, caplog: pytest.LogCaptureFixture
) -> None:
    """With growing delays, and one line in the log."""
    tries = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        if tries == 20:
            return stream(EXECUTE)
        if isinstance(trouble, int):
            return httpx.Response(trouble)
        raise trouble

    with caplog.at_level(logging.WARNING):
        await take(1, answer)
    assert trio.current_time() > 2
    assert len(caplog.records) == 1
    assert "the poll at http://server is lost" in caplog.text


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)], ids=["401", "403"]
)
async def test_token_that_is_refused_ends_the_source(status: int, error: type[Exception]) -> None:
    """Trying again would change nothing."""
    with pytest.raises(error, match=rf"/poll/the%20group/a%2Fb answers with status {status}"):
        await take(1, lambda request: httpx.Response(status))
