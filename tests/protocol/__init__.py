"""The tests of the protocol package."""
