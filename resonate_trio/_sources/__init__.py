"""How messages arrive: by long poll, or from an engine in this process."""

from ._base import Connected as Connected, Event as Event, Killed as Killed, Source as Source, Terms as Terms
from ._embedded import EmbeddedSource as EmbeddedSource
from ._poll import PollSource as PollSource
