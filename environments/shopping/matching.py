"""How the WebShop reward compares strings: fuzzy token sets and the first colour word.

Source of the rules and of the colour list: princeton-nlp/WebShop ``engine/goal.py`` and ``engine/normalize.py``.
"""

from __future__ import annotations

from functools import lru_cache

from rapidfuzz import fuzz
from rapidfuzz.utils import default_process

MATCH_ABOVE = 85
"""A fuzzy comparison counts as a match above this ratio."""

_COLOUR_WORDS = """
    alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy camel camo
    caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral cranberry cream crystal
    dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass gray green grey heather indigo ivory
    ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve merlot midnight mint mocha multicolor
    mushroom mustard natural navy nude olive orange peach pewter pink plum purple rainbow red rose royal rust sand
    sapphire seashell silver skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut
    wheat white wine yellow
"""
COLOURS = tuple(_COLOUR_WORDS.split())
"""The 102 colour words. Order matters: the first one that occurs wins."""

_LATIN_1_SUPPLEMENT = dict.fromkeys(range(128, 256))


def token_set_ratio(first: object, second: object) -> int:
    """Similarity of two strings as sets of words, 0 to 100, as ``thefuzz.fuzz.token_set_ratio`` computes it.

    Anything that isn't a string is compared by its ``str``. Characters U+0080 to U+00FF are dropped, the rest is
    lower-cased, everything but letters and digits becomes a blank. Two empty strings have ratio 0.
    """
    return _ratio(str(first), str(second))


@lru_cache(maxsize=65536)
def _ratio(first: str, second: str) -> int:
    left = default_process(first.translate(_LATIN_1_SUPPLEMENT))
    right = default_process(second.translate(_LATIN_1_SUPPLEMENT))
    return round(fuzz.token_set_ratio(left, right))


def normalize_color(value: str | tuple[str, str]) -> str | tuple[str, str]:
    """The first of ``COLOURS`` that occurs in ``value``, else ``value`` unchanged.

    In a string a colour occurs as a substring (so ``"teal splash"`` is ``"ash"``); in a (name, value) pair, as one of
    the two (so ``("color", "dark red")`` stays as it is). Both follow from the official code, which uses ``in``.
    """
    return next((colour for colour in COLOURS if colour in value), value)
