"""Leases: tasks are acquired, kept by heartbeat, run, suspended, fulfilled, released."""

from ._options import WorkerOptions as WorkerOptions
from ._worker import Worker as Worker
