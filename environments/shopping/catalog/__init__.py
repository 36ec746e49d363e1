"""The procedural catalogue: believable products, any number of them, from a seed."""

from agentgym.environments.shopping.catalog.store import CatalogSpec, StoredCatalogue, open_catalogue

__all__ = ["CatalogSpec", "StoredCatalogue", "open_catalogue"]
