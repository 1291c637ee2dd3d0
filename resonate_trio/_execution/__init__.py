"""Tasks being run: journal, bodies, suspension. What a durable function sees of it is in `_context`."""

from ._bodies import Alarms as Alarms, Wait as Wait
from ._calling import CallContext as CallContext, Run as Run, Work as Work, is_signal as is_signal
from ._divergence import with_arguments as with_arguments
from ._execution import Execution as Execution
from ._held import HeldTask as HeldTask, Lease as Lease, LeaseLost as LeaseLost
from ._life import Ending as Ending
from ._runtime import Runtime as Runtime
