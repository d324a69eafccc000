"""What a shard may hold. Cells come from other machines: all that later code takes for granted is checked here, once.

Refuses another schema, impossible identities, and measurements that cannot be those of the rows of the pack. It says
which field of which cell, and what it should be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.training.plan.base_name import DTYPES
from traitcast.training.plan.recipe import BASE_SEED
from traitcast.training.results.cells import schema
from traitcast.warehouse.errors import some

if TYPE_CHECKING:
    import pyarrow as pa

    from traitcast.training.plan.pack import Pack
    from traitcast.training.plan.recipe import Recipe

_TEXTS = ("key", "base", "base_fingerprint", "dtype", "target", "device")
_OF_OPTIONS = ("gold", "loglikelihoods", "answer_tokens")
_OF_TEXTS = (
    "exact_match", "numeric_match", "rouge_l", "output_tokens", "finished", "reference_nll", "reference_tokens",
)  # fmt: skip
_MEASURED = (*_OF_OPTIONS, "prior", "outputs", *_OF_TEXTS)
_SHARES = ("exact_match", "numeric_match", "rouge_l")
_COUNTS = ("answer_tokens", "output_tokens", "reference_tokens")


class Wrong(Exception):  # noqa: N818 - a finding, turned into the error of the shard by its reader
    """What is wrong with a shard: a clause that names the field."""


def check_schema(found: pa.Schema) -> None:
    """Raise Wrong unless these are the columns of a shard."""
    for wanted in schema():
        at = found.get_all_field_indices(wanted.name)
        if len(at) != 1:
            raise Wrong(
                f"column {wanted.name} is missing" if not at else f"column {wanted.name} is there {len(at)} times"
            )
        if found.field(at[0]).type != wanted.type:
            raise Wrong(f"column {wanted.name} is of type {found.field(at[0]).type}, not {wanted.type}")
    if extra := sorted(set(found.names) - set(schema().names)):
        raise Wrong(f"there are unknown columns ({some(extra, 3)})")


def check_identity(table: pa.Table) -> None:
    """Raise Wrong unless every line says whose cell it is, each cell once. table: at least the columns of identity."""
    import pyarrow.compute as pc

    for name in _TEXTS:
        if name in table.column_names and table[name].null_count:
            raise Wrong(f"{name} is empty in some lines")
    twice = table.num_rows - pc.count_distinct(table["key"]).as_py()
    if twice:
        raise Wrong(f"key holds {twice} cells a second time")
    if unknown := set(table["dtype"].to_pylist()) - set(DTYPES):
        raise Wrong(f"dtype {min(unknown)!r} is none of {', '.join(DTYPES)}")
    of_base = pc.is_null(table["source"]).combine_chunks()
    if not of_base.equals(pc.equal(table["seed"], BASE_SEED).combine_chunks()):
        raise Wrong(f"seed must be {BASE_SEED} for cells of the base model, and for no others")
    if not of_base.equals(pc.is_null(table["adapter"]).combine_chunks()):
        raise Wrong("adapter must be empty for cells of the base model, and for no others")


def check_places(table: pa.Table, recipe: Recipe) -> None:
    """Raise Wrong unless every target, source and seed is one of the recipe. table: as `check_identity` passed it."""
    known: dict[str, set[Any]] = {
        "target": set(recipe.targets),
        "source": {None, *recipe.sources},
        "seed": {BASE_SEED, *recipe.seeds},
    }
    for name, values in known.items():
        if unknown := set(table[name].to_pylist()) - values:
            raise Wrong(f"{name} {sorted(map(str, unknown))[0]!r} is not one of the pack")


def check_content(table: pa.Table, pack: Pack) -> None:
    """Raise Wrong unless every cell holds one measurement for each test row. table: all columns; `outputs` may be left
    out."""
    entries = pack.recipe.datasets
    columns = {name: table[name].combine_chunks() for name in _MEASURED if name in table.column_names}
    rows = np.array([entries[target].test_rows for target in table["target"].to_pylist()])
    of_options = np.array([entries[target].task_type != "generation" for target in table["target"].to_pylist()])
    if table["failed"].null_count:
        raise Wrong("failed is empty in some lines")
    failed = np.asarray(table["failed"].combine_chunks().to_numpy(zero_copy_only=False), dtype=bool)
    where = _names(table)
    for name, column in columns.items():
        there = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
        if name != "prior" and name != "outputs":
            wanted = ~failed & (of_options if name in _OF_OPTIONS else ~of_options)
            _all(~wanted | there, where, f"{name} is missing")
        _all(~there | ~failed, where, f"{name} must be empty, because the adapter failed")
        _all(~there | (of_options == (name in (*_OF_OPTIONS, "prior"))), where, f"{name} does not belong to the task")
        _check_lengths(name, column, there, rows, where)
    for name in ("cut_prompts", "cut_answers"):
        values = table[name].to_numpy() if not table[name].null_count else np.full(table.num_rows, -1)
        _all((values >= 0) & (values <= rows), where, f"{name} is not a number of test rows")
    for at in np.flatnonzero(of_options & ~failed).tolist():
        _check_options(
            {name: columns[name][at] for name in (*_OF_OPTIONS, "prior")}, pack, table["target"][at].as_py(), where(at)
        )


def _check_lengths(name: str, column: Any, there: np.ndarray, rows: np.ndarray, where: Any) -> None:
    """One value per row (a prior may be one for all), none of them empty, and in the range that it can have."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    fine = ~there | (sizes == rows) | ((name == "prior") & (sizes == 1))
    if not fine.all():
        at = int(np.argmin(fine))
        raise Wrong(f"{name} of {where(at)} holds {sizes[at]:,} values, and there are {rows[at]:,} test rows")
    values = column.flatten()
    while True:
        if values.null_count:
            raise Wrong(f"{name} holds values that are empty")
        if not pa.types.is_list(values.type):
            break
        values = values.flatten()
    if not len(values) or pa.types.is_string(values.type) or pa.types.is_boolean(values.type):
        return
    numbers = values.to_numpy(zero_copy_only=False)
    if name in _SHARES and not ((numbers >= 0) & (numbers <= 1)).all():
        raise Wrong(f"{name} holds values that are not between 0 and 1")
    if name in _COUNTS and (numbers < 0).any():
        raise Wrong(f"{name} holds values below 0")
    # Not a number is what a model with overflowing weights gives; more than certain is what none gives.
    if name in ("loglikelihoods", "prior") and (numbers > 1e-3).any():
        raise Wrong(f"{name} holds values above 0")
    if name == "reference_nll" and (numbers < -1e-3).any():
        raise Wrong(f"{name} holds values below 0")


def _check_options(measured: dict[str, Any], pack: Pack, target: str, where: str) -> None:
    """As many numbers as a row has options, and its own right answer."""
    gold, options = pack.answers(target)
    if not np.array_equal(measured["gold"].values.to_numpy(), gold):
        raise Wrong(f"gold of {where} is not that of the test rows")
    for name in ("loglikelihoods", "answer_tokens", "prior"):
        if not measured[name].is_valid:
            continue
        sizes = measured[name].values.value_lengths().to_numpy(zero_copy_only=False)
        # A prior that all rows share is of the labels, which all rows have.
        if not (sizes == options[: len(sizes)]).all():
            raise Wrong(f"{name} of {where} does not hold one value per option")


def _all(fine: np.ndarray, where: Any, what: str) -> None:
    if not fine.all():
        raise Wrong(f"{what} ({where(int(np.argmin(fine)))})")


def _names(table: pa.Table) -> Any:
    def name(at: int) -> str:
        cell = {column: table[column][at].as_py() for column in ("source", "target", "seed")}
        return f"{cell['source'] or 'base'} -> {cell['target']}, seed {cell['seed']}"

    return name
