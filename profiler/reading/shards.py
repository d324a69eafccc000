"""The files of one split: shards that belong together, and copies that would double its rows.

Reads what is there twice once, and says so. Refuses files that look like copies of each other and are not, and two sets
of shards of one split, since nothing says which of them is meant.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from traitcast.profiler.reading.formats.text_lines import compression, open_bytes
from traitcast.profiler.roles.values import listed
from traitcast.warehouse.errors import InputError
from traitcast.warehouse.files import read_small

# A year in brackets is no mark of a copy, and "top1-of-5" no shard.
# Words that browsers and file managers put around the name of a copy.
COPY_WORDS = frozenset({"copy", "kopie", "copie", "copia"})
_WORD = "|".join(sorted(COPY_WORDS))
_COPY = re.compile(
    rf"^(?:{_WORD}) (?:of|von|de) |[ _]*\(\d{{1,3}}\)$|[ _-]+(?:{_WORD})(?:[ _]*\(?\d+\)?)?$", re.IGNORECASE
)
_SHARD = re.compile(r"(?<![0-9A-Za-z])([0-9]+)[-_. ]of[-_. ]([0-9]+)(?![0-9])", re.IGNORECASE)
# What the hub put behind the number of a shard.
HASH = re.compile(r"[0-9a-f]{16}")
# A number that stands alone in a name: files are numbered from 0 or 1.
_NUMBER = re.compile(r"(?<![0-9A-Za-z])[0-9]{1,6}(?![0-9A-Za-z])")
# What `datasets` leaves next to its data: results of map and filter by their fingerprint.
_CACHE = re.compile(r"(?:cache-[0-9a-f]{16}(?:_.*)?|indices-.*)\.arrow|.*\.incomplete")
_STATE = "state.json"
_BLOCK = 1 << 20


def without_caches(folder: Path, files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """(data, caches) of the files of one folder: those that a state.json lists, and no caches of `datasets`.

    Raises InputError where a listed file is missing.
    """
    stated = _listed_in(folder / _STATE)
    if stated is None:
        data = [path for path in files if not _CACHE.fullmatch(path.name)]
    else:
        missing = sorted(stated - {path.name for path in folder.iterdir()})
        if missing:
            raise InputError(
                f"{folder / _STATE} lists {listed(missing, 5)}, which is not there. Copy the folder again, or save it "
                "again with save_to_disk"
            )
        data = [path for path in files if path.name in stated]
    return data, [path for path in files if path not in data]


def _listed_in(state: Path) -> set[str] | None:
    """The files that `datasets.save_to_disk` lists in a state.json; None for a folder or a file that is not of it."""
    try:
        found = json.loads(read_small(state, "a state", InputError))["_data_files"]
        return {entry["filename"] for entry in found} or None
    except (InputError, ValueError, RecursionError, KeyError, TypeError):
        return None


def once(root: Path, split: str, paths: Sequence[Path]) -> tuple[list[Path], list[str], list[str]]:
    """The files of a split without copies.

    Parameters
    ----------
    root
        The folder that was asked for; messages name files relative to it.
    split
        The name of the split, for messages.
    paths
        Its files.

    Returns
    -------
    tuple of (list of Path, list of str, list of str)
        The files to read, what was left out (notes), and what is missing (warnings).

    Raises
    ------
    InputError
        For copies that differ, and for two sets of shards.
    """
    kept, left_out = _without_copies(root, paths)
    notes = [f"split {split!r}: {listed(left_out, 5)}; its rows are read once"] if left_out else []
    return kept, notes, list(_missing(root, split, kept))


def _without_copies(root: Path, paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Files that differ, and in words those that are copies of them."""
    kept: list[Path] = []
    left_out: list[str] = []
    hashes: dict[Path, str] = {}
    # The plainest name first: it is the original.
    for path in sorted(paths, key=lambda path: (_COPY.search(_bare(path)) is not None, len(path.name), path)):
        like = [other for other in kept if _same_name(path, other) or _same_size(path, other)]
        for every in (path, *like):
            if like and every not in hashes:
                hashes[every] = _content(every)
        same = next((other for other in like if hashes[other] == hashes[path]), None)
        named = next((other for other in like if _same_name(path, other)), None)
        if same is not None:
            left_out.append(f"{path.relative_to(root)} is a copy of {same.relative_to(root)}")
        elif named is not None:
            raise InputError(
                f"{root}: {path.relative_to(root)} looks by its name like a copy of {named.relative_to(root)}, but its "
                "content differs. Rename it, move it away, or pass one file"
            )
        else:
            kept.append(path)
    return sorted(kept), left_out


def _bare(path: Path) -> str:
    """The file name without the suffixes of its format and compression."""
    return _plain(path).stem


def _plain(path: Path) -> Path:
    return path.with_suffix("") if compression(path) else path


def _same_name(one: Path, other: Path) -> bool:
    """Whether two files of a folder have one name, without the mark of a copy and the suffix of a compression.

    Of two that are marked, neither is the original: they are numbered files.
    """
    if _COPY.search(_bare(one)) and _COPY.search(_bare(other)) and _bare(one) != _bare(other):
        return False
    names = {(_COPY.sub("", _bare(path)).strip(), _plain(path).suffix.lower(), path.parent) for path in (one, other)}
    return len(names) == 1


def _same_size(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size


def _content(path: Path) -> str:
    digest = blake2b(digest_size=16)
    with open_bytes(path) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _missing(root: Path, split: str, paths: Sequence[Path]) -> Iterator[str]:
    """A warning for shards that are missing. Raises InputError for two sets of shards."""
    sets: dict[tuple[Path, str], dict[int, dict[int, Path]]] = defaultdict(lambda: defaultdict(dict))
    numbered: dict[tuple[Path, str], dict[int, Path]] = defaultdict(dict)
    for path in paths:
        name = HASH.sub("", _bare(path))
        if shard := _SHARD.search(name):
            stem = (name[: shard.start()] + name[shard.end() :]).strip("-_. ")
            shards = sets[path.parent, stem][int(shard[2])]
            if other := shards.get(int(shard[1])):
                raise InputError(
                    f"{root}: {other.relative_to(root)} and {path.relative_to(root)} are both shard {shard[1]} of "
                    f"{shard[2]}. Move one of them out of {path.parent}"
                )
            shards[int(shard[1])] = path
        elif number := _NUMBER.search(name):
            numbered[path.parent, name[: number.start()] + name[number.end() :]][int(number[0])] = path
    yield from _gaps(root, split, numbered.values())
    whole = {(path.parent, _bare(path)): path for path in paths if not _SHARD.search(_bare(path))}
    for (folder, stem), counts in sets.items():
        if (folder, stem) in whole:
            counts[1] = {0: whole[folder, stem], **counts[1]}
        if len(counts) > 1:
            names = [str(next(iter(counts[of].values())).relative_to(root)) for of in sorted(counts)]
            raise InputError(
                f"{root}: split {split!r} is there in {len(counts)} sets of shards ({listed(names, 5)}), which may "
                f"hold the same rows. Move all but one set out of {folder}"
            )
        for of, shards in counts.items():
            first = 0 if 0 in shards or of not in shards else 1
            absent = sorted(set(range(first, first + of)) - set(shards))
            if absent:
                some = next(iter(shards.values())).relative_to(root)
                yield (f"split {split!r} is not whole: of {of:,} shards such as {some}, {_numbers(absent)} missing")


def _gaps(root: Path, split: str, series: Iterable[Mapping[int, Path]]) -> Iterator[str]:
    """A warning for files that are numbered from 0 or 1 where a number is missing."""
    for files in series:
        first, last = min(files), max(files)
        absent = sorted(set(range(first, last + 1)) - set(files))
        if first in (0, 1) and absent and len(absent) <= len(files):
            some = files[last].relative_to(root)
            yield f"split {split!r} may not be whole: files are numbered up to {some}, but {_numbers(absent)} missing"


def _numbers(absent: list[int]) -> str:
    return f"{listed(map(str, absent), 8)} {'is' if len(absent) == 1 else 'are'}"
