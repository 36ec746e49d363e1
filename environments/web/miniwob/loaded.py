"""Which pages are loaded afresh for every episode.

The others are started once more where they are, which takes a tenth of the time: their episodes are the same either
way, observations, rewards and states alike, over five seeds in two orders. The first group differs, since something of
the episode before stays (numbers in ids, listeners, what time has passed for animations); the second isn't trusted: its
pages are dragged, selected or typed into in ways that the few actions of such a comparison may not reach.
"""

_words = str.split

DIFFER = frozenset(
    _words(
        "book-flight book-flight-nodelay chase-circle click-pie click-pie-nodelay draw-line form-sequence "
        "moving-items scroll-text-2 search-engine social-media text-editor use-autocomplete "
        "use-autocomplete-nodelay use-colorwheel use-colorwheel-2 use-slider use-slider-2"
    )
)
UNTRUSTED = frozenset(
    _words(
        "buy-ticket choose-date choose-date-easy choose-date-medium choose-date-nodelay click-shades "
        "copy-paste copy-paste-2 drag-box drag-circle drag-cube drag-items drag-items-grid drag-shapes "
        "drag-shapes-2 drag-single-shape drag-sort-numbers form-sequence-2 form-sequence-3 highlight-text "
        "highlight-text-2 resize-textarea scroll-text simon-says social-media-all social-media-some "
        "stock-market terminal"
    )
)
LOADED = DIFFER | UNTRUSTED
