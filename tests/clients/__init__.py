"""The published clients of this protocol, unchanged, against our server."""
