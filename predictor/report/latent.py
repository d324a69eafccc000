"""The latent map of the report and of `latent --plot`: two factors as a chart, every factor in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.predictor.latent.search import latent_of
from traitcast.warehouse import charts
from traitcast.warehouse.console import count
from traitcast.warehouse.errors import UserError, some

if TYPE_CHECKING:
    import altair as alt

    from traitcast.predictor.latent.search import Latent
    from traitcast.warehouse.database.warehouse import Warehouse

_ENDS = 4
_TRAITS = 5
_ROOM = "Names are shown where there is room."


def maps(
    warehouse: Warehouse, wanted: Sequence[tuple[str, str]], most: int
) -> tuple[list[dict[str, Any]], list[str], list[tuple[str, str]]]:
    """Entries for the first `most` (matrix, model) pairs with factors; why others have none; the remaining pairs."""
    made: list[dict[str, Any]] = []
    notes: list[str] = []
    without: list[str] = []
    for i, (matrix, model) in enumerate(wanted):
        if len(made) == most:
            return made, [*notes, *_no_factor(without)], list(wanted[i:])
        try:
            found = latent_of(warehouse, matrix=matrix, model=model, least=2)
        except UserError as error:
            notes.append(f"No latent factors of {model} on {matrix}: {error}")
            continue
        if found.most < 2:
            notes.append(f"No map of {model} on {matrix}: with so few datasets, one factor is the most.")
        elif not found.factors:
            without.append(f"{model} on {matrix}")
        else:
            made.append(_entry(found))
    return made, [*notes, *_no_factor(without)], []


def _no_factor(without: Sequence[str]) -> list[str]:
    """One note for all matrices without a factor."""
    return [f"No factor is found in the gains of {some(without, 6)}, so there is no map."] if without else []


def _entry(found: Latent) -> dict[str, Any]:
    x, y = axes(found)
    return {
        "matrix": found.matrix,
        "model": found.model,
        "words": [found.sentence, *(remark[:1].upper() + remark[1:] for remark in found.remarks)],
        "x": x,
        "y": y,
        "drawn": drawn(found),
        "rows": biplot_rows(found),
        "factors": [{"name": f.name.capitalize(), "lines": _lines(found, f.number)} for f in found.factors],
    }


def _lines(found: Latent, number: int) -> list[str]:
    lines = []
    for side, word in (("source", "Sources"), ("target", "Targets")):
        points = found.points(number, side)
        half = min(_ENDS, len(points) // 2)
        high, low = (", ".join(p.dataset for p in some) for some in (points[:half], points[::-1][:half]))
        lines.append(f"{word}: {high} (highest); {low} (lowest).")
    traits = [a for a in found.found if a.factor == number][:_TRAITS]
    if traits:
        named = ", ".join(f"{a.trait} of the {a.side}s ({a.spearman:+.2f}, q {a.q:.2g})" for a in traits)
        lines.append(f"Correlates with (Spearman, false discovery rate q): {named}.")
    return lines


def axes(found: Latent) -> tuple[str, str]:
    """Titles of the two axes of the map."""
    first, second = (f"{f.name} ({f.share.value:.0%} of {found.left})" for f in found.factors[:2])
    return first, second


def _scale(found: Latent) -> float:
    """The factor that scales loadings so that targets reach as far out as sources do."""
    reach = [float(np.sqrt((side[:, :2] ** 2).sum(axis=1)).max(initial=0.0)) for side in (found.scores, found.loadings)]
    return reach[0] / reach[1] if reach[1] > 0 else 1.0


def drawn(found: Latent) -> list[str]:
    """What the positions of sources and of targets mean, one sentence each."""
    return [
        "Sources are drawn at their scores, in standard deviations.",
        f"Targets are drawn at {_scale(found):.3g} times their loadings ({found.unit} per standard deviation).",
    ]


def biplot_rows(found: Latent) -> list[dict[str, Any]]:
    """Rows for `charts.biplot`: source scores, and target loadings scaled to reach as far out as the sources do."""
    scale = _scale(found)
    rows = []
    for side, names, values, by in (
        ("source", found.sources, found.scores, 1.0),
        ("target", found.targets, found.loadings, scale),
    ):
        for name, (across, up) in zip(names, values[:, :2].tolist(), strict=True):
            at = {"x": across * by, "y": up * by, "across": across, "up": up}
            rows.append({"name": name, "side": side} | {key: round(value, 3) for key, value in at.items()})
    return charts.with_places(rows)


def biplot(found: Latent) -> alt.TopLevelMixin:
    """The map as a chart. Raises UserError for fewer than two factors."""
    if len(found.factors) < 2:
        cure = "To draw two anyway, add --factors 2." if found.most > 1 else "With so few datasets, one is the most."
        raise UserError(f"a map needs two factors, and this one has {count(len(found.factors), 'factor')}. {cure}")
    x, y = axes(found)
    rows = biplot_rows(found)
    return charts.biplot(rows, title=f"{found.model} on {found.matrix}", x=x, y=y, words=[*drawn(found), _ROOM])
