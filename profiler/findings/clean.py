"""A copy of a dataset without the rows of some findings, and a manifest of what was left out and why.

Owns the copy: rows as they were read, columns untouched, a JSON Lines file per split. Nothing is changed in place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, time
from pathlib import Path
from typing import Any

from traitcast.profiler.findings.checks import BY_NAME, Finding, check_names
from traitcast.profiler.reading.examples import Converter, Examples
from traitcast.profiler.reading.source import Part, Source
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.warehouse.errors import InputError, UserError
from traitcast.warehouse.files import replaced_folder

# The end of the name keeps it from being read as data; JSON is YAML too.
MANIFEST = "dropped.yaml"


def names_of(drop: str) -> tuple[str, ...]:
    """Checks from a list such as `exact_duplicate,split_leak`. Raises InputError for one that does not exist."""
    names = tuple(name.strip() for name in drop.split(",") if name.strip())
    check_names(names)
    if not names:
        raise InputError(f"--drop names no check. Checks: {', '.join(BY_NAME)}")
    return names


def located(
    parts: Sequence[Part], spec: DatasetSpec, trained: frozenset[str] | None = None
) -> Iterator[tuple[Part, int, dict[str, Any], int, int]]:
    """(part, its own number of the row, the row, its number as in `Finding.rows`, that among rows kept or 0).

    trained: as it is in `Examples`.
    """
    converter = Converter(spec, trained)
    tally = converter.tally
    for part in parts:
        for number, row in part.rows(None):
            kept = converter.convert(row, f"{part.name}: {part.unit} {number}") is not None
            yield part, number, row, tally.read, tally.kept if kept else 0


def write(
    source: Source, examples: Examples, findings: Sequence[Finding], names: Sequence[str], out: Path
) -> dict[str, Any]:
    """Write every split into a new folder, that of `examples` without the rows of the named checks.

    Returns the manifest.

    Raises UserError where the folder exists, no row would be left, or a value cannot be written as JSON.
    """
    if out.exists():
        raise UserError(f"{out} exists, and nothing is written over. Choose another folder with --out")
    reasons: dict[int, list[str]] = {}
    for finding in findings:
        if finding.check in names:
            for row in finding.rows.tolist():
                reasons.setdefault(row, []).append(finding.check)
    with replaced_folder(out, cure="Choose another folder with --out.", keep=True) as work:
        manifest = _write(source, examples, reasons, work)
        if manifest["rows_kept"] == manifest["rows_without_prompt_or_answer"]:
            named = " or ".join(manifest["dropped_by_check"])
            raise UserError(
                f"every readable row of split {examples.split!r} has {named}: the copy would be empty. Leave that out "
                "of --drop"
            )
        # The roles by which the rows were found; without a name, under which the original is profiled.
        (work / "dataset.yaml").write_text(replace(examples.spec, name=None).to_yaml(), encoding="utf-8")
        (work / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def _write(source: Source, examples: Examples, reasons: Mapping[int, list[str]], folder: Path) -> dict[str, Any]:
    split = examples.split
    dropped: list[dict[str, Any]] = []
    kept, unread = 0, 0
    with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
        for part, number, row, read, among_kept in located(source.parts(split), examples.spec, examples.trained):
            if read in reasons:
                where = {"file": Path(part.name).name, part.unit: number}
                dropped.append({**where, "row_in_check": read, "checks": reasons[read]})
                continue
            kept += 1
            unread += not among_kept
            file.write(_json(row, part, number))
    for other, parts in source.splits.items():
        if other == split:
            continue
        with (folder / f"{other}.jsonl").open("w", encoding="utf-8") as file:
            for part in parts:
                for number, row in part.rows(None):
                    file.write(_json(row, part, number))
    counts = {name: sum(name in one["checks"] for one in dropped) for name in BY_NAME}
    return {
        "source": source.origin,
        "split": split,
        "rows_kept": kept,
        "rows_dropped": len(dropped),
        "rows_without_prompt_or_answer": unread,
        "dropped_by_check": {name: n for name, n in counts.items() if n},
        "dropped": dropped,
    }


def _json(row: Mapping[str, Any], part: Part, number: int) -> str:
    try:
        try:
            return json.dumps(row, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"
        except ValueError:
            return json.dumps(_without_nan(row), ensure_ascii=False, allow_nan=False, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        raise UserError(f"{part.name}: {part.unit} {number} cannot be written as JSON: {error}") from error


def _without_nan(value: Any) -> Any:
    """Numbers that JSON cannot hold as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return [_without_nan(inner) for inner in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    """Dates as ISO 8601 says, decimals and the like as text; bytes are refused."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("a column holds bytes; leave that column out first")
    return str(value)
