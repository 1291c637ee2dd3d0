"""Functions by name and version, and how arguments are bound to their annotations; no I/O."""

from ._function import Function as Function
from ._registry import Registry as Registry
