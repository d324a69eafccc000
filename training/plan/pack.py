"""The pack: a folder of Parquet and a recipe that travels to the machine that trains.

    recipe.json             what is measured, and every setting (training/plan/recipe.py)
    data/NAME.parquet       rows with roles applied: split, fields, options, response, gold
    adapters/KEY/           one peft checkpoint per adapter        } written by `matrix run`
    shards/KEY.parquet      the cells of one model and one block   }

Owns the reading of a pack, which needs pyarrow alone, and the draw of training rows. `planning` makes packs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from traitcast.training.plan.prompts import Row, Task
from traitcast.training.plan.recipe import Recipe, digest, parse
from traitcast.warehouse import files
from traitcast.warehouse.errors import InputError, nearest
from traitcast.warehouse.parquet import read_parquet

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

RECIPE = "recipe.json"

# English text in a byte-pair vocabulary of about 50k entries; used only to order and estimate, never to score.
CHARACTERS_PER_TOKEN = 4.2
# Tokens of instruction and template around a row, for the estimate.
FRAME_TOKENS = 45

_FREE_SPACE = "Free space or permissions, then run the same again."


@dataclass(frozen=True, slots=True)
class Packed:
    """A dataset as the pack holds it.

    Attributes
    ----------
    train
        The pool from which every seed draws its rows.
    test, test_split
        The test rows, and the name of their split in the dataset.
    lineage
        Of a variant its parent and what was changed; two empty strings otherwise.
    """

    task: Task
    train: tuple[Row, ...]
    test: tuple[Row, ...]
    test_split: str = ""
    lineage: tuple[str, str] = ("", "")


class Pack:
    """A pack folder on disk. Raises InputError for a folder without a recipe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / RECIPE
        if not path.is_file():
            raise InputError(f"{folder} holds no {RECIPE}; make one: traitcast matrix plan --pack {folder} DATASET...")
        self.recipe: Recipe = parse(files.read_small(path, "a recipe", InputError), str(path))
        self._answers: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def adapters(self) -> Path:
        return self.folder / "adapters"

    @property
    def shards(self) -> Path:
        return self.folder / "shards"

    def task(self, name: str) -> Task:
        """The task of a packed dataset. Raises InputError for an unknown name."""
        entry = self.recipe.datasets.get(name)
        if entry is None:
            known = self.recipe.datasets
            raise InputError(f"dataset {name!r} is not in the pack{nearest(name, known)} It has {', '.join(known)}")
        return Task(name, entry.task_type, entry.metric, entry.instruction, entry.field_names, entry.labels)

    def rows(self, name: str) -> Packed:
        """All rows of a packed dataset. Raises InputError when they are not those of the recipe."""
        task, entry = self.task(name), self.recipe.datasets[name]
        path, table = self._columns(name, row_schema().names)
        splits: dict[str, list[Row]] = {"train": [], "test": []}
        for split, fields, options, response, gold in zip(*table.to_pydict().values(), strict=True):
            splits[split].append(Row(tuple(fields), response, tuple(options or ()), gold))
        packed = Packed(
            task, tuple(splits["train"]), tuple(splits["test"]), entry.test_split, (entry.parent, entry.changed)
        )
        for split, rows in (("train", packed.train), ("test", packed.test)):
            if rows_fingerprint(task, rows) != getattr(entry, f"{split}_fingerprint"):
                raise InputError(f"{path}: the {split} rows are not those of {RECIPE}; copy or plan the pack again")
        return packed

    def answers(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Of the test rows of a packed dataset with options: the position of the right one, and how many there are."""
        if name not in self._answers:
            import numpy as np
            import pyarrow.compute as pc

            _, table = self._columns(name, ["split", "options", "gold"])
            table = table.filter(pc.equal(table["split"], "test"))
            own = pc.fill_null(pc.list_value_length(table["options"]), 0).to_numpy()
            gold = pc.fill_null(table["gold"], -1).to_numpy()
            self._answers[name] = gold, np.where(own > 0, own, len(self.recipe.datasets[name].labels))
        return self._answers[name]

    def _columns(self, name: str, columns: list[str]) -> tuple[Path, pa.Table]:
        """Columns of the file of a packed dataset. Raises InputError where they are missing or of other types."""
        import pyarrow as pa

        entry = self.recipe.datasets[name]
        path = self.folder / "data" / f"{name}.parquet"
        try:
            table = read_parquet(path, columns, most_rows=entry.pool_rows + entry.test_rows)
            table = table.cast(pa.schema([row_schema().field(column) for column in columns]))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise InputError(f"cannot read {path} ({error}); copy the pack again, or plan it again") from error
        odd = set(table["split"].to_pylist()) - {"train", "test"}
        empty = [column for column in columns if column not in ("options", "gold") and table[column].null_count]
        if odd or empty:
            what = f"{empty[0]} is empty in some rows" if empty else f"split {min(odd)!r} is not train or test"
            raise InputError(f"cannot read {path} ({what}); copy the pack again, or plan it again")
        return path, table


def row_schema() -> pa.Schema:
    """Columns of the file of a packed dataset."""
    import pyarrow as pa

    texts = pa.list_(pa.string())
    kinds = {"split": pa.string(), "fields": texts, "options": texts, "response": pa.string(), "gold": pa.int32()}
    return pa.schema(list(kinds.items()))


Drawn = TypeVar("Drawn")


def draw(rows: Sequence[Drawn], most: int, seed: int | Sequence[int]) -> tuple[Drawn, ...]:
    """At most `most` rows, a uniform sample in the original order; the first rows of a file are not a sample."""
    if len(rows) <= most:
        return tuple(rows)
    import numpy as np

    chosen = np.random.default_rng(seed).choice(len(rows), size=most, replace=False)
    return tuple(rows[i] for i in sorted(chosen))


def training_rows(recipe: Recipe, source: str, seed: int, pool: Sequence[Drawn]) -> tuple[Drawn, ...]:
    """The rows that the adapter of (source, seed) is tuned on, out of the pool of the source.

    Each seed draws its own rows where there are more than it takes. With the same rows for all seeds, the luck of one
    draw would count as a property of the source.
    """
    return draw(pool, recipe.datasets[source].train_rows, [recipe.sample_seed, seed])


def rows_fingerprint(task: Task, rows: Sequence[Row]) -> str:
    """Hash of a task and its rows, in order."""
    return "v1:" + digest([dataclasses.astuple(task), [[r.fields, r.response, r.options, r.gold] for r in rows]])


def characters(rows: Sequence[Row], task: Task) -> int:
    """Characters of prompt and answers, for ordering and estimates."""
    return sum(sum(map(len, r.fields)) + sum(map(len, r.options)) + len(r.response) for r in rows) + len(rows) * (
        len(task.instruction)
    )


def tokens(characters_: int, rows: int) -> int:
    """An estimate of the tokens in `rows` prompts."""
    return round(characters_ / CHARACTERS_PER_TOKEN) + rows * FRAME_TOKENS


def aside(path: Path) -> AbstractContextManager[BinaryIO]:
    """An open file that replaces `path` only after it is complete and on disk; a crash leaves no half file."""
    return files.replaced(path, cure=_FREE_SPACE, error=InputError, parents=True)


def write_aside(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all."""
    files.write(path, content, cure=_FREE_SPACE, error=InputError, parents=True)
