"""The one error of this package, and how messages quote what a peer sent."""

from typing import Final, final

QUOTED: Final = 100


@final
class ProtocolError(Exception):
    """What arrived does not follow the protocol.

    Attributes:
        message: what is wrong and where, for the peer to read.
        kind: the `kind` of the envelope, as far as it could be read, else an empty string.
        corr_id: its `corrId`, as far as it could be read, else an empty string.
    """

    def __init__(self, message: str, *, kind: str = "", corr_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.corr_id = corr_id


def quoted(text: str) -> str:
    """Return a text in quotes. A long one is cut: a message should not grow with what it complains about."""
    return repr(text) if len(text) <= QUOTED else f"{text[:QUOTED]!r}…"
