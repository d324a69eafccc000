"""The latent map of the report and of `latent --plot`: two factors as a picture, every factor in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.latent import latent_of
from warehouse import charts
from warehouse.console import count
from warehouse.errors import UserError

if TYPE_CHECKING:
    import altair as alt

    from predictor.latent import Latent
    from warehouse.store import Warehouse

_ENDS = 4
_TRAITS = 5
# More names than this on one side would lie on each other, so only those far out are written.
_LABELLED = 14


def maps(warehouse: Warehouse, wanted: list[tuple[str, str]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Entries for (matrix, model) pairs, and why others have none."""
    made, notes = [], []
    for matrix, model in wanted:
        try:
            found = latent_of(warehouse, matrix=matrix, model=model)
            note = ""
            if found.most < 2:
                notes.append(f"No map of {model} on {matrix}: so few datasets allow one factor at most.")
                continue
            if len(found.factors) < 2:
                note = f" {count(len(found.factors), 'factor')} held up; the map shows two all the same."
                words = found.sentence
                found = latent_of(warehouse, matrix=matrix, model=model, factors=2)
            else:
                words = found.sentence
        except UserError as error:
            notes.append(f"No latent factors of {model} on {matrix}: {error}")
            continue
        made.append(_entry(found, words + note))
    return made, notes


def _entry(found: Latent, words: str) -> dict[str, Any]:
    x, y = axes(found)
    return {
        "matrix": found.matrix,
        "model": found.model,
        "words": [words, *(remark[:1].upper() + remark[1:] for remark in found.remarks)],
        "x": x,
        "y": y,
        "rows": biplot_rows(found),
        "factors": [{"name": f.name.capitalize(), "lines": _lines(found, f.number)} for f in found.factors],
    }


def _lines(found: Latent, number: int) -> list[str]:
    lines = []
    for side, word in (("source", "Sources"), ("target", "Targets")):
        points = found.points(number, side)
        half = min(_ENDS, len(points) // 2)
        high, low = (", ".join(p.dataset for p in some) for some in (points[:half], points[::-1][:half]))
        lines.append(f"{word}: highest {high}; lowest {low}.")
    traits = [a for a in found.found if a.factor == number][:_TRAITS]
    if traits:
        named = ", ".join(f"{a.trait} of the {a.side}s ({a.spearman:+.2f}, q {a.q:.2g})" for a in traits)
        lines.append(f"Goes with (Spearman, false discovery rate): {named}.")
    return lines


def axes(found: Latent) -> tuple[str, str]:
    """Titles of the two axes of the map."""
    first, second = (f"{f.name} ({f.share.value:.0%} of the differences between sources)" for f in found.factors[:2])
    return first, second


def biplot_rows(found: Latent) -> list[dict[str, Any]]:
    """Rows for `charts.biplot`: source scores, and target loadings scaled to reach as far out as the sources do."""
    scores, loadings = found.scores[:, :2], found.loadings[:, :2]
    reach = [float(np.sqrt((side**2).sum(axis=1)).max(initial=0.0)) for side in (scores, loadings)]
    scale = reach[0] / reach[1] if reach[1] > 0 else 1.0
    rows = []
    for side, names, places in (("source", found.sources, scores), ("target", found.targets, loadings * scale)):
        far = np.argsort(-(places**2).sum(axis=1), kind="stable")[:_LABELLED]
        for i, name in enumerate(names):
            x, y = (round(float(v), 3) for v in places[i])
            rows.append({"name": name, "side": side, "x": x, "y": y, "label": name if i in far else ""})
    return rows


def biplot(found: Latent) -> alt.TopLevelMixin:
    """The map as a chart. Raises UserError for fewer than two factors."""
    if len(found.factors) < 2:
        cure = "Draw two all the same: add --factors 2" if found.most > 1 else "So few datasets allow one at most."
        raise UserError(f"a map needs two factors, and this one has {count(len(found.factors), 'factor')}. {cure}")
    x, y = axes(found)
    return charts.biplot(biplot_rows(found), title=f"{found.model} on {found.matrix}", x=x, y=y)
