"""What a durable function sees: its context, nurseries and handles."""

from ._cancel_scope import CancelScope as CancelScope
from ._context import Context as Context
from ._handle import Handle as Handle
from ._nursery import Nursery as Nursery
from ._root import root_work as root_work
