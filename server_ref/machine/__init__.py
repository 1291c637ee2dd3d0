"""The protocol as a pure machine: a request, an instant and a view of the store give a reply and changes."""
