"""Search for models of a million parameters with a vocabulary of words."""
