"""Python values, calls and errors as the payloads that promises hold, and back; no I/O."""

from ._codec import Call as Call, Codec as Codec
from ._error_classes import ErrorClasses as ErrorClasses
