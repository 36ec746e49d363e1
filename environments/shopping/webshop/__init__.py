"""WebShop-v0: the official text environment, to the byte."""
