"""What the sections of the report come to: one sentence above each, and the numbers at the top of the page.

Owns the words. It reads what the sections hold already and measures nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from traitcast.warehouse.console import count

# A mean over targets that is farther than this many standard errors from 0 is called a gain or a loss.
_CLEAR = 2.0
_LEAST_TARGETS = 5


def headline(key: str, data: Any) -> str:
    """The sentence above the section `key`, from its data; empty where nothing can be said in one."""
    make = _HEADLINES.get(key)
    return make(data) if make is not None and data else ""


def tiles(maps: Sequence[Mapping[str, Any]], quality: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """(number, what it is) of the measured gains and of the predictor's quality."""
    found = []
    if maps:
        found += [(f"{sum(entry['count'] for entry in maps):,}", f"measured cells in {_matrices(maps)}")]
        found += _extremes(maps[0])
    if quality:
        run = quality["evaluations"][0]
        m = run["model"]["spearman"]
        if m["value"] is not None and m["value"] == m["value"]:
            what = f"Spearman{_interval(m)} of the predictor on {quality['matrix']}, {run['protocol']}"
            found.append((f"{m['value']:.2f}".replace("-", "\u2212"), what))
    return found


def _interval(m: Mapping[str, Any]) -> str:
    if m["low"] is None or m["low"] != m["low"]:
        return ""
    return f" [{m['low']:.2f}, {m['high']:.2f}]".replace("-", "\u2212")


def _extremes(shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The largest gain and loss of a heatmap where the untuned model did not give one answer to every row."""
    rows = [row for row in shown["extremes"] if not row["one_answer"]]
    best = max((row for row in rows if row["gain"] > 0), key=_gain, default=None)
    worst = min((row for row in rows if row["gain"] < 0), key=_gain, default=None)
    found = []
    for word, row in (("best", best), ("worst", worst)):
        if row is not None:
            error = row["standard_error"]
            known = f"\u00b1 {error:.1f}: " if error is not None and error == error else ""
            unsure = "" if known else "; standard error unknown"
            pair = f"{row['source']} on {row['target']} ({shown['model']} in {shown['matrix']})"
            found.append((_pp(row["gain"]), f"{known}{word} measured gain, {pair}{unsure}"))
    return found


def _gain(row: Mapping[str, Any]) -> float:
    return float(row["gain"])


def _matrices(maps: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(entry["matrix"] for entry in maps))
    return _one_or_count(names, "matrices")


def _pp(gain: float) -> str:
    return f"{gain:+.1f}\u00a0pp".replace("-", "\u2212")


def _of_yours(entries: Sequence[Mapping[str, Any]]) -> str:
    kinds = Counter(found["severity"] for entry in entries for found in entry["findings"])
    if not kinds:
        return f"Nothing was found wrong with {_one_or_count([entry['name'] for entry in entries], 'datasets')}."
    words = (("error", "error"), ("warning", "warning"), ("info", "note"))
    of = [count(kinds[severity], word) for severity, word in words if kinds[severity]]
    listed = " and ".join([", ".join(of[:-1]), of[-1]] if of[1:] else of)
    names = [entry["name"] for entry in entries if entry["findings"]]
    return f"{listed} in {_one_or_count(names, 'datasets')}."


def _one_or_count(names: Sequence[str], many: str) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} {many}"


def _of_transfer(maps: Sequence[Mapping[str, Any]]) -> str:
    """How many sources raise or lower the mean target beyond doubt, in the first heatmap."""
    shown = maps[0]
    gain = np.array([[np.nan if g is None else g for g in row] for row in shown["gain"]], dtype=np.float64)
    own = np.array([[s == t for t in shown["targets"]] for s in shown["sources"]])
    gain[own] = np.nan
    n = np.isfinite(gain).sum(axis=1)
    enough = n >= _LEAST_TARGETS
    if not enough.any():
        return ""
    mean = np.array([np.nanmean(row) for row in gain[enough]])
    error = np.array([np.nanstd(row, ddof=1) for row in gain[enough]]) / np.sqrt(n[enough])
    raised, lowered = int((mean > _CLEAR * error).sum()), int((mean < -_CLEAR * error).sum())
    best = np.array(shown["sources"])[enough][int(mean.argmax())]
    first = count(raised, "source") if raised else "No source"
    told = f"{first} of {len(mean)} {_verb('raise', raised)} the other targets on"
    rest = f"{lowered or 'none'} {_verb('lower', lowered)} them"
    most = f"{best} helps most, {_pp(float(mean.max()))} on average"
    return f"In {shown['matrix']}, {told} average beyond two standard errors, {rest}; {most}."


def _verb(word: str, n: int) -> str:
    return f"{word}s" if n < 2 else word


def _of_ranking(found: Mapping[str, Any]) -> str:
    if found["silent"]:
        return (
            f"No order of sources is claimed: in {found['learnt']}, sources for targets left out were ordered no "
            "better than by chance. Candidates are listed by how alike their answers are to those of the target."
        )
    return ""


def _of_quality(found: Mapping[str, Any]) -> str:
    run = found["evaluations"][0]
    m = run["model"]["spearman"]
    if m["value"] is None or m["value"] != m["value"]:
        return ""
    low = m["low"]
    verdict = "better than chance" if low is not None and low > 0 else "not clearly better than chance"
    return (
        f"On {run['targets']} targets that it had not seen, it ranks sources {verdict}: Spearman "
        f"{m['value']:.2f}{_interval(m)}."
    )


def _of_reasons(found: Mapping[str, Any]) -> str:
    (family, size), *_ = found["families"]
    return f"Of all families of traits, {family} moves predictions most: by {size:.2g} {found['unit']} on average."


def _of_effects(found: Mapping[str, Any]) -> str:
    rows = found["shifts"][0]["label_shift"] if found["shifts"] else []
    if not rows:
        return ""
    row = rows[0]
    return (
        f"Tuning changes more than scores: {row['source']} moved {row['label_shift']:.0%} of the answers on "
        f"{row['target']} to another label."
    )


_HEADLINES: Mapping[str, Callable[[Any], str]] = {
    "yours": _of_yours,
    "transfer": _of_transfer,
    "ranking": _of_ranking,
    "quality": _of_quality,
    "reasons": _of_reasons,
    "effects": _of_effects,
}
