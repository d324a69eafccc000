"""Planning: datasets are read, their rows drawn, and adapters and targets put into groups and blocks.

Only planning needs the dataset reader. Refuses to change the settings of a pack that holds results under others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitcast.profiler.reading.source import HELD_OUT
from traitcast.profiler.roles.annotations import marked
from traitcast.training.plan.base_name import ANY, check_base
from traitcast.training.plan.pack import (
    RECIPE,
    Pack,
    Packed,
    aside,
    characters,
    draw,
    row_schema,
    rows_fingerprint,
    tokens,
    write_aside,
)
from traitcast.training.plan.prompts import PromptSettings, Row, Task
from traitcast.training.plan.recipe import DatasetEntry, Recipe, ScoringSettings, TrainingSettings
from traitcast.warehouse.errors import InputError, NoAnswersError, ScoresError, UserError, nearest
from traitcast.warehouse.names import check_name

if TYPE_CHECKING:
    from traitcast.profiler.reading.examples import Examples

# Training rows a pack holds for each that a seed draws. Of a source that has as many or more, two seeds have a quarter
# of their rows in common; more would make packs that are slow to carry to where they are run.
_POOL = 4


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """The settings of a plan.

    Parameters
    ----------
    base, base_revision
        Base model (hub id, folder or "smollm2"), and the commit of a hub model.
    dtype
        "auto", "any", or a precision of `DTYPES`; see `Recipe`.
    seeds
        One adapter per source and seed.
    train_rows
        The most rows that an adapter is tuned on; every seed draws its own.
    test_rows
        The most rows of a target, the same for all models.
    sample_seed
        Of both draws.
    slots
        Adapters per group; 0: all in one.
    block_tokens
        Targets are scored together up to this many tokens.
    test_from_training
        Let a dataset without a held-out split give test rows of its only one, which is right only if nothing is tuned.
    prompt, training, scoring
        How prompts are worded, adapters tuned, and models scored.
    """

    base: str
    base_revision: str | None = None
    dtype: str = "auto"
    seeds: tuple[int, ...] = (0, 1, 2)
    train_rows: int = 1500
    test_rows: int = 200
    sample_seed: int = 0
    slots: int = 64
    block_tokens: int = 400_000
    test_from_training: bool = False
    prompt: PromptSettings = dataclasses.field(default_factory=PromptSettings)
    training: TrainingSettings = dataclasses.field(default_factory=TrainingSettings)
    scoring: ScoringSettings = dataclasses.field(default_factory=ScoringSettings)

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise InputError(f"seeds are {list(self.seeds)}; give distinct numbers from 0, such as 0,1,2")
        for name, least in (("train_rows", 1), ("test_rows", 1), ("block_tokens", 1), ("slots", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; give {least} or more")


def plan(
    folder: Path,
    datasets: Sequence[str],
    settings: PlanSettings,
    *,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    on_dataset: Callable[[str, DatasetEntry], None] | None = None,
    on_warning: Callable[[str, str], None] | None = None,
    on_failure: Callable[[str, UserError], None] | None = None,
) -> Pack:
    """Read datasets, draw their rows and write the pack. An existing pack is added to; its groups and blocks stay.

    Parameters
    ----------
    folder
        Of the pack.
    datasets
        Paths or hub ids.
    settings
        Those of an existing pack, but for the seeds.
    sources, targets
        Names among the datasets; None: every dataset with training rows, or with test rows. A target that is none of
        the named sources may lack test rows: its training rows are scored, and the pack refuses it as a source.
    on_dataset
        Called with the name and the entry of each dataset that was read.
    on_warning
        Called with the name and what to know of its rows, such as those that were left out.
    on_failure
        Called with a dataset that cannot be planned, and the reason; without it that is raised.

    Raises
    ------
    InputError
        A target without test rows, a dataset with other rows than in the pack, or nothing to score.
    ScoresError
        Settings that differ from those of the pack.
    """
    check_base(settings.base)
    before = Pack(folder).recipe if (folder / RECIPE).is_file() else None
    if before is not None:
        _same_settings(before, settings, folder)
    entries = dict(before.datasets) if before else {}
    tuned = {*(sources or ()), *(before.sources if before else ())}
    only_scored = set() if sources is None else set(targets or ()) - tuned
    with _nothing_half_written(folder) as data:
        for source in datasets:
            try:
                name, packed, origin, fingerprint, warnings = read_dataset(source, settings, only_scored)
                entry = _entry(packed, origin, fingerprint, settings.train_rows)
                if name in entries and _rows_of(entries[name]) != _rows_of(entry):
                    raise InputError(f"dataset {name!r} is in {folder} with other rows; plan into a new folder")
            except UserError as error:
                if on_failure is None:
                    raise
                on_failure(source, error)
                continue
            if on_warning:
                for warning in warnings:
                    on_warning(name, warning)
            entries[name] = entry
            _write_rows(data / f"{name}.parquet", packed)
            if on_dataset:
                on_dataset(name, entry)
        if not entries:
            raise InputError("no dataset could be planned; mend what is wrong, or name others")
        recipe = _recipe(before, entries, settings, sources, targets)
        write_aside(folder / RECIPE, recipe.to_json().encode())
    return Pack(folder)


@contextmanager
def _nothing_half_written(folder: Path) -> Iterator[Path]:
    """The folder of the rows. A plan that fails leaves what there was, and no folder where there was none."""
    data, new = folder / "data", [path for path in (folder, folder / "data") if not path.exists()]
    before = set(data.glob("*"))
    try:
        yield data
    except BaseException:
        for path in set(data.glob("*")) - before:
            path.unlink()
        for path in reversed(new):
            with suppress(OSError):  # not empty: of another run, which is at work in it
                path.rmdir()
        raise


def read_dataset(
    source: str, settings: PlanSettings, only_scored: Collection[str] = ()
) -> tuple[str, Packed, str, str, tuple[str, ...]]:
    """(name, rows drawn, origin, dataset fingerprint, warnings). Test rows come from `test`, else from `validation`;
    a split whose answers are held back, as those of many benchmarks are, is passed over. Of the datasets `only_scored`
    they come from the training rows where there is no such split, and then nothing can be tuned on those."""
    from traitcast.profiler.reading.reader import read

    first = read(source)
    name = check_name(first.name, "dataset name")
    train = None if first.split in HELD_OUT else first
    test, passed_over = (first, []) if train is None else _held_out(train)
    if test is None and settings.test_from_training:
        test = first
    elif test is None and name in only_scored:
        train, test = None, first
    task = task_of(first)
    drawn = Packed(
        task,
        draw(rows_of(train, task), _POOL * settings.train_rows, settings.sample_seed) if train else (),
        draw(rows_of(test, task), settings.test_rows, settings.sample_seed) if test else (),
        test.split if test else "",
        (first.spec.parent or "", first.spec.changed or "") if first.spec.parent else ("", ""),
    )
    told = [*first.warnings, *passed_over]
    if first.spec.task_type == "preference":
        told.append("of preferences the better responses are learnt and tested on, as a generation")
    if test is not None and test is not first:
        told += (f"{test.split}: {warning}" for warning in test.warnings)
    return name, drawn, first.origin, first.fingerprint, tuple(told)


def _held_out(train: Examples) -> tuple[Examples | None, list[str]]:
    """The first held-out split that has answers, read by the roles of the training rows, and why others have none."""
    from traitcast.profiler.reading.reader import read_beside

    passed_over: list[str] = []
    for split in HELD_OUT:
        if split in train.others:
            try:
                return read_beside(train, split), passed_over
            except NoAnswersError as error:
                passed_over.append(f"no test rows: {error.what}")
    return None, passed_over


def task_of(examples: Examples) -> Task:
    """The task of a dataset; without label names, its labels are those of its training rows, sorted."""
    spec = examples.spec
    labels: tuple[str, ...] = ()
    if spec.task_type == "classification":
        labels = spec.label_names or tuple(sorted(examples.table["label"].drop_null().unique().to_pylist()))
    # Of preferences an adapter is tuned on the better responses.
    kind, metric = ("generation", "rouge_l") if spec.task_type == "preference" else (spec.task_type, spec.metric)
    return Task(examples.name, kind, metric, spec.instruction or "", tuple(spec.text_fields), labels)


def rows_of(examples: Examples, task: Task) -> list[Row]:
    """The rows of a split as prompts need them; rows without an answer, or with one judged to be bad, are left out.

    Raises InputError for a judgement that says neither yes nor no.
    """
    position = {label: index for index, label in enumerate(task.labels)}
    judged = examples.spec.label_field if examples.spec.task_type == "preference" else None
    rows = []
    columns = (examples.table[name].to_pylist() for name in ("fields", "options", "response", "label"))
    for fields, options, response, label in zip(*columns, strict=True):
        if response is None or not response.strip() or (task.has_options and label is None):
            continue
        if judged is not None and label is not None and not marked(label, judged, examples.origin):
            continue
        gold = None if not task.has_options else int(label) if options else position[label]
        rows.append(Row(tuple(f or "" for f in fields), response, tuple(options or ()), gold))
    return rows


def _entry(packed: Packed, origin: str, fingerprint: str, most: int) -> DatasetEntry:
    task, pool = packed.task, len(packed.train)
    drawn = min(pool, most)
    return DatasetEntry(
        task_type=task.task_type,
        metric=task.metric,
        instruction=task.instruction,
        field_names=task.field_names,
        labels=task.labels,
        train_rows=drawn,
        pool_rows=pool,
        test_rows=len(packed.test),
        train_fingerprint=rows_fingerprint(task, packed.train),
        test_fingerprint=rows_fingerprint(task, packed.test),
        train_characters=round(characters(packed.train, task) * drawn / pool) if pool else 0,
        test_characters=characters(packed.test, task),
        test_split=packed.test_split,
        origin=origin,
        dataset_fingerprint=fingerprint,
        parent=packed.lineage[0],
        changed=packed.lineage[1],
    )


def _rows_of(entry: DatasetEntry) -> DatasetEntry:
    """What of a dataset its cells depend on: parent and change may be added later."""
    return dataclasses.replace(entry, parent="", changed="")


def _write_rows(path: Path, packed: Packed) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [("train", r) for r in packed.train] + [("test", r) for r in packed.test]
    columns = {
        "split": [split for split, _ in rows],
        "fields": [list(r.fields) for _, r in rows],
        "options": [list(r.options) or None for _, r in rows],
        "response": [r.response for _, r in rows],
        "gold": [r.gold for _, r in rows],
    }
    table = pa.table(columns, schema=row_schema())
    with aside(path) as work:
        pq.write_table(table, work, compression="zstd", write_page_checksum=True)


def _recipe(
    before: Recipe | None,
    entries: Mapping[str, DatasetEntry],
    settings: PlanSettings,
    sources: Sequence[str] | None,
    targets: Sequence[str] | None,
) -> Recipe:
    trained = _names("source", sources, entries, "train_rows", before.sources if before else ())
    scored = _names("target", targets, entries, "test_rows", before.targets if before else ())
    if not scored:
        raise InputError(
            f"none of {', '.join(entries)} has test or validation rows, so nothing can be scored; add a test.jsonl "
            "next to the training rows, or another dataset to the plan"
        )
    seeds = tuple(dict.fromkeys((*(before.seeds if before else ()), *settings.seeds)))
    kept = [list(g) for g in before.groups] if before else []
    placed = {job for group in kept for job in group}
    jobs = [(s, seed) for s in trained for seed in seeds if (s, seed) not in placed]
    blocks = [list(b) for b in before.blocks] if before else []
    in_blocks = {name for block in blocks for name in block}
    fresh = [name for name in scored if name not in in_blocks]
    return Recipe(
        base=settings.base,
        base_revision=settings.base_revision,
        dtype=settings.dtype,
        sources=trained,
        targets=scored,
        seeds=seeds,
        datasets=dict(sorted(entries.items())),
        groups=tuple(tuple(g) for g in (*kept, *_groups(jobs, entries, settings))),
        blocks=tuple(tuple(b) for b in (*blocks, *_blocks(fresh, entries, settings.block_tokens))),
        sample_seed=settings.sample_seed,
        prompt=settings.prompt,
        training=settings.training,
        scoring=settings.scoring,
    )


def _names(
    role: str, asked: Sequence[str] | None, entries: Mapping[str, DatasetEntry], count: str, before: Sequence[str]
) -> tuple[str, ...]:
    if asked is None:
        return tuple(dict.fromkeys((*before, *(n for n, e in sorted(entries.items()) if getattr(e, count)))))
    if not asked:
        raise InputError(f"the list of {role}s is empty; it may name {', '.join(entries)}, or be left out for all")
    for name in asked:
        if name not in entries:
            raise InputError(f"{role} {name!r} is not among the datasets{nearest(name, entries)} Add it to the plan")
        if not getattr(entries[name], count):
            split = "test or validation" if role == "target" else "training"
            cure = f"leave it out of the {role}s, or add such a split"
            if role == "target":
                cure += "; of a target that is not among the --sources, the training rows are scored"
            raise InputError(f"{role} {name!r} has no {split} rows; {cure}")
    return tuple(dict.fromkeys((*before, *asked)))


def _groups(
    jobs: Sequence[tuple[str, int]], entries: Mapping[str, DatasetEntry], settings: PlanSettings
) -> list[list[tuple[str, int]]]:
    """Adapters that train together: longest schedules first, then alike in row length, so that little is padding
    and the slots of a group run out together."""

    def order(job: tuple[str, int]) -> tuple[int, float, str, int]:
        entry = entries[job[0]]
        return -settings.training.steps(entry.train_rows), entry.train_characters / entry.train_rows, *job

    ordered = sorted(jobs, key=order)
    size = settings.slots or max(len(ordered), 1)
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]


def _blocks(names: Sequence[str], entries: Mapping[str, DatasetEntry], limit: int) -> list[list[str]]:
    """Targets that are scored together; generations apart from the rest, since decoding sets their pace."""
    blocks: list[list[str]] = []
    for generated in (False, True):
        block: list[str] = []
        filled = 0
        for name in sorted(n for n in names if (entries[n].task_type == "generation") == generated):
            cost = tokens(entries[name].test_characters, entries[name].test_rows)
            if block and filled + cost > limit:
                blocks.append(block)
                block, filled = [], 0
            block.append(name)
            filled += cost
        if block:
            blocks.append(block)
    return blocks


def _same_settings(before: Recipe, settings: PlanSettings, folder: Path) -> None:
    if settings.dtype == ANY:
        # A pack may be opened to other precisions: the cells that it has keep theirs.
        before = dataclasses.replace(before, dtype=ANY)
    for name in ("base", "base_revision", "dtype", "sample_seed", "prompt", "training", "scoring"):
        for path, old, new in _differences(name, getattr(before, name), getattr(settings, name)):
            raise ScoresError(
                f"{folder} was planned with {path} {old!r}, now {new!r}; give the same, or plan into a new folder"
            )


def _differences(name: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """(setting, old, new) where two settings differ, fields of settings within settings by themselves."""
    if dataclasses.is_dataclass(old):
        for field in dataclasses.fields(old):
            yield from _differences(f"{name}.{field.name}", getattr(old, field.name), getattr(new, field.name))
    elif old != new:
        yield name, old, new
