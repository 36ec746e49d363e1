"""Stop strings, on tokens: a message ends with the token that completes one, and every sampled token stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class StopStrings:
    """Whether a growing message contains one of a request's stop strings.

    Decoding at every token would cost more than a small model does, so the message is only decoded when its last token
    can complete a stop string: when its own text holds the last character of one, or is part of a character.
    """

    def __init__(self, stop: Sequence[str], to_text: Callable[[Sequence[int]], str]) -> None:
        self._stop = [text for text in stop if text]
        self._to_text = to_text
        self._last = {text[-1] for text in self._stop}
        self._always = any(character.isspace() or not character.isascii() for character in self._last)

    def hit(self, tokens: Sequence[int]) -> bool:
        """Whether the text of these tokens contains a stop string."""
        if not self._stop:
            return False
        if not self._always and self._last.isdisjoint(self._to_text(tokens[-1:])):
            return False
        return self._holds(tokens)

    def length(self, tokens: Sequence[int]) -> int | None:
        """How many of the tokens the message has that ends with the first stop string; None without one.

        Engines that look at several tokens at once return what came after it as well.
        """
        if not self._stop or not self._holds(tokens):
            return None
        count = len(tokens)
        while count > 1 and self._holds(tokens[: count - 1]):
            count -= 1
        return count

    def _holds(self, tokens: Sequence[int]) -> bool:
        text = self._to_text(tokens)
        return any(stop in text for stop in self._stop)
