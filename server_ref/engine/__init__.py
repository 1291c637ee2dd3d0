"""The engine: it runs the machine over a store, turn by turn, and has messages delivered."""

from ._engine import Engine as Engine, open_engine as open_engine
