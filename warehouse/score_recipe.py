"""The import recipe: how to read the results file of somebody else.

Owns the keys of the YAML file and their checks. Refuses unknown keys and values, with the nearest valid one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from traitcast.warehouse.errors import ScoresError, nearest

COLUMNS = ("model", "source", "target", "seed", "metric", "score", "n", "standard_error")
BASES = ("untuned", "target mean")
SCALES = {"fraction": 1.0, "percent": 0.01}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to read one results file. All keys of the YAML file are optional.

    Parameters
    ----------
    name
        The name of the matrix in the warehouse (default: that of the file).
    description, citation
        Kept with the matrix.
    columns
        Our column -> the file's column.
    where
        The file's column -> allowed values; other rows are left out.
    names
        The file's task name -> dataset name; an empty name marks the base model (no source).
    sources
        The file's model or adapter name -> the dataset that it was tuned on, empty for the base model. For files
        that name models only: result files of a harness, and tables with a row per model.
    metric
        Headline metric, and the metric of files without such a column.
    base
        "untuned" (rows with an empty source are the base; the default) or "target mean" (no base was published: gain
        is measured against the mean score of all sources but the target itself).
    scale
        "fraction" or "percent" (divided by 100).
    """

    name: str | None = None
    description: str = ""
    citation: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None
    base: str | None = None
    scale: str = "fraction"


def load_recipe(file: Path) -> Recipe:
    """Read an import recipe (YAML).

    Raises
    ------
    ScoresError
        For unknown keys and values, with the nearest valid one.
    """
    from traitcast.warehouse.strict_yaml import read_document

    missing = f"no recipe file {file}. Give --spec a YAML file that exists."
    content = read_document(file, "recipe", ScoresError, missing) or {}
    if not isinstance(content, dict):
        raise ScoresError(f"{file}: a recipe is a mapping of keys, not {type(content).__name__}.")
    allowed = [f.name for f in fields(Recipe)]
    for key in content:
        if key not in allowed:
            raise ScoresError(f"{file}: unknown key {key!r}{nearest(str(key), allowed)} Allowed: {', '.join(allowed)}.")
    for key in ("columns", "where", "names", "sources"):
        if not isinstance(content.get(key, {}), dict):
            raise ScoresError(f"{file}: {key} must be a mapping.")
    for key in ("name", "description", "citation", "metric"):
        if not isinstance(content.get(key, ""), str):
            raise ScoresError(f"{file}: {key} is {content[key]!r}, not a text. Put it in quotes.")
    if not all(isinstance(theirs, str) for theirs in content.get("columns", {}).values()):
        raise ScoresError(f"{file}: columns maps our names to column names, which are texts.")
    for ours in content.get("columns", {}):
        if ours not in COLUMNS:
            raise ScoresError(
                f"{file}: columns maps {ours!r}{nearest(str(ours), COLUMNS)} Allowed: {', '.join(COLUMNS)}."
            )
    where = {
        key: [str(v) for v in (value if isinstance(value, list) else [value])]
        for key, value in content.get("where", {}).items()
    }
    named = {
        key: {str(theirs): str(ours or "") for theirs, ours in content.get(key, {}).items()}
        for key in ("names", "sources")
    }
    recipe = Recipe(**{**content, "where": where, **named})
    if recipe.base is not None:
        _one_of(file, "base", recipe.base, BASES)
    _one_of(file, "scale", recipe.scale, tuple(SCALES))
    return recipe


def _one_of(file: Path, key: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ScoresError(f"{file}: {key} is {value!r}{nearest(str(value), allowed)} Allowed: {', '.join(allowed)}.")
