"""Shards: the cells of one model on one block of targets, in one Parquet file that appears whole or not at all.

Owns their files, and the check that they belong to the recipe of the pack. A shard keeps what was measured per row
(log-likelihoods, texts, lengths), so that metrics can be computed again without a model.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitcast.training.plan.base_name import ANY, DTYPES
from traitcast.training.plan.pack import RECIPE, Pack, aside, write_aside
from traitcast.training.plan.recipe import BASE_SEED, Runtime, adapter_key, cell_key, digest, settings
from traitcast.training.results import shard_check
from traitcast.training.results.cells import FORMAT, Cell, schema
from traitcast.warehouse.errors import InputError, ScoresError
from traitcast.warehouse.files import check_regular, read_small

if TYPE_CHECKING:
    import pyarrow as pa

RUNTIME = "runtime.json"
_IDENTITY = ("key", "source", "seed", "target", "base_fingerprint", "dtype", "adapter")
_AGAIN = "delete it and run the matrix again"

Place = tuple[str | None, int, str]
"""Where a cell is in the matrix: source (None: the base), seed, target."""


class DamagedError(InputError):
    """A shard that cannot be read, or holds what a shard cannot hold."""


def write(folder: Path, cells: Sequence[Cell]) -> Path:
    """Write cells as one shard, named by its keys: the same cells give the same file name."""
    path = folder / _file_name(cell.key for cell in cells)
    write_file(path, cells)
    return path


def _file_name(keys: Iterable[str]) -> str:
    return f"{digest(sorted(keys))}.parquet"


def write_file(path: Path, cells: Sequence[Cell]) -> None:
    """Write cells into one file (zstd), aside first."""
    import pyarrow as pa

    # By columns: `asdict` copies every list of numbers, which takes four times as long as the rest.
    columns = {f.name: [getattr(cell, f.name) for cell in cells] for f in fields(Cell)}
    write_table(path, pa.table(columns, schema=schema()))


def write_table(path: Path, table: pa.Table) -> None:
    """Write cells that are a table already: a whole matrix as Python lists takes minutes."""
    import pyarrow.parquet as pq

    floats, others = _leaves(table.schema)
    with aside(path) as work:
        # The bytes of floats are split by position, which takes a quarter less.
        pq.write_table(
            table,
            work,
            compression="zstd",
            compression_level=9,
            use_dictionary=others,
            use_byte_stream_split=floats,
            write_page_checksum=True,
        )


def _leaves(columns: pa.Schema) -> tuple[list[str], list[str]]:
    """Parquet paths of the columns of floating-point numbers, and of all others."""
    import pyarrow as pa

    found: tuple[list[str], list[str]] = ([], [])
    for column in columns:
        path, kind = column.name, column.type
        while pa.types.is_list(kind):
            path, kind = f"{path}.list.element", kind.value_type
        found[0 if pa.types.is_floating(kind) else 1].append(path)
    return found


def keys(pack: Pack) -> set[str]:
    """Keys of all cells in the shards."""
    return {row["key"] for rows in _identities(pack).values() for row in rows}


def adapters_in(path: Path) -> list[str]:
    """Keys of the adapters whose cells a shard holds."""
    return [key for key in _table(path, ["adapter"])["adapter"].to_pylist() if key]


def drop(pack: Pack, adapters: Set[str]) -> None:
    """Take the cells of some adapters out of the shards; those of others in the same files stay."""
    for path, rows in _identities(pack).items():
        if not any(row["adapter"] in adapters for row in rows):
            continue
        table = cell_table(path)
        rest = table.filter(_among(table["adapter"], adapters, wanted=False))
        if rest.num_rows:
            write_table(pack.shards / _file_name(rest["key"].to_pylist()), rest)
        path.unlink()


def read(pack: Pack, *, text: bool = True) -> list[Cell]:
    """All cells of a pack, each once, in a fixed order. text: with the generated texts. Errors: see `walk`."""
    return sorted(walk(pack, text=text), key=lambda c: (c.source is not None, c.source or "", c.seed, c.target))


def walk(pack: Pack, *, text: bool = True) -> Iterator[Cell]:
    """All cells of a pack, each once, one shard in memory at a time. Damaged shards are left out with a warning.

    Raises ScoresError for a shard of another recipe, or of other weights or precision than the rest, by name.
    """
    for path, keep in checked(pack, content=True):
        yield from (cell for cell in cells_of(path, text=text) if cell.key in keep)


def cells_of(path: Path, *, text: bool = True) -> Iterator[Cell]:
    """The cells of one shard file, of any recipe. Raises InputError for a file that is not a shard."""
    columns = [f.name for f in fields(Cell) if text or f.name != "outputs"]
    yield from (Cell(**row) for row in _table(path, columns).to_pylist())


def cell_table(path: Path, keep: Set[str] | None = None, *, text: bool = True) -> pa.Table:
    """The cells of one shard file as a table with the columns of `schema`. keep: their keys (None: all); text False
    leaves the generated texts null. Raises InputError for a file that is not a shard."""
    import pyarrow as pa

    found = _table(path, [f.name for f in fields(Cell) if text or f.name != "outputs"])
    if keep is not None:
        found = found.filter(_among(found["key"], keep, wanted=True))
    columns = {
        f.name: found[f.name] if f.name in found.column_names else pa.nulls(found.num_rows, f.type) for f in schema()
    }
    return pa.table(columns, schema=schema())


def thin(pack: Pack) -> list[Cell]:
    """All cells of a pack without what was measured: enough to know elsewhere that they are done."""
    names = ["key", "base", "base_fingerprint", "dtype", "source", "seed", "target", "adapter", "device"]
    return [
        Cell(**row) for path, keep in checked(pack) for row in _table(path, names).to_pylist() if row["key"] in keep
    ]


def whole(kept: Iterable[tuple[Path, set[str]]], *, text: bool = True) -> pa.Table:
    """All cells that count (see `checked`) as one table, the base's first, then by source, seed and target."""
    import pyarrow as pa

    found = pa.concat_tables([cell_table(path, keep, text=text) for path, keep in kept])
    places = zip(*(found[name].to_pylist() for name in ("source", "seed", "target")), strict=True)
    order = sorted((source or "", seed, target, at) for at, (source, seed, target) in enumerate(places))
    return found.take([at for *_, at in order]).combine_chunks()


def _among(column: pa.ChunkedArray, values: Set[str], *, wanted: bool) -> pa.Array:
    import pyarrow as pa

    return pa.array([(value in values) == wanted for value in column.to_pylist()], pa.bool_())


def read_runtime(pack: Pack) -> Runtime | None:
    """The weights and precision of earlier runs of a pack, wherever they ran; None before the first."""
    path = pack.folder / RUNTIME
    if not path.is_file():
        return _measured(pack)
    try:
        found = settings(Runtime, json.loads(read_small(path, "a runtime", InputError)), str(path))
        if found.dtype not in (*DTYPES, ANY):
            raise ValueError(f"unknown dtype {found.dtype!r}")
    except (ValueError, RecursionError) as error:
        raise InputError(f"cannot read {path} ({error}); restore it, or plan into a new folder") from error
    return shared_runtime(pack, found)


def _measured(pack: Pack) -> Runtime | None:
    """What all shards were measured with; None without shards."""
    for rows in _identities(pack).values():
        for row in rows:
            return _runtime_of(pack, row)
    return None


def _runtime_of(pack: Pack, row: Mapping[str, Any]) -> Runtime:
    return shared_runtime(pack, Runtime(row["base_fingerprint"], row["dtype"]))


def shared_runtime(pack: Pack, runtime: Runtime) -> Runtime:
    """What all cells of a pack must have in common with one: not the precision, if the recipe allows any."""
    return dataclasses.replace(runtime, dtype=ANY) if pack.recipe.dtype == ANY else runtime


def check(pack: Pack) -> None:
    """Refuse foreign shards as `walk` does, without reading what they measured."""
    for _ in checked(pack):
        pass


def checked(pack: Pack, *, content: bool = False) -> list[tuple[Path, set[str]]]:
    """Every sound shard with the keys of its cells that count, each cell once. Errors: see `walk`.

    content: whether the measurements are checked too, and not only whose they are.

    A model that was measured in several precisions counts in the one that has most of its cells (`DTYPES` orders
    equals); others fill in what that one lacks.
    """
    first: tuple[Runtime, Path] | None = None
    planned: dict[str, Place] = {}
    identities = _identities(pack, content=content)
    for path, rows in identities.items():
        for row in rows:
            now = _runtime_of(pack, row)
            if first is None:
                first, planned = (now, path), _all_expected(pack, now)
            elif first[0] != now:
                raise ScoresError(
                    f"{path} was measured with other weights or precision ({now.base_fingerprint}, {now.dtype}) than "
                    f"{first[1].name} ({first[0].base_fingerprint}, {first[0].dtype}); move one of them away"
                )
            _refuse_unplanned(pack, path, planned, row)
    left = _counting(row for rows in identities.values() for row in rows)
    found = []
    for path, rows in identities.items():
        keep = {row["key"] for row in rows} & left
        left -= keep
        found.append((path, keep))
    return found


def _counting(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Keys of the cells that count, one for each place. rows: columns `_IDENTITY`."""
    models: dict[tuple[str | None, int], dict[str, dict[str, str]]] = {}
    for row in rows:
        models.setdefault((row["source"], row["seed"]), {}).setdefault(row["dtype"], {})[row["target"]] = row["key"]
    chosen: set[str] = set()
    for by_dtype in models.values():
        best: dict[str, str] = {}
        for dtype in sorted(by_dtype, key=lambda name: (-len(by_dtype[name]), DTYPES.index(name))):
            best = by_dtype[dtype] | best
        chosen.update(best.values())
    return chosen


def _refuse_unplanned(pack: Pack, path: Path, planned: Mapping[str, Place], row: Mapping[str, Any]) -> None:
    if planned.get(row["key"]) != (row["source"], row["seed"], row["target"]):
        cell = f"its cell {row['source'] or 'base'} -> {row['target']} (seed {row['seed']})"
        raise _foreign(pack, path, f"{cell} is not one of this pack")


def _foreign(pack: Pack, path: Path, why: str) -> ScoresError:
    cure = "move it to the pack it came from"
    return ScoresError(
        f"{path} belongs to another recipe: {why}; {cure if _inside(pack, path) else f'leave it out, or {cure}'}"
    )


def _refuse_foreign(pack: Pack, path: Path, table: pa.Table) -> None:
    """Raise ScoresError if a cell has a key that the pack does not plan: keys tell another plan from damage."""
    planned: dict[Runtime, dict[str, Place]] = {}
    for row in table.select(list(_IDENTITY)).to_pylist():
        now = _runtime_of(pack, row)
        if now not in planned:
            planned[now] = _all_expected(pack, now)
        if row["key"] not in planned[now]:
            _refuse_unplanned(pack, path, planned[now], row)


def _inside(pack: Pack, path: Path) -> bool:
    return path.parent.resolve() == pack.shards.resolve()


def adopt(pack: Pack, *paths: Path) -> int:
    """Put the cells of shard files that were measured elsewhere into a pack; cells that it has stay as they are.

    Returns
    -------
    int
        How many cells are new.

    Raises
    ------
    ScoresError
        A file, or a shard of the pack, belongs to another recipe, or was measured with other weights or another
        precision than the cells that are there, or no file is sound. Nothing is changed then. Damaged
        files among others are left out with a warning.
    """
    before = _measured(pack)
    planned = _all_expected(pack, before) if before else {}
    found: list[tuple[pa.Table, list[str]]] = []
    damaged: list[DamagedError] = []
    for path in paths:
        try:
            table = _sound(pack, path)
        except DamagedError as error:
            damaged.append(error)
            continue
        rows = table.select(list(_IDENTITY)).to_pylist()
        for row in rows:
            now = _runtime_of(pack, row)
            if before is None:
                before, planned = now, _all_expected(pack, now)
            if now != before:
                raise ScoresError(
                    f"{path} was measured with other weights or precision ({now.base_fingerprint}, {now.dtype}) than "
                    f"{pack.folder} ({before.base_fingerprint}, {before.dtype}); leave it out"
                )
            _refuse_unplanned(pack, path, planned, row)
        found.append((table, [row["key"] for row in rows]))
    for problem in damaged:
        if not found:
            raise problem
        _warn(f"left out: {problem}")
    known, added = keys(pack), 0
    for table, names in found:
        if new := set(names) - known:
            write_table(pack.shards / _file_name(new), table.filter(_among(table["key"], new, wanted=True)))
            known, added = known | new, added + len(new)
    return added


def merge(pack: Pack, other: Path) -> int:
    """Put what was measured elsewhere into a pack; a second time changes nothing.

    Parameters
    ----------
    other
        Another copy of the pack (the records of its adapters come along, the adapters stay where they are), a folder
        of shards, or one shard file.

    Returns
    -------
    int
        How many cells are new. Raises as `adopt`, and InputError where there are no cells.
    """
    copy = Pack(other) if (other / RECIPE).is_file() else None
    files = [other] if other.is_file() else _files(copy.shards if copy else other)
    if not files:
        cure = f"run: traitcast matrix run --pack {other}" if copy else "give a pack, a folder of shards, or a shard"
        raise InputError(f"{other} holds no cells; {cure}")
    added = adopt(pack, *files)
    if copy:
        for path in records(copy):
            write_aside(
                pack.adapters / path.relative_to(copy.adapters),
                read_small(path, "the record of an adapter", InputError),
            )
    return added


def expected(pack: Pack, runtime: Runtime) -> dict[str, Place]:
    """Key -> place of every planned cell in one precision, the base's first."""
    recipe = pack.recipe
    planned: dict[str, Place] = {}
    models: list[tuple[str | None, int, str | None]] = [(None, BASE_SEED, None)]
    models += [(s, seed, adapter_key(recipe, runtime, s, seed)) for group in recipe.groups for s, seed in group]
    for source, seed, adapter in models:
        for target in (name for block in recipe.blocks for name in block):
            planned[cell_key(recipe, runtime, adapter, target)] = (source, seed, target)
    return planned


def _all_expected(pack: Pack, runtime: Runtime) -> dict[str, Place]:
    """The same in every precision that the pack may be measured in."""
    return {key: place for one in runtime.definite for key, place in expected(pack, one).items()}


def scored_by_precision(pack: Pack) -> dict[str, set[Place]]:
    """The planned cells that are measured, by the precision of the model."""
    runtime, found = read_runtime(pack), keys(pack)
    return {
        one.dtype: {place for key, place in expected(pack, one).items() if key in found}
        for one in (runtime.definite if runtime else ())
    }


def scored(pack: Pack) -> set[Place]:
    """The planned cells that are measured, in any precision."""
    return set().union(*scored_by_precision(pack).values())


def records(pack: Pack) -> list[Path]:
    """What training left of each adapter, finished or failed, in a fixed order."""
    return sorted([*pack.adapters.glob("v1-*/training.json"), *pack.adapters.glob("v1-*.failed.json")])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def _identities(pack: Pack, *, content: bool = False) -> dict[Path, list[dict[str, Any]]]:
    """Whose cells every sound shard of a pack holds: columns `_IDENTITY`. Damaged ones are left out, with a warning
    once. Raises ScoresError for a shard of another recipe whose names or sizes are not those of the pack."""
    found = {}
    for path in _files(pack.shards):
        try:
            found[path] = _sound(pack, path, content=content).select(list(_IDENTITY)).to_pylist()
        except DamagedError as error:
            if str(error) not in _told:
                _told.add(str(error))
                _warn(f"left out: {error}")
    return found


_told: set[str] = set()


def _sound(pack: Pack, path: Path, *, content: bool = True) -> pa.Table:
    """The cells of a shard, checked against a pack. content: with what was measured.

    Raises DamagedError, and ScoresError for a shard of another recipe that would not pass the check.
    """
    names = schema().names if content else [*_IDENTITY, "base", "device"]
    table = _table(path, names, pack)
    whose = False
    try:
        shard_check.check_identity(table)
        whose = True
        shard_check.check_places(table, pack.recipe)
        if content:
            shard_check.check_content(table, pack)
    except shard_check.Wrong as wrong:
        if whose:
            _refuse_foreign(pack, path, table)
        raise DamagedError(f"shard {path}: {wrong}; {_cure(pack, path)}") from None
    return table


def _cure(pack: Pack | None, path: Path) -> str:
    return _AGAIN if pack is None or _inside(pack, path) else "leave it out"


def _table(path: Path, columns: Sequence[str], pack: Pack | None = None) -> pa.Table:
    """Columns of a shard file. pack: what it is read for, which limits its cells. Raises as `_sound`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_regular(path)
        file = pq.ParquetFile(path, page_checksum_verification=True)
        if (file.schema_arrow.metadata or {}).get(b"format") != FORMAT.encode():
            raise DamagedError(f"{path} is not a shard of this version; move it away")
        shard_check.check_schema(file.schema_arrow)
        if pack is not None and file.metadata.num_rows > (most := pack.recipe.cells * len(DTYPES)):
            raise _foreign(pack, path, f"it holds {file.metadata.num_rows:,} cells, and this pack {most:,} at most")
        return file.read(columns=list(columns)).select(list(columns))
    except shard_check.Wrong as wrong:
        raise DamagedError(f"shard {path}: {wrong}; {_cure(pack, path)}") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DamagedError(f"cannot read shard {path} ({error}); {_cure(pack, path)}") from error


def _warn(text: str) -> None:
    try:
        from traitcast.warehouse.console import warn
    except ModuleNotFoundError:  # a machine that only measures has no click
        print(f"warning: {text}", file=sys.stderr)
    else:
        warn(text)
