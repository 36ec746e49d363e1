"""Software-engineering episodes: find and fix a bug in a real package, inside a sandbox."""
