"""Other systems of this kind, for the same work: how they are found and installed, and our programs for them.

They have an environment of their own: `programs/` runs in it, so this file must import nothing that is not there.
"""
