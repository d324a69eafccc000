"""Profiles in the warehouse: traits, label counts, length histograms and sketches, and the trait catalogue."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from traitcast.warehouse.console import command, warn
from traitcast.warehouse.database import schema
from traitcast.warehouse.database.connection import Connection, check_plain
from traitcast.warehouse.database.schema import OWN
from traitcast.warehouse.errors import NotProfiledError, nearest
from traitcast.warehouse.names import LONGEST, is_name
from traitcast.warehouse.records import (
    FoundRows,
    LengthBin,
    Profile,
    Sketch,
    TraitDefinition,
    TraitMatrix,
    TraitValue,
    pipeline_name,
)

# Of files that `traitcast profile` reads, for a hint only.
_DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".ndjson")
_PACKED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
_DATASET_TABLES = ("traits", "label_counts", "length_histograms", "sketches", "findings")
# Outdated profiles that get a warning of their own.
_OUTDATED_SHOWN = 5


class Profiles(Connection):
    """What is stored of datasets."""

    def sync_catalogue(self, definitions: Sequence[TraitDefinition], version: int) -> None:
        """Make the stored trait catalogue equal the one in code, and rebuild the `profiles` view if it moved."""
        fields = ("trait", "part", "family", "unit", "definition", "source", "low", "high", "tier")
        new = [tuple(getattr(d, name) for name in fields) for d in definitions]
        stored = self._rows(f"SELECT {', '.join(fields)} FROM trait_catalogue ORDER BY position")
        if stored == new and self._meta("catalogue_version") == str(version):
            return
        types = {"low": pa.float64(), "high": pa.float64()}
        columns: dict[str, pa.Array] = {"position": pa.array(range(len(new)), pa.int32())}
        for i, name in enumerate(fields):
            columns[name] = pa.array([row[i] for row in new], types.get(name, pa.string()))
        with self._transaction():
            self._connection.execute("DELETE FROM trait_catalogue")
            self._connection.register("incoming", pa.table(columns))
            self._connection.execute("INSERT INTO trait_catalogue BY NAME SELECT * FROM incoming")
            self._connection.unregister("incoming")
            schema.rebuild_profiles_view(self._connection)
            self._set_meta("catalogue_version", str(version))

    def save_profile(self, profile: Profile) -> None:
        """Store a profile whole, in place of an earlier one of the same name. Raises UserError for a bad name."""
        check_plain(profile.name, "dataset name")
        with self._transaction():
            for table in _DATASET_TABLES:
                self._connection.execute(f"DELETE FROM {OWN}.{table} WHERE dataset = ?", [profile.name])
            self._connection.execute(f"DELETE FROM {OWN}.datasets WHERE name = ?", [profile.name])
            for table, rows in _profile_tables(profile, self._parts()).items():
                if rows.num_rows:
                    self._insert(table, rows)
            self._connection.execute(
                f"UPDATE {OWN}.datasets SET profiled_at = now()::TIMESTAMP WHERE name = ?", [profile.name]
            )

    def _parts(self) -> dict[str, str]:
        return dict(self._rows("SELECT trait, part FROM trait_catalogue"))

    def find(self, name: str) -> str | None:
        """`name` if a dataset of that name is profiled, else None."""
        return name if self._rows("SELECT 1 FROM datasets WHERE name = ?", [name]) else None

    def mixtures(self) -> dict[str, dict[str, float]]:
        """Mixture -> dataset -> its share of the rows, of the profiled mixtures (`traitcast mix`) whose datasets are
        profiled from the same rows."""
        rows = self._rows(
            "SELECT name, details -> '$.mixture' FROM datasets WHERE (details -> '$.mixture') IS NOT NULL"
        )
        known = self.fingerprints() if rows else {}
        found = {name: json.loads(parts) for name, parts in rows}
        return {
            name: {parent: float(of["share"]) for parent, of in parts.items()}
            for name, parts in found.items()
            if all(parent in known and of.get("fingerprint") in (None, known[parent]) for parent, of in parts.items())
        }

    def find_origin(self, origin: str) -> str | None:
        """The name of the dataset last profiled from `origin` (an absolute path or a hub id), if any."""
        rows = self._rows(
            "SELECT name FROM datasets WHERE details ->> '$.origin' = ? ORDER BY profiled_at DESC, name LIMIT 1",
            [origin],
        )
        return rows[0][0] if rows else None

    def places(self) -> dict[str, str]:
        """Dataset -> where its rows are: a hub id, or a path that exists, below the working folder a relative one."""
        rows = self._rows(
            "SELECT name, details ->> '$.origin' FROM datasets WHERE (details ->> '$.origin') IS NOT NULL ORDER BY name"
        )
        here = Path.cwd()
        found: dict[str, str] = {}
        for name, origin in rows:
            path = Path(origin)
            if not path.is_absolute():
                found |= {name: origin} if "/" in origin else {}  # data in memory have no place
            elif path.exists():
                found[name] = str(path.relative_to(here) if path.is_relative_to(here) else path)
        return found

    def details(self, name: str) -> dict[str, Any]:
        """How a profile was made: where its rows were, and by which options they were read. {} if there is none."""
        rows = self._rows("SELECT details FROM datasets WHERE name = ?", [name])
        return dict(json.loads(rows[0][0])) if rows else {}

    def outdated(self, names: Sequence[str] | None = None) -> list[str]:
        """Names of the user's profiles that were measured under another catalogue version, sorted.

        names: which profiles to look at; default: all. Shipped profiles are left out, since the package renews them.
        """
        rows = self._rows(
            "SELECT name FROM datasets WHERE NOT reference AND (details ->> '$.catalogue_version')::BIGINT <> ? "
            "ORDER BY name",
            [self.catalogue_version()],
        )
        return [name for (name,) in rows if names is None or name in names]

    def languages(self) -> dict[str, str]:
        """dataset -> the language that its spec states; those that state none are left out."""
        return dict(self._rows("SELECT name, language FROM datasets WHERE language IS NOT NULL ORDER BY name"))

    def dataset_names(self) -> list[str]:
        """Names of all profiled datasets, in order."""
        return [row[0] for row in self._rows("SELECT name FROM datasets ORDER BY name")]

    def datasets(self) -> list[dict[str, Any]]:
        """One row per profiled dataset, with its main figures."""
        return self._dicts(
            "SELECT d.name, d.task_type, d.family, d.language, d.rows, "
            "max(t.value) FILTER (t.trait = 'label_class_count')::BIGINT AS classes, "
            "max(t.value) FILTER (t.trait = 'label_majority_share') AS majority, "
            "max(t.value) FILTER (t.trait = 'prompt_words_mean') AS prompt_words, "
            "max(t.value) FILTER (t.trait = 'response_words_mean') AS response_words, "
            "d.reference, d.fingerprint, (d.details ->> '$.catalogue_version')::BIGINT AS catalogue_version "
            "FROM datasets d LEFT JOIN traits t ON t.dataset = d.name "
            "GROUP BY ALL ORDER BY d.name"
        )

    def fingerprints(self) -> dict[str, str]:
        """dataset -> fingerprint of its rows."""
        return dict(self._rows("SELECT name, fingerprint FROM datasets ORDER BY name"))

    def profile(self, name: str) -> Profile:
        """The stored profile of `name`. Raises NotProfiledError with the nearest name."""
        rows = self._dicts("SELECT * FROM datasets WHERE name = ?", [name])
        if not rows:
            raise self._not_profiled(name)
        row = rows[0]
        traits = self._rows(
            "SELECT t.trait, t.value, t.standard_error, t.n FROM traits t "
            "LEFT JOIN trait_catalogue c USING (trait) WHERE t.dataset = ? ORDER BY c.position, t.trait",
            [name],
        )
        labels = self._rows("SELECT label, n FROM label_counts WHERE dataset = ? ORDER BY n DESC, label", [name])
        bins = self._rows(
            "SELECT part, unit, low, high, n FROM length_histograms WHERE dataset = ? ORDER BY part, unit, low", [name]
        )
        found = self._dicts(
            "SELECT finding, part, severity, count, looked_at, message, rows FROM findings WHERE dataset = ? "
            "ORDER BY list_position(['error', 'warning', 'info'], severity), finding, part",
            [name],
        )
        vectors = self._rows("SELECT part, kind, vector FROM sketches WHERE dataset = ? ORDER BY part, kind", [name])
        return Profile(
            name=row["name"],
            fingerprint=row["fingerprint"],
            task_type=row["task_type"],
            rows=row["rows"],
            traits=tuple(TraitValue(*trait) for trait in traits),
            label_counts=tuple(labels),
            length_histograms=tuple(LengthBin(*values) for values in bins),
            sketches=tuple(Sketch(part, kind, np.asarray(v, dtype=np.float32)) for part, kind, v in vectors),
            family=row["family"],
            language=row["language"],
            licence=row["licence"],
            parent=row["parent"],
            changed=row["changed"],
            details=json.loads(row["details"] or "{}"),
            findings=tuple(FoundRows(**values | {"rows": tuple(values["rows"])}) for values in found),
        )

    def _not_profiled(self, name: str) -> NotProfiledError:
        names, stem = self.dataset_names(), Path(name).name.partition(".")[0]
        meant = stem in names and stem != name and os.path.exists(name)
        hint = f"; did you mean {stem!r}?" if meant else nearest(name, names)
        shown = name if len(name) <= LONGEST else name[:40] + "..."
        there = f"no profile of {shown!r} in {self.path or 'the reference data'}{hint} See what is there with: "
        there += self._command("datasets")
        words: tuple[str, ...] = ("profile", "DATASET")
        nearby = None if meant else _data_named(name)
        if nearby:
            words = ("profile", nearby)
        elif hint != ".":
            return NotProfiledError(there)
        elif is_name(name):
            words = ("profile", "DATASET", "--name", name)
        return NotProfiledError(
            f"{there}. {f'There is {nearby} here: p' if nearby else 'P'}rofile it with: {self._command(*words)}"
        )

    def catalogue(self) -> tuple[TraitDefinition, ...]:
        """The trait catalogue as stored, in its order."""
        rows = self._rows(
            "SELECT trait, part, family, unit, definition, source, low, high, tier "
            "FROM trait_catalogue ORDER BY position"
        )
        return tuple(TraitDefinition(*row) for row in rows)

    def trait_matrix(self, names: Sequence[str] | None = None) -> TraitMatrix:
        """Traits of datasets (default: all) as float64 (datasets, traits), NaN where undefined."""
        wanted = list(names) if names is not None else self.dataset_names()
        about = {row[0]: row[1:] for row in self._rows("SELECT name, task_type, family, rows FROM datasets")}
        for name in wanted:
            if name not in about:
                raise self._not_profiled(name)
        definitions = self.catalogue()
        row_of = {name: i for i, name in enumerate(wanted)}
        column_of = {d.trait: j for j, d in enumerate(definitions)}
        values = np.full((len(wanted), len(definitions)), np.nan)
        with self._told():
            table = self._connection.execute(
                "SELECT dataset, trait, value FROM traits WHERE value IS NOT NULL"
            ).fetchnumpy()
        for dataset, trait, value in zip(table["dataset"], table["trait"], table["value"], strict=True):
            i, j = row_of.get(dataset), column_of.get(trait)
            if i is not None and j is not None:
                values[i, j] = value
        return TraitMatrix(
            names=tuple(wanted),
            task_types=tuple(about[name][0] for name in wanted),
            families=tuple(about[name][1] for name in wanted),
            rows=tuple(about[name][2] for name in wanted),
            definitions=definitions,
            values=values,
        )

    def sketches(self) -> dict[tuple[str, str], dict[str, np.ndarray]]:
        """(part, kind) -> dataset -> float32 vector."""
        found: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        for dataset, part, kind, vector in self._rows("SELECT dataset, part, kind, vector FROM sketches ORDER BY ALL"):
            found.setdefault((part, kind), {})[dataset] = np.asarray(vector, dtype=np.float32)
        return found

    def label_counts(self) -> dict[str, dict[str, int]]:
        """dataset -> label -> rows."""
        found: dict[str, dict[str, int]] = {}
        for dataset, label, n in self._rows("SELECT dataset, label, n FROM label_counts ORDER BY ALL"):
            found.setdefault(dataset, {})[label] = n
        return found


def warn_outdated(warehouse: Profiles, names: Sequence[str] | None = None) -> None:
    """Warn on stderr about each outdated profile of the user among `names` (default: all)."""
    outdated = warehouse.outdated(names)
    for name in outdated[:_OUTDATED_SHOWN]:
        profile = warehouse.profile(name)
        warn(
            f"{name!r} was measured with older trait definitions (version {profile.details['catalogue_version']}) "
            f"than the rest of the warehouse ({warehouse.catalogue_version()}), so comparisons with it are unreliable. "
            f"Measure it again: {measure_again(profile, warehouse.path)}"
        )
    if len(outdated) > _OUTDATED_SHOWN:
        warn(f"and so were {len(outdated) - _OUTDATED_SHOWN} more profiles: {', '.join(outdated[_OUTDATED_SHOWN:])}")


def measure_again(profile: Profile, warehouse: Path | None = None) -> str:
    """The command that profiles the same data under the same name, read and sampled as before."""
    details = profile.details
    options = {"--name": profile.name}
    for key in ("split", "spec", "config", "revision", "language_stated", "stream", "delimiter", "quote"):
        if details.get(key):
            options[f"--{key.removesuffix('_stated')}"] = str(details[key])
    pipeline = pipeline_name(details.get("spacy_model") or "")
    if pipeline and not pipeline.startswith("en_core_web_sm"):
        options["--spacy-model"] = pipeline
    if details.get("roles_stated"):
        options["--roles"] = " ".join(details["roles_stated"])
    sampled = details.get("sample_rows", profile.rows)
    options["--rows"] = str(sampled) if sampled < profile.rows else "all"
    if details.get("seed"):
        options["--seed"] = str(details["seed"])
    words = (str(details.get("origin", "DATASET")), *(word for pair in options.items() for word in pair))
    return command("profile", *words, warehouse=warehouse)


def _profile_tables(profile: Profile, parts: Mapping[str, str]) -> dict[str, pa.Table]:
    """The rows of a profile, table by table, as Arrow."""
    name = profile.name
    unknown = [t.trait for t in profile.traits if t.trait not in parts]
    if unknown:
        raise ValueError(f"traits that are not in the catalogue: {unknown[:5]}; call sync_catalogue first")

    def table(rows: Sequence[Any], columns: Mapping[str, tuple[str | int, pa.DataType]]) -> pa.Table:
        pick = {
            column: pa.array([row[key] if isinstance(key, int) else getattr(row, key) for row in rows], kind)
            for column, (key, kind) in columns.items()
        }
        return pa.table({"dataset": pa.array([name] * len(rows), pa.string()), **pick})

    traits = table(
        profile.traits,
        {
            "trait": ("trait", pa.string()),
            "value": ("value", pa.float64()),
            "standard_error": ("standard_error", pa.float64()),
            "n": ("n", pa.int64()),
        },
    ).append_column("part", pa.array([parts[t.trait] for t in profile.traits], pa.string()))
    datasets = pa.table(
        {
            "name": [name],
            "fingerprint": [profile.fingerprint],
            "task_type": [profile.task_type],
            "rows": pa.array([profile.rows], pa.int64()),
            "family": pa.array([profile.family], pa.string()),
            "language": pa.array([profile.language], pa.string()),
            "licence": pa.array([profile.licence], pa.string()),
            "parent": pa.array([profile.parent], pa.string()),
            "changed": pa.array([profile.changed], pa.string()),
            "details": [json.dumps(profile.details, sort_keys=True, ensure_ascii=False)],
        }
    )
    return {
        "datasets": datasets,
        "traits": traits,
        "findings": table(
            profile.findings,
            {
                "finding": ("finding", pa.string()),
                "part": ("part", pa.string()),
                "severity": ("severity", pa.string()),
                "count": ("count", pa.int64()),
                "looked_at": ("looked_at", pa.int64()),
                "message": ("message", pa.string()),
                "rows": ("rows", pa.list_(pa.int64())),
            },
        ),
        "label_counts": table(profile.label_counts, {"label": (0, pa.string()), "n": (1, pa.int64())}),
        "length_histograms": table(
            profile.length_histograms,
            {
                "part": ("part", pa.string()),
                "unit": ("unit", pa.string()),
                "low": ("low", pa.int64()),
                "high": ("high", pa.int64()),
                "n": ("n", pa.int64()),
            },
        ),
        "sketches": table(
            profile.sketches,
            {
                "part": ("part", pa.string()),
                "kind": ("kind", pa.string()),
                "vector": ("vector", pa.list_(pa.float32())),
            },
        ),
    }


def _data_named(name: str) -> str | None:
    """A file or folder of the working folder that a profile of that name could be made from, if there is one."""
    if os.path.exists(name):
        return name
    if not is_name(name):
        return None
    found = (name + suffix + packed for suffix in _DATA_SUFFIXES for packed in ("", *_PACKED_SUFFIXES))
    return next((file for file in found if Path(file).is_file()), None)
