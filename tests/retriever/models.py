"""Texts to search in."""

TEXTS = ["the red mug", "a blue cup", "red wine in a red glass", "mountain railway", "railways of the mountains"]
