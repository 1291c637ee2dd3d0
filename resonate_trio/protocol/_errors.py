"""The one error of this package."""

from typing import final


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
