"""Shopping-v0: the WebShop task without its known flaws."""
