"""What is done and timed. A workload knows the system only as something that it can call."""

from ._all import WORKLOADS as WORKLOADS
from ._base import Scale as Scale, Workload as Workload
