"""All workloads."""

from collections.abc import Mapping

from ._base import Workload
from ._children import Children
from ._fan_out import FanOut
from ._fan_out_requests import FanOutRequests
from ._flows import Flows
from ._parked import Parked
from ._requests import Requests
from ._rfcs import Rfcs
from ._round_trip import RoundTrip
from ._sleepers import Sleepers
from ._starts import Starts
from ._steps import Steps

_ALL: tuple[type[Workload], ...] = (
    Steps,
    Rfcs,
    RoundTrip,
    FanOut,
    Children,
    FanOutRequests,
    Flows,
    Starts,
    Requests,
    Parked,
    Sleepers,
)
WORKLOADS: Mapping[str, type[Workload]] = {workload.name: workload for workload in _ALL}
"""Every workload by its name, in the order of the table."""
