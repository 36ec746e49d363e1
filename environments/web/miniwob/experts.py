SOLVED = frozenset()
