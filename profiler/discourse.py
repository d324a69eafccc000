"""How a text argues: connectives, hedges, feeling, quantities, per hundred words.

Owns the traits made from the counts of `profiler.traits.discourse`. Refuses meaning: a word on a list counts wherever it
stands.
"""

from __future__ import annotations

from traitcast.profiler.text.estimates import Floats, ratio
from traitcast.profiler.traits import discourse

# Trait -> the count it is made of.
RATES = {
    **{f"{marker}_marker_rate": marker for marker in list(discourse.MARKERS)[:7]},
    "hedge_rate": "hedge",
    "booster_rate": "booster",
    "quantifier_rate": "quantifier",
    "unit_rate": "unit",
    "numeral_rate": "numeral",
    "positive_word_rate": "positive",
    "negative_word_rate": "negative",
    "nominalisation_rate": "nominalisation",
}


def traits(sums: Floats, words: Floats) -> dict[str, Floats]:
    """Trait name (without its part) -> value per document. sums: document sums of `lexicon.count_segments`."""
    return {name: 100.0 * ratio(sums[:, discourse.COUNTS.index(count)], words) for name, count in RATES.items()}
