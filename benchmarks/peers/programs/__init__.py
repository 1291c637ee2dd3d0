"""Programs that do the work of our workloads with other systems.

They run in the peers' environment, with no package of ours: they need the standard library and the peer.
"""
