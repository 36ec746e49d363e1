"""A browser for agents: pages as lines of text with references, with and without a real browser behind it."""
