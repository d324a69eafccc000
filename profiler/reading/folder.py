"""Local datasets: one file, or a folder of split files.

Owns which files are data, and which split a file name or folder states. Refuses folders where that is unclear.
"""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from traitcast.profiler.reading.files import ACCEPTED, FilePart, data_format
from traitcast.profiler.reading.shards import COPY_WORDS, HASH, once, without_caches
from traitcast.profiler.reading.source import ALL, SPLIT_WORDS, Source
from traitcast.profiler.roles.column_names import KNOWN, plain_name
from traitcast.profiler.roles.spec import SPEC_FILE
from traitcast.profiler.roles.values import listed, path_text
from traitcast.warehouse.errors import InputError
from traitcast.warehouse.names import LONGEST, is_name

# Words that number or describe shards, never splits.
_SHARD_WORDS = frozenset({"of", "part", "partial", "shard", "chunk", "data", "default", "split"}) | COPY_WORDS
_PART = re.compile(r"(?:part|shard|chunk|p)[0-9]+")
# What `datasets.save_to_disk`, a hub clone or a download tool leaves next to the data.
_NOT_DATA = frozenset({"dataset_info.json", "dataset_dict.json", "dataset_infos.json", "state.json", "package.json"})
_NOT_DATA |= {"dataset-metadata.json", "datapackage.json", "croissant.json", "dataset_infos.jsonl"}
_MAX_DEPTH = 3


def slug(text: str) -> str:
    """The dataset name nearest to a text: what no name may hold becomes an underscore. "dataset" if nothing is left."""
    plain = unicodedata.normalize("NFKC", text)
    # A character is judged behind an underscore, since a name may not begin with a dot, a dash or an accent.
    kept = "".join(char if is_name(f"_{char}") else "\0" for char in plain)
    name = re.sub("\0+", "_", kept).strip("._-")[:LONGEST].rstrip("._-")
    return name if is_name(name) else "dataset"


# What a file of text holds at least, by its format.
_EMPTY = {
    "jsonl": "a JSON object a line",
    "json": "a list of JSON objects",
    "csv": "a line with the names of the columns, then a line for each row",
    "tsv": "a line with the names of the columns, then a line for each row",
}


def local_source(path: Path) -> Source:
    """The splits of a file or folder. Raises InputError where there is no data, or where the splits are unclear."""
    try:
        return _folder(path) if path.is_dir() else _file(path)
    except OSError as error:
        raise InputError(f"cannot read {error.filename or path}: {error.strerror}") from error


def _file(path: Path) -> Source:
    kind = data_format(path)
    if kind is None:
        raise InputError(f"{path}: the name does not say which format it is; accepted: {ACCEPTED}")
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder; save its rows to a file first")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; expected {_EMPTY.get(kind, 'rows')}")
    words = _words(_stem(path))
    split = SPLIT_WORDS.get(words[0], ALL) if len(words) == 1 else ALL
    parent = path.resolve().parent
    stem = _stem(path) if split == ALL else parent.name if split == "train" else f"{parent.name}_{split}"
    return Source(
        path_text(path.resolve()), slug(stem), {split: (FilePart(path, kind),)}, spec_file=spec_beside(parent)
    )


def _folder(root: Path) -> Source:
    files, no_data = _data_files(root, _MAX_DEPTH)
    if not files:
        raise InputError(f"{root} holds no data file; expected train.jsonl, test.csv, ... ({ACCEPTED})")
    filled = [path for path in files if path.stat().st_size]
    if not filled:
        raise InputError(f"{root}: every data file is empty ({', '.join(_inside(root, files))})")
    splits = _splits(root, filled)
    _refuse_datasets(root, splits)
    notes = [f"not read, since they are caches: {listed(_inside(root, no_data), 5)}"] if no_data else []
    folders = {str(path.parent.relative_to(root)) for path in splits.get(ALL, ())}
    if len(folders) > 1:
        notes.append(f"rows of several folders are read as one dataset: {listed(sorted(folders), 8)}")
    parts, warnings = {}, {}
    for split, paths in splits.items():
        kept, left_out, warnings[split] = once(root, split, paths)
        notes += left_out
        parts[split] = _parts(root, split, kept)
    resolved = root.resolve()
    spec_file = spec_beside(resolved)
    name = slug(resolved.name)
    return Source(path_text(resolved), name, parts, spec_file=spec_file, notes=tuple(notes), warnings=warnings)


def _splits(root: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """Files by split, train, validation and test first. Shards share a split."""
    words = {path: _words(_stem(path)) for path in files}
    # Words that all files share (squad_train, squad_test) distinguish nothing.
    shared = set.intersection(*map(set, words.values())) - set(SPLIT_WORDS)
    found: dict[str, list[Path]] = {}
    called: dict[str, dict[str, Path]] = {}
    unclear = []
    for path in files:
        own = [word for word in words[path] if word not in shared]
        split = _split(path.relative_to(root).parts[:-1], own)
        if split is None and own:
            unclear.append(path)
        found.setdefault(split or ALL, []).append(path)
        called.setdefault(split or ALL, {}).setdefault(_name_of_split(path.relative_to(root)), path)
    for split, names in called.items():
        if len(names) > 1:
            raise InputError(
                f"{root}: {listed(_inside(root, list(names.values())), 5)} are all the split {split!r} by their names, "
                "and may hold the same rows. Name them alike, or move one away"
            )
    if unclear:
        raise InputError(
            f"{root} holds files that name no split: {', '.join(_inside(root, unclear)[:8])}. Name them train, "
            "validation or test, or pass one file instead of the folder"
        )
    _refuse_partitions(root, files)
    order = {name: position for position, name in enumerate(("train", "validation", "test"))}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def _name_of_split(path: Path) -> str:
    """The word by which a file or its folders name a split, such as dev for validation."""
    words = [word for name in path.parts[:-1] if _folder_split(name) for word in _words(name)]
    return next((word for word in words[-1:] or _words(_stem(path)) if word in SPLIT_WORDS), "")


def _refuse_partitions(root: Path, files: Sequence[Path]) -> None:
    """Raise InputError where a column is in the names of folders, such as label=good, as Spark and Hive write it."""
    found: dict[str, set[str]] = {}
    for path in files:
        for folder in path.relative_to(root).parts[:-1]:
            name, mark, value = folder.partition("=")
            if mark and plain_name(name) in KNOWN and _folder_split(value) is None:
                found.setdefault(name, set()).add(value)
    if found:
        name = next(iter(found))
        kind = data_format(files[0]) or ""
        reads = {"parquet": "read_parquet", "csv": "read_csv", "tsv": "read_csv"}.get(kind, "read_json")
        inside = f"{reads}('{root}/**/*{files[0].suffix}', hive_partitioning=true)"
        copy = json.dumps(f"COPY (FROM {inside}) TO 'rows.parquet'")
        raise InputError(
            f"{root}: the column {name!r} is in the names of folders ({listed(sorted(found[name]), 5)}), which are not "
            f"read. Write it into the rows: python -c {shlex.quote(f'import duckdb; duckdb.sql({copy})')}"
        )


def _refuse_datasets(root: Path, splits: dict[str, list[Path]]) -> None:
    """Raise InputError where folders have the same splits each: they are datasets, such as one for each language."""
    for split, paths in splits.items():
        outer = {"/".join(takewhile(_is_no_split, path.relative_to(root).parts[:-1])) for path in paths}
        if split != ALL and len(outer) > 1:
            names = sorted(outer - {""})
            raise InputError(
                f"{root} holds several datasets: {split} is there in {listed(names, 12)}"
                f"{' and next to them' if '' in outer else ''}. Pass one of them: {root / names[0]}"
            )


def _is_no_split(folder: str) -> bool:
    return _folder_split(folder) is None


def _folder_split(folder: str) -> str | None:
    """The split that a folder such as train or partial-train holds."""
    words = _words(folder)
    return SPLIT_WORDS.get(words[0]) if len(words) == 1 else None


def _split(folders: Sequence[str], words: Sequence[str]) -> str | None:
    """The split that the innermost folder or the words of a file name state, None when they state none."""
    stated = [split for name in folders if (split := _folder_split(name))]
    if stated:
        return stated[-1]
    if not any(word in SPLIT_WORDS for word in words):
        return None
    # validation_matched and validation_mismatched are two splits, not one.
    return "_".join(SPLIT_WORDS.get(word, word) for word in words)


def _parts(root: Path, split: str, paths: Sequence[Path]) -> tuple[FilePart, ...]:
    parts = tuple(FilePart(path, data_format(path) or "") for path in sorted(paths))
    if len({part.format for part in parts}) > 1:
        listed = ", ".join(_inside(root, [part.path for part in parts]))
        raise InputError(f"{root}: split {split!r} is there in several formats ({listed}); pass one of the files")
    return parts


def _data_files(folder: Path, depth: int) -> tuple[list[Path], list[Path]]:
    """(files of rows, caches of such) in a folder and its folders."""
    files: list[Path] = []
    inside: tuple[list[Path], list[Path]] = ([], [])
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_", "~")) or path.name in _NOT_DATA:
            continue
        if path.is_dir():
            # A link to a folder around this one would give its rows again.
            if depth and not folder.resolve().is_relative_to(path.resolve()):
                for found, more in zip(inside, _data_files(path, depth - 1), strict=True):
                    found.extend(more)
        elif data_format(path) is not None:
            if path.exists() and not path.is_file():
                raise InputError(f"{path} is neither a file nor a folder; move it out of the data, or pass one file")
            files.append(path)
    data, no_data = without_caches(folder, files)
    return sorted([*data, *inside[0]]), [*no_data, *inside[1]]


def _stem(path: Path) -> str:
    """The file name without the suffixes of format and compression."""
    name = path.name
    while data_format(path) is not None or path.suffix in (".gz", ".zst", ".bz2", ".xz"):
        path = path.with_suffix("")
        name = path.name
    return name


def _words(stem: str) -> list[str]:
    """The words of a file name that may name a split: no numbers, no shard words."""
    words = [word for word in re.split(r"[^a-z0-9]+", stem.lower()) if word]
    return [
        w
        for w in words
        if not w.isdigit() and w not in _SHARD_WORDS and not _PART.fullmatch(w) and not HASH.fullmatch(w)
    ]


def _inside(root: Path, paths: Sequence[Path]) -> list[str]:
    return [str(path.relative_to(root)) for path in paths]


def spec_beside(folder: Path) -> Path | None:
    """The dataset.yaml of a folder, or None; a pipe or a folder of that name is refused when it is read."""
    path = folder / SPEC_FILE
    return path if path.exists() else None
