"""A library run in Django's own admin: pages that no rule of the engine was made on. Runs in a worker."""
