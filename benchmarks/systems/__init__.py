"""What is measured, and how it is started: embedded, or as processes that speak HTTP."""

from ._base import Connection as Connection, Mode as Mode, System as System
from ._open import open_system as open_system
