"""Clients that build registered exceptions again, over HTTP."""

import attrs
import pytest

from resonate_trio import Client, Never, RemoteError, Resonate
from server_ref.machine import Extensions

from .http_kit import serving

pytestmark = pytest.mark.trio


@attrs.define
class DeclinedError(Exception):
    """A card was declined."""

    code: int


async def test_a_client_builds_what_its_registry_has(server_extensions: Extensions) -> None:
    """And a client without a registry gets a RemoteError."""
    with serving(server_extensions) as url:
        bank = Resonate(url, group="bank")
        bank.register_error(DeclinedError)

        @bank.register(retry=Never())
        async def charge() -> None:
            raise DeclinedError(51)

        async with bank, Client(url, registry=bank.registry) as knows, Client(url) as other:
            with pytest.raises(DeclinedError) as built:
                await knows.options(group="bank").rfc("a", charge)
            with pytest.raises(RemoteError) as told:
                await other.options(group="bank").rfc("a", "charge")
    assert built.value.code == 51
    assert (told.value.type_name, told.value.attributes) == ("DeclinedError", {"code": 51})
