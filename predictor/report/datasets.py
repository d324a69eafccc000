"""The datasets of the report: every trait with its percentile in the reference, and unusual ones in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from traitcast.warehouse.console import count
from traitcast.warehouse.distributions import axes, classes, histogram, languages
from traitcast.warehouse.percentiles import in_words, kin, meaning, most_unusual, standings

if TYPE_CHECKING:
    from traitcast.warehouse.database.warehouse import Warehouse

# A dataset takes about 5 kB of the page.
MAX_DATASETS = 200
_LABELS = 12
_UNUSUAL = 5
# Row numbers of a finding that are shown.
_ROWS = 5
# A label is any cell of a file; the page shows its beginning.
LABEL_LENGTH = 60


def own_names(warehouse: Warehouse) -> list[str]:
    """The datasets that the user profiled, in order."""
    return [row["name"] for row in warehouse.datasets() if not row["reference"]]


def chosen(warehouse: Warehouse, asked: Sequence[str], learnt: Sequence[str]) -> list[str]:
    """Names of the datasets that the page shows: all, or the MAX_DATASETS that matter most where there are more.

    First those asked for, then the user's own, then those that the predictor learnt from, then the others.
    """
    known = dict.fromkeys(warehouse.dataset_names())
    wanted = [*asked, *own_names(warehouse), *learnt, *known]
    return [name for name in dict.fromkeys(wanted) if name in known][:MAX_DATASETS]


def profiles(warehouse: Warehouse, names: Sequence[str]) -> dict[str, Any]:
    """What the page needs of each dataset; values and percentiles as lists in the order of the catalogue."""
    rows = {row["name"]: row for row in warehouse.datasets()}
    reference = warehouse.trait_matrix([name for name, row in rows.items() if row["reference"]])
    catalogue = warehouse.catalogue()
    return {
        "reference": len(reference.names),
        "traits": [[d.trait, d.family, d.unit, meaning(d)] for d in catalogue],
        "datasets": [_dataset(warehouse, rows[name], reference, [d.trait for d in catalogue]) for name in names],
        "left_out": len(rows) - len(names),
    }


def yours(warehouse: Warehouse, names: Sequence[str]) -> list[dict[str, Any]]:
    """What was found in each dataset, and its distributions as rows of bars. Texts of a dataset stay out."""
    made = []
    for name in names:
        profile = warehouse.profile(name)
        drawn = [(axis, histogram([profile], part, unit)) for part, unit, axis in axes([profile])]
        made.append(
            {
                "name": name,
                "facts": f"{profile.task_type.replace('_', ' ')}, {count(profile.rows, 'row')}",
                "findings": [
                    {"severity": f.severity, "count": f.count, "looked_at": f.looked_at}
                    | {"message": shortened(f.message, 400), "rows": list(f.rows[:_ROWS])}
                    for f in profile.findings
                ],
                "histograms": [{"axis": axis, "rows": rows} for axis, rows in drawn if rows],
                "classes": classes([profile]),
                "languages": languages([profile]),
            }
        )
    return made


def _dataset(warehouse: Warehouse, row: dict[str, Any], reference: Any, traits: Sequence[str]) -> dict[str, Any]:
    profile = warehouse.profile(row["name"])
    places = standings(profile, reference)
    values = {t.trait: t.value for t in profile.traits if t.value is not None}
    unusual = most_unusual(profile, standings(profile, kin(profile, reference)), reference, _UNUSUAL)
    counts = [(shortened(label), n) for label, n in profile.label_counts[:_LABELS]]
    return {
        "name": profile.name,
        "task": profile.task_type,
        "family": profile.family,
        "language": profile.language,
        "licence": profile.licence,
        "rows": profile.rows,
        "yours": not row["reference"],
        "prompt_words": row["prompt_words"],
        "response_words": row["response_words"],
        "labels": counts,
        "more_labels": max(0, len(profile.label_counts) - _LABELS),
        "warnings": [shortened(text, 300) for text in profile.details.get("warnings", [])],
        "unusual": [[s.trait.trait, in_words(s)] for s in unusual],
        "values": [None if t not in values else float(f"{values[t]:.4g}") for t in traits],
        "percentiles": [round(places[t].percentile) if t in places else None for t in traits],
    }


def shortened(text: str, length: int = LABEL_LENGTH) -> str:
    """The beginning of a text, its last letter an ellipsis where it was longer."""
    return text if len(text) <= length else text[: length - 1] + "\u2026"
