"""ShoppingTiny-v0: shopping for models of a million parameters."""
