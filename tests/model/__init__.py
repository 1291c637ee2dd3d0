"""A model of the protocol, and the server compared with it, step by step."""
