"""All workloads."""

from collections.abc import Mapping

from ._base import Workload
from ._fan_out import FanOut
from ._flows import Flows
from ._requests import Requests
from ._rfcs import Rfcs
from ._round_trip import RoundTrip
from ._starts import Starts
from ._steps import Steps

WORKLOADS: Mapping[str, type[Workload]] = {
    workload.name: workload for workload in (Steps, Rfcs, RoundTrip, FanOut, Flows, Starts, Requests)
}
"""Every workload by its name, in the order of the table."""
