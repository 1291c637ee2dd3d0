"""Tasks being run: journal, bodies, suspension. What a durable function sees of it is in `_context`."""

from ._calling import CallContext as CallContext, Work as Work
from ._execution import Ending as Ending, Execution as Execution
from ._held import HeldTask as HeldTask, Lease as Lease, LeaseLost as LeaseLost
from ._runtime import Runtime as Runtime
