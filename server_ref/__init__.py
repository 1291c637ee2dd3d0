"""A reference server for the Resonate protocol, on anyio."""
