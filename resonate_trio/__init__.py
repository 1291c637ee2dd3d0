"""Durable execution with structured concurrency, for trio.

`Resonate` is what an application constructs; `Context` is what its durable functions get; `Client` calls them from
any other async application. See the tutorial in docs/.
"""

from ._client import Client as Client
from ._context import CancelScope as CancelScope, Context as Context, Handle as Handle, Nursery as Nursery
from ._errors import (
    ArgumentsError as ArgumentsError,
    AuthenticationError as AuthenticationError,
    DecodingError as DecodingError,
    DivergenceError as DivergenceError,
    EncodingError as EncodingError,
    InvocationCancelled as InvocationCancelled,
    InvocationFailed as InvocationFailed,
    InvocationTimedOut as InvocationTimedOut,
    PermissionDeniedError as PermissionDeniedError,
    PromiseNotFoundError as PromiseNotFoundError,
    RemoteError as RemoteError,
    RequestRefusedError as RequestRefusedError,
    ResonateError as ResonateError,
    ScheduleNotFoundError as ScheduleNotFoundError,
    ServerError as ServerError,
    ServerUnreachableError as ServerUnreachableError,
    UnknownFunctionError as UnknownFunctionError,
    UnregisteredFunctionError as UnregisteredFunctionError,
    UsageError as UsageError,
)
from ._instrument import Instrument as Instrument
from ._promises import Promises as Promises
from ._registry import Registry as Registry
from ._resonate import Resonate as Resonate
from ._retry import (
    Constant as Constant,
    Exponential as Exponential,
    Linear as Linear,
    Never as Never,
)
from ._roots import RootHandle as RootHandle
from ._schedules import Schedule as Schedule, Schedules as Schedules
from ._worker import WorkerOptions as WorkerOptions

__all__ = [
    "ArgumentsError",
    "AuthenticationError",
    "CancelScope",
    "Client",
    "Constant",
    "Context",
    "DecodingError",
    "DivergenceError",
    "EncodingError",
    "Exponential",
    "Handle",
    "Instrument",
    "InvocationCancelled",
    "InvocationFailed",
    "InvocationTimedOut",
    "Linear",
    "Never",
    "Nursery",
    "PermissionDeniedError",
    "PromiseNotFoundError",
    "Promises",
    "Registry",
    "RemoteError",
    "RequestRefusedError",
    "Resonate",
    "ResonateError",
    "RootHandle",
    "Schedule",
    "ScheduleNotFoundError",
    "Schedules",
    "ServerError",
    "ServerUnreachableError",
    "UnknownFunctionError",
    "UnregisteredFunctionError",
    "UsageError",
    "WorkerOptions",
]

for _name in __all__:
    globals()[_name].__module__ = __name__
del _name
