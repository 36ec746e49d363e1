"""The keeper: one small helper process that holds the mounts, processes and control groups of all sandboxes.

The mounts live in the keeper's own mount namespace, so that nothing is ever mounted on the host and all of it is gone
when the keeper ends. The keeper ends when its parent does, however the parent ended: their socket closes. It imports
the standard library alone and starts in about 20 ms.
"""
