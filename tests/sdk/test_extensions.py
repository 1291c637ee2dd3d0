"""What a client knows of the extensions that its server offers."""

import pytest

from resonate_trio._transport import EmbeddedTransport, HttpTransport, Link
from resonate_trio.protocol import PromiseGet
from server_ref.clock import LoopClock
from server_ref.engine import open_engine
from server_ref.store import MemoryStore

from .http_kit import answering, refusal

pytestmark = pytest.mark.anyio

HEADER = "Resonate-Extensions"
ASKED = PromiseGet("a")


@pytest.fixture
def anyio_backend() -> str:
    """Run on trio."""
    return "trio"


async def test_nothing_is_known_before_the_first_reply() -> None:
    """Then the reply says it, whatever its status."""
    with answering(lambda _, body: refusal(404, body, "no"), {HEADER: "cancel, lost"}) as url:
        async with HttpTransport(url) as transport:
            link = Link(transport)
            assert (transport.extensions, link.offers("cancel")) == (frozenset(), False)
            await link.ask(ASKED)
            assert transport.extensions == {"cancel", "lost"}
            assert [link.offers(name) for name in ("cancel", "lost", "batch")] == [True, True, False]


async def test_server_without_the_header_offers_nothing() -> None:
    """As every server does that knows none."""
    with answering(lambda _, body: refusal(404, body, "no")) as url:
        async with HttpTransport(url) as transport:
            await Link(transport).ask(ASKED)
            assert transport.extensions == frozenset()


async def test_latest_reply_counts() -> None:
    """A server may be replaced by another, newer or older."""
    headers: dict[str, str] = {}
    with answering(lambda _, body: refusal(404, body, "no"), headers) as url:
        async with HttpTransport(url) as transport:
            link, seen = Link(transport), []
            for offer in ("cancel", "cancel", "lost,batch", ""):
                headers[HEADER] = offer
                await link.ask(ASKED)
                seen.append(transport.extensions)
    assert seen == [{"cancel"}, {"cancel"}, {"lost", "batch"}, frozenset()]


@pytest.mark.parametrize(("status", "offered"), [(200, {"cancel"}), (502, frozenset())])
async def test_answer_to_a_poll_tells_too(status: int, offered: frozenset[str]) -> None:
    """A worker knows before it has asked. What a proxy answers in the server's place does not count."""
    with answering(lambda *_: (status, b""), {HEADER: "cancel"}) as url:
        async with HttpTransport(url) as transport:
            assert transport._client is not None
            await transport._client.get(f"{url}/poll/g/p")
            assert transport.extensions == offered


async def test_embedded_server_is_asked_itself() -> None:
    """It needs no reply for that."""
    async with open_engine(MemoryStore(), clock=LoopClock(0)) as engine:
        assert EmbeddedTransport(engine).extensions == engine.extensions
