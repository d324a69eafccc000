"""What an evaluation says, in sentences.

Owns the words and when a difference counts: a 95 % interval that leaves out zero. All else is not clearly different.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from traitcast.predictor.evaluation.evaluate import Evaluation
from traitcast.predictor.evaluation.scoring import Estimate
from traitcast.predictor.model.observations import SOURCES_HELD_OUT
from traitcast.predictor.model.outcomes import Outcome

_UNSEEN = {
    "new-target": "sources for targets of unseen families",
    "one-target": "sources for unseen targets",
    "new-source": "unseen sources",
    "two-sources": "two unseen sources",
    "new-pair": "unseen sources for unseen targets",
    "random-cell": "sources in cells left out at random, which flatters,",
}
# Of fewer sources ranked together the best of three says little.
_FEWEST = 5
# 90 % intervals that hold this share at least, in %, do what they say.
_HOLDS = 85


def verdict(found: Evaluation, of: Outcome) -> list[str]:
    """An evaluation in sentences, the most important first. of: the outcome that was evaluated."""
    what = _UNSEEN[found.protocol]
    if not math.isfinite(found.model["spearman"]["value"]):
        return [f"It cannot be judged how well it orders {what}: too few are held out together.", *_intervals(found)]
    words = [_order(found, what), *_against_source_mean(found, of)]
    if of.harmful and found.candidates >= _FEWEST:
        words += _regret(found, of.unit)
    words += _intervals(found)
    if found.gate["abstained"] > 0.5:
        words.append("In most fits the matrix showed no signal beyond chance.")
    return words


def _order(found: Evaluation, what: str) -> str:
    rho = found.model["spearman"]
    if rho["low"] > 0:
        return f"It orders {what} better than chance: Spearman {_estimate(rho)}."
    if rho["high"] < 0:
        return f"It orders {what} worse than chance: Spearman {_estimate(rho)}. Do not use it for that."
    return f"It is not shown to order {what} better than chance: Spearman {_estimate(rho)}."


def _against_source_mean(found: Evaluation, of: Outcome) -> list[str]:
    over = (found.over_source_mean or {}).get("spearman")
    if over is None or not math.isfinite(over["value"]):
        return []
    mean = f"the order by the mean {of.name.replace('_', ' ')} of each source"
    if over["value"] == over["low"] == over["high"] == 0:
        return [f"It is {mean}."]
    better = "better than" if over["low"] > 0 else "worse than" if over["high"] < 0 else "not clearly different from"
    return [f"That is {better} {mean} ({_estimate(over, '+')})."]


def _regret(found: Evaluation, unit: str) -> list[str]:
    regrets = {"its": found.model} | {
        words: found.baselines[name]
        for name, words in (("source_mean", "the three of highest mean"), ("zero", "three at random"))
        if name in found.baselines and not (name == "source_mean" and found.protocol in SOURCES_HELD_OUT)
    }
    values: Mapping[str, float] = {words: metrics["regret_at_3"]["value"] for words, metrics in regrets.items()}
    if not math.isfinite(values["its"]):
        return []
    others = [f"{words} by {value:.1f}" for words, value in values.items() if words != "its" and math.isfinite(value)]
    against = f" ({', '.join(others)})" if others else ""
    return [f"The best of its first three misses the best of all by {values['its']:.1f} {unit}{against}."]


def _intervals(found: Evaluation) -> list[str]:
    share = found.model["coverage_90"]["value"]
    if not math.isfinite(share):
        return []
    held = round(100 * share)
    words = f"Its 90 % intervals hold {held} %" + (", which is too few," if held < _HOLDS else "")
    narrower = round(100 * (1 - found.interval_width / found.constant_width)) if found.constant_width > 0 else 0
    if not narrower:
        return [f"{words} and are as wide as those around a constant."]
    how = f"{abs(narrower)} % {'narrower' if narrower > 0 else 'wider'}"
    return [f"{words} and are {how} than those around a constant."]


def _estimate(of: Estimate, sign: str = "") -> str:
    if not math.isfinite(of["low"]):
        return f"{of['value']:{sign}.2f}, too few targets for an interval"
    # A bound that leaves out zero may not be written as zero.
    places = 3 if any(0 < abs(of[bound]) < 0.005 for bound in ("low", "high")) else 2
    return f"{of['value']:{sign}.{places}f} [{of['low']:{sign}.{places}f}, {of['high']:{sign}.{places}f}]"
