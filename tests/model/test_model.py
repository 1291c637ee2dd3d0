"""The server does what the model does, over each store."""

import faulthandler
from collections.abc import Iterator

import pytest

from resonate_trio.protocol import REQUESTS, Batch

from .play import play
from .shapes import FIELDS
from .side_by_side import Servers, open_servers
from .statuses import ALL, STATUSES


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Open a server over each store."""
    with open_servers() as opened:
        yield opened


def test_the_server_does_what_the_model_does(servers: Servers, pytestconfig: pytest.Config) -> None:
    """Every reply and all that is stored is the same after every step, and every status was seen."""
    faulthandler.cancel_dump_traceback_later()  # this takes longer than it takes to be suspected of a deadlock
    steps, seed = pytestconfig.getoption("model_steps"), pytestconfig.getoption("model_seed")
    seen = play(servers, steps=steps, until=ALL, seed=seed)
    assert seen.total() >= steps
    assert seen.keys() == ALL


def test_the_model_knows_every_kind() -> None:
    """A kind that is new to the protocol has to be in the model, and in the table of what it can give.

    A batch is none of its own: the engine performs what is in it, one after the other.
    """
    kinds = REQUESTS.keys() - {Batch.kind}
    assert FIELDS.keys() == kinds
    assert {kind for kind in STATUSES if ">" not in kind} == kinds
