"""How envelopes travel to a server and back: over HTTP, or to an engine in this process."""

from ._base import Transport as Transport, Unreachable as Unreachable
from ._batching import BatchingTransport as BatchingTransport
from ._embedded import EmbeddedTransport as EmbeddedTransport
from ._http import HttpTransport as HttpTransport
from ._link import Link as Link, accepted as accepted, promise_of as promise_of
