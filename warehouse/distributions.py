"""What a profile knows of lengths, turns, languages and classes as rows to draw or print: a row for each bar.

Owns which distributions there are and how bars of two datasets stand next to each other. Takes profiles and refuses to
read data: a profile keeps histograms and label counts, no lengths of single rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from traitcast.warehouse.layout import shortened
from traitcast.warehouse.records import LengthBin, Profile

# Histograms in the order in which they are shown: part, unit, words.
HISTOGRAMS = (
    ("prompt", "words", "words of the prompt"),
    ("response", "words", "words of the response"),
    ("row", "tokens", "tokens of a row"),
    ("prompt", "turns", "turns before the response"),
)
# Classes that are drawn one by one; the others are one bar.
CLASSES = 12
_LABEL_WIDTH = 40
# Bars of a histogram in a text.
_LINES = 10


def axes(profiles: Sequence[Profile]) -> list[tuple[str, str, str]]:
    """`HISTOGRAMS` with how the tokens of these profiles were counted; without tokens if not all in one way."""
    counted = [profile for profile in profiles if any(one.unit == "tokens" for one in profile.length_histograms)]
    by = {profile.details.get("tokenizer") for profile in counted}
    if len(by) != 1:
        return [one for one in HISTOGRAMS if one[1] != "tokens"]
    how = ", estimated (four bytes each)" if by == {None} else f" by {Path(str(*by)).name}"
    return [(part, unit, axis + (how if unit == "tokens" else "")) for part, unit, axis in HISTOGRAMS]


def histogram(profiles: Sequence[Profile], part: str, unit: str) -> list[dict[str, Any]]:
    """A stored histogram of some profiles.

    Returns
    -------
    list of dict
        A row for each bin: dataset, dataset_order, low, high (low <= size < high), n, share (of the rows with that
        part), shown. None where all rows are in one bin, such as responses that are the name of a class.
    """
    rows = []
    for order, profile in enumerate(profiles):
        bins = _bins(profile, part, unit)
        total = sum(one.n for one in bins)
        rows += [
            {"dataset": profile.name, "dataset_order": order, "low": one.low, "high": one.high, "n": one.n}
            | {"share": one.n / total, "shown": f"{_range(one)} {unit}: {one.n / total:.1%}"}
            for one in bins
        ]
    return rows if len({row["low"] for row in rows}) > 1 else []


def classes(profiles: Sequence[Profile]) -> list[dict[str, Any]]:
    """Label counts of some profiles, the most frequent classes first.

    Returns
    -------
    list of dict
        A row for each class of each profile that has labels: name, order, dataset, dataset_order, n, share, shown. What
        is rarer than the `CLASSES` most frequent ones is one row.
    """
    return _bars(profiles, [dict(profile.label_counts) for profile in profiles], "classes")


def languages(profiles: Sequence[Profile]) -> list[dict[str, Any]]:
    """Languages of the prompts of some profiles, as `classes` gives classes; none where all are in one language."""
    counts = [dict(profile.details.get("languages") or {}) for profile in profiles]
    return _bars(profiles, counts, "languages") if any(len(one) > 1 for one in counts) else []


def _bars(profiles: Sequence[Profile], counts: Sequence[Mapping[str, int]], what: str) -> list[dict[str, Any]]:
    totals = [sum(one.values()) for one in counts]
    shares = [{name: n / total for name, n in one.items()} for one, total in zip(counts, totals, strict=True)]
    highest = {name: max(one.get(name, 0.0) for one in shares) for one in shares for name in one}
    names = sorted(highest, key=lambda name: (-highest[name], name))
    rest = f"{len(names) - CLASSES + 1:,} other {what}"
    shown = names if len(names) <= CLASSES else names[: CLASSES - 1]
    rows = []
    for order, (profile, share, total) in enumerate(zip(profiles, shares, totals, strict=True)):
        if not share:
            continue
        values = [(shortened(name, _LABEL_WIDTH), share.get(name, 0.0)) for name in shown]
        if len(shown) < len(names):
            values.append((rest, sum(share.get(name, 0.0) for name in names[len(shown) :])))
        rows += [
            {"name": name, "order": at, "dataset": profile.name, "dataset_order": order}
            | {"n": round(value * total), "share": value, "shown": f"{value:.1%}"}
            for at, (name, value) in enumerate(values)
        ]
    return rows


def in_text(profile: Profile, part: str, unit: str) -> list[tuple[str, float]]:
    """A histogram in at most `_LINES` lines: sizes in words and the share of the rows; empty bins are left out."""
    bins = list(_bins(profile, part, unit))
    total = sum(one.n for one in bins)
    while len(bins) > _LINES:
        # The two neighbours that hold the fewest rows become one line.
        at = min(range(len(bins) - 1), key=lambda i: bins[i].n + bins[i + 1].n)
        bins[at : at + 2] = [LengthBin(part, unit, bins[at].low, bins[at + 1].high, bins[at].n + bins[at + 1].n)]
    return [(_range(one), one.n / total) for one in bins]


def _bins(profile: Profile, part: str, unit: str) -> list[LengthBin]:
    found = [one for one in profile.length_histograms if (one.part, one.unit) == (part, unit) and one.n]
    return sorted(found, key=lambda one: one.low)


def _range(one: LengthBin) -> str:
    return f"{one.low:,}" if one.high == one.low + 1 else f"{one.low:,} to {one.high - 1:,}"
