"""Tasks whose page can be started once more without being loaded afresh."""

RESTARTED = frozenset()
