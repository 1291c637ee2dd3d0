"""Bad requests, by the thousand, each against an application over a store that holds something of everything."""

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import frozen
from hypothesis import given, settings, strategies as st

from server_ref.store import MemoryStore, SqliteStore

from .kit import Answer, Target, a_target
from .requests import KINDS, Broken, broken_requests, envelope, nonsense


@frozen
class Harness:
    """An application in a thread of its own, called from generated tests again and again."""

    target: Target
    portal: BlockingPortal

    def check(self, *args: Any, **kwargs: Any) -> Answer:
        """Call the application. The answer is of the right form, no fault of the server, and changed nothing if
        it is a refusal.
        """
        return self.portal.call(partial(self._check, *args, **kwargs))

    async def _check(self, *args: Any, **kwargs: Any) -> Answer:
        before = await self.target.everything()
        answer = await self.target.call(*args, **kwargs)
        assert answer.status < 500, answer
        if answer.status >= 400:
            answer.check_envelope()
            assert await self.target.everything() == before
        return answer


@pytest.fixture(params=[("asyncio", "sqlite"), ("trio", "memory")], ids=["asyncio sqlite", "trio memory"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Harness]:
    """Give an application on each backend, over each store: some values only one of them would choke on."""
    backend, kind = request.param
    store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "r.db")
    with start_blocking_portal(backend) as portal, portal.wrap_async_context_manager(a_target(store)) as target:
        yield Harness(target, portal)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_request_that_is_bent_is_right_before(harness: Harness, kind: str) -> None:
    """What the other tests break would be performed as it is, so it is refused for what they did to it."""
    assert harness.check(orjson.dumps(envelope(kind, KINDS[kind]))).status == 200


def test_broken_request_is_refused_and_changes_nothing(
    harness: Harness, inputs: Callable[[str], settings]
) -> None:
    """One wrong value anywhere in a request, and it is a 400 that echoes its correlation id."""

    @inputs("broken")
    @given(broken_requests())
    def refuse(broken: Broken) -> None:
        assert harness.check(broken.body).status == 400, broken

    refuse()


def test_nonsense_is_answered(harness: Harness, inputs: Callable[[str], settings]) -> None:
    """Whatever the bytes of a body are, there is an answer in the form of a reply; a refusal changed nothing."""

    @inputs("nonsense")
    @given(nonsense(), st.integers(1, 50), st.booleans())
    def answer(body: bytes, size: int, ends: bool) -> None:
        cuts = range(0, min(len(body), 20 * size), size)
        pieces = [body[at : at + size] for at in cuts] + [body[20 * size :]]
        harness.check(pieces, ends=ends).check_envelope()

    answer()


_METHODS: Final = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"])
_HEADER_NAMES: Final = st.sampled_from([
    b"host",
    b"content-length",
    b"content-type",
    b"authorization",
    b"transfer-encoding",
    b"expect",
    b"x",
])
_HEADER_VALUES: Final = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"[::1", b"9" * 5000, b"-1", b"0x10", b"Bearer", b"Bearer ", b"bearer \xff", b"Basic eDp4"]),
)
_LENGTHS: Final = st.tuples(
    st.just(b"content-length"),
    st.sampled_from([b"", b"9" * 5000, b"9" * 20, b"-1", b"1e9", b"\xb2", b"0x10", b" 7"]),
)
_PATHS: Final = st.one_of(
    st.binary(max_size=30).map(lambda rest: b"/" + rest),
    st.binary(max_size=30).map(lambda rest: b"/poll/" + rest),
    st.sampled_from([b"/", b"//", b"/poll/g/w", b"/poll/%00/%ff", b"/health", b"/ready", b"/" + b"a" * 10_000]),
)


def test_any_method_path_and_header_is_answered(harness: Harness, inputs: Callable[[str], settings]) -> None:
    """What is no request of the protocol is refused, or harmless: health, readiness, a stream that is cut."""

    @inputs("http")
    @given(
        where=st.just(("POST", b"/")) | st.tuples(_METHODS, _PATHS),
        headers=st.lists(st.tuples(_HEADER_NAMES, _HEADER_VALUES) | _LENGTHS, max_size=20),
        body=st.binary(max_size=100),
    )
    def answer(where: tuple[str, bytes], headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        method, path = where
        status = harness.check(body, method=method, path=path, headers=headers, ends=False).status
        assert status in {200, 400, 404, 405, 413}

    answer()
