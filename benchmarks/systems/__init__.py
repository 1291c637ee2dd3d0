"""What is measured, and how it is started: ours, embedded or as processes that speak HTTP, and the peers."""

from ._base import (
    OURS as OURS,
    PEERS as PEERS,
    Calls as Calls,
    Mode as Mode,
    System as System,
    Times as Times,
    WrongResultError as WrongResultError,
)
from ._counting import COUNTED_GROUP as COUNTED_GROUP, open_counted_caller as open_counted_caller
from ._functions import CALLEE as CALLEE
from ._load import open_connection as open_connection
from ._open import PeerMissingError as PeerMissingError, open_system as open_system
from ._resonate import Connection as Connection, Part as Part, ResonateSystem as ResonateSystem, ours as ours
from ._timing import run_side_by_side as run_side_by_side
