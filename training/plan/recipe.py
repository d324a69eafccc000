"""The recipe of a matrix: every setting that shapes a score, and the keys made from them.

Owns the settings of training and scoring, their strict reading from recipe.json, and the identity of adapters and
cells (versioned hash of canonical JSON). It refuses unknown keys and knows no files, tensors or datasets.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from traitcast.profiler.roles.spec import METRICS
from traitcast.training.plan.base_name import ANY, DTYPES
from traitcast.training.plan.prompts import FORMAT, PromptSettings
from traitcast.warehouse.errors import InputError, nearest
from traitcast.warehouse.names import is_name, root_of

# Raised when a change of the engine moves scores beyond rounding: old adapters and cells are then other ones.
ENGINE = 2

SCHEDULES = ("cosine", "linear", "constant")
MODES = ("merged", "exact")
BASE_SEED = -1
# Whole numbers up to here are exact in JSON and in a float.
_LARGEST = 2**53

Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How one adapter is tuned.

    There is no dropout: its masks would follow from how rows are packed with other adapters' rows, and a run that
    was split for memory or resumed could not be shown to be the same.

    Parameters
    ----------
    rank, alpha
        Of LoRA; updates are scaled by alpha / rank.
    targets
        "all-linear" (every nn.Linear but the output head, as peft names it), or last parts of module names.
    epochs
        Passes over the training rows.
    batch_rows
        Rows per optimizer step of one adapter, however they are split for memory.
    learning_rate, schedule, warmup
        Peak rate, its course ("cosine", "linear", "constant"), and the share of steps over which it rises from 0.
    weight_decay, beta1, beta2, epsilon
        Of AdamW.
    max_grad_norm
        Gradients are clipped to this norm; 0: no clipping.
    """

    rank: int = 16
    alpha: float = 32.0
    targets: tuple[str, ...] = ("all-linear",)
    epochs: int = 2
    batch_rows: int = 8
    learning_rate: float = 2e-4
    schedule: str = "cosine"
    warmup: float = 0.03
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _check(self.schedule in SCHEDULES, "schedule", self.schedule, ", ".join(SCHEDULES))
        for name in ("rank", "epochs", "batch_rows"):
            _check(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        _check(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        _check(0 <= self.warmup < 1, "warmup", self.warmup, "a share from 0 to below 1")
        _check(bool(self.targets), "targets", self.targets, "all-linear, or last parts of module names")

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    def steps(self, rows: int) -> int:
        """Optimizer steps for `rows` training rows; the last batch of an epoch may be short."""
        return self.epochs * -(-rows // self.batch_rows)


@dataclass(frozen=True, slots=True)
class ScoringSettings:
    """How a model is scored.

    Parameters
    ----------
    mode
        "merged": adapters are added into the weights in fp32 and rounded once. "exact": they are kept apart.
    max_new_tokens
        Cap on greedy decoding; a target's own cap is lower where its references are short.
    content_free
        Also score prompts without content, for calibrated accuracy.
    """

    mode: str = "merged"
    max_new_tokens: int = 128
    content_free: bool = True

    def __post_init__(self) -> None:
        _check(self.mode in MODES, "mode", self.mode, ", ".join(MODES))
        _check(self.max_new_tokens >= 1, "max_new_tokens", self.max_new_tokens, "1 or more")


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """A packed dataset: its task and how much of it there is.

    Attributes
    ----------
    task_type, metric, instruction, field_names, labels
        The task; see `Task`.
    train_rows, pool_rows
        Rows that an adapter is tuned on, and rows in the pack to draw them from.
    test_rows, test_split
        Test rows, and the name of their split in the dataset.
    train_fingerprint, test_fingerprint
        Hashes of the packed rows, task included.
    train_characters, test_characters
        Of train_rows rows of mean length, and of all test rows.
    origin, dataset_fingerprint
        Where the dataset came from, and the hash of the whole of it.
    parent, changed
        Of a variant of another dataset; empty otherwise.
    """

    task_type: str
    metric: str
    instruction: str
    field_names: tuple[str, ...]
    labels: tuple[str, ...]
    train_rows: int
    pool_rows: int
    test_rows: int
    train_fingerprint: str
    test_fingerprint: str
    train_characters: int
    test_characters: int
    test_split: str = ""
    origin: str = ""
    dataset_fingerprint: str = ""
    parent: str = ""
    changed: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A planned matrix: adapters for `sources` x `seeds`, scored with the base model on `targets`.

    Attributes
    ----------
    groups
        The adapters that are trained together, (source, seed) each.
    blocks
        The targets that are scored together. Groups and blocks are fixed by the plan, so that a resumed run repeats
        the arithmetic of an uninterrupted one bit for bit.
    dtype
        "auto": bfloat16 on an accelerator and float32 on a CPU. "any": every machine uses the precision that it is
        fast in, and cells of all precisions count.
    prompt_format, engine
        Of the version that planned. A version with other prompts or other arithmetic refuses the recipe.
    """

    base: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    datasets: Mapping[str, DatasetEntry]
    groups: tuple[tuple[tuple[str, int], ...], ...]
    blocks: tuple[tuple[str, ...], ...]
    base_revision: str | None = None
    dtype: str = "auto"
    sample_seed: int = 0
    prompt: PromptSettings = field(default_factory=PromptSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    scoring: ScoringSettings = field(default_factory=ScoringSettings)
    prompt_format: str = FORMAT
    engine: int = ENGINE
    format: int = 1

    @property
    def cells(self) -> int:
        return (len(self.sources) * len(self.seeds) + 1) * len(self.targets)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What only the machine that runs knows: the weights it loaded and the precision it used.

    dtype: one of `DTYPES`, or `ANY` for a whole pack whose cells may be of each of them.
    """

    base_fingerprint: str
    dtype: str

    @property
    def definite(self) -> tuple[Runtime, ...]:
        """The runtimes that an adapter or cell can have: this one, or one per precision."""
        if self.dtype != ANY:
            return (self,)
        return tuple(dataclasses.replace(self, dtype=dtype) for dtype in DTYPES)


def parse(text: str | bytes, where: str) -> Recipe:
    """Read recipe.json strictly. Raises InputError naming the key and the nearest valid one."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:  # bytes that are no UTF-8 are a ValueError too
        raise InputError(f"{where} is not JSON ({error}); plan the matrix again") from error
    data = dict(_mapping(data, where))
    for name, kind in (("prompt", PromptSettings), ("training", TrainingSettings), ("scoring", ScoringSettings)):
        data[name] = settings(kind, data.get(name, {}), f"{where}: {name}")
    entries = _mapping(data.get("datasets", {}), f"{where}: datasets")
    data["datasets"] = {n: settings(DatasetEntry, e, f"{where}: datasets.{n}") for n, e in entries.items()}
    recipe = settings(Recipe, data, where)
    if recipe.format != 1:
        raise InputError(f"{where} has format {recipe.format}; this version reads 1: use the traitcast that wrote it")
    if (recipe.prompt_format, recipe.engine) != (FORMAT, ENGINE):
        raise InputError(
            f"{where} was planned for prompt format {recipe.prompt_format} and engine {recipe.engine}; this version "
            f"has {FORMAT} and {ENGINE}, whose scores differ: use the traitcast that wrote it, or plan a new folder"
        )
    _check_recipe(recipe, where)
    return recipe


def settings(kind: type[Settings], values: Mapping[str, Any], where: str) -> Settings:
    """A settings dataclass from a mapping; lists become tuples, unknown or missing keys are refused."""
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in _mapping(values, where):
        if key not in fields:
            raise InputError(f"{where}: unknown key {key!r}{nearest(key, fields)} Allowed: {', '.join(fields)}")
    plain = {key: _tuples(value) for key, value in values.items()}
    hints = get_type_hints(kind)
    for key, value in plain.items():
        if not _fits(value, hints[key]):
            raise InputError(f"{where}: {key} is {_shown(value)}, not {fields[key].type}; plan the matrix again")
    try:
        return kind(**plain)
    except TypeError as error:
        raise InputError(f"{where}: {error}; plan the matrix again") from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value read from JSON is of an annotated type; numbers must be finite, and whole ones exact."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        inner = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return len(value) == len(inner) and all(map(_fits, value, inner))
    if hint in (int, float):
        kinds = int if hint is int else int | float
        return isinstance(value, kinds) and not isinstance(value, bool) and abs(value) <= _LARGEST
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # JSON may hold half of a character, which has no bytes
            return False
    return isinstance(value, origin or hint)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}..."


def _check_recipe(recipe: Recipe, where: str) -> None:
    """Raise InputError for names that cannot be used, rows that cannot be, and jobs of unknown datasets or seeds."""

    def check(fine: bool, what: str) -> None:
        if not fine:
            raise InputError(f"{where}: {what}; plan the matrix again")

    entries = recipe.datasets
    for name, entry in entries.items():
        check(is_name(name), f"dataset {name!r} is not a valid name")
        check(entry.task_type in METRICS, f"datasets.{name}: task_type {_shown(entry.task_type)} is not one of "
              f"{', '.join(METRICS)}")  # fmt: skip
        metrics = METRICS[entry.task_type]
        check(
            entry.metric in metrics,
            f"datasets.{name}: metric {_shown(entry.metric)} is not one of {', '.join(metrics)}",
        )
        check(bool(entry.labels) == (entry.task_type == "classification"),
              f"datasets.{name}: labels are of classifications, and of no other task")  # fmt: skip
        check(0 <= entry.train_rows <= entry.pool_rows and entry.test_rows >= 0,
              f"datasets.{name}: train_rows is not between 0 and pool_rows, or test_rows below 0")  # fmt: skip
    for what, names in (("sources", recipe.sources), ("targets", recipe.targets)):
        for name in names:
            check(name in entries, f"{what} holds {name!r}, which is not under datasets")
    check(all(recipe.datasets[name].test_rows for name in recipe.targets), "targets holds a dataset without test rows")
    jobs = {(source, seed) for source in recipe.sources for seed in recipe.seeds}
    check({job for group in recipe.groups for job in group} == jobs, "groups are not the sources and seeds")
    check({name for block in recipe.blocks for name in block} == {*recipe.targets}, "blocks are not the targets")
    check(all(0 <= seed <= 2**31 - 1 for seed in recipe.seeds), "seeds are not between 0 and 2147483647")


def begins_as(recipe: Recipe, source: str) -> str:
    """The dataset that a variant comes from in the end; any other dataset comes from itself.

    Its name seeds first weights and order, so that a variant differs from its parent by the change alone.
    """
    entries = recipe.datasets
    return root_of(source, lambda name: entries[name].parent if name in entries else None)


def adapter_key(recipe: Recipe, runtime: Runtime, source: str, seed: int) -> str:
    """Identity of an adapter: hash of the base, its training rows, prompt format, settings, seed and engine."""
    entry, begun_as = recipe.datasets[source], begins_as(recipe, source)
    return _key(
        # Only where it is another one: adapters of real datasets keep the names that they had without it.
        **({} if begun_as == source else {"begun_as": begun_as}),
        kind="adapter",
        runtime=_definite(runtime),
        rows=entry.train_fingerprint,
        drawn=[entry.train_rows, recipe.sample_seed],
        source=source,
        seed=seed,
        prompt=dataclasses.asdict(recipe.prompt),
        prompt_format=FORMAT,
        training=dataclasses.asdict(recipe.training),
        engine=ENGINE,
    )


def cell_key(recipe: Recipe, runtime: Runtime, adapter: str | None, target: str) -> str:
    """Identity of a cell: hash of the model that is scored, the target's rows, and how they are scored."""
    return _key(
        kind="cell",
        runtime=_definite(runtime),
        adapter=adapter or "base",
        rows=recipe.datasets[target].test_fingerprint,
        target=target,
        prompt=dataclasses.asdict(recipe.prompt),
        prompt_format=FORMAT,
        scoring=dataclasses.asdict(recipe.scoring),
        engine=ENGINE,
    )


def _definite(runtime: Runtime) -> dict[str, str]:
    if runtime.dtype not in DTYPES:
        raise ValueError(f"a key needs one of {', '.join(DTYPES)}, not {runtime.dtype!r}")
    return dataclasses.asdict(runtime)


def canonical(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Any) -> str:
    """The first 128 bits of BLAKE2b over the canonical JSON of `value`, in hex."""
    return hashlib.blake2b(canonical(value), digest_size=16).hexdigest()


def _key(**parts: Any) -> str:
    return "v1-" + digest(parts)


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} holds {type(value).__name__}, not an object; plan the matrix again")
    return value


def _check(fine: bool, name: str, value: Any, allowed: str) -> None:
    if not fine:
        raise InputError(f"{name} is {value!r}; allowed: {allowed}")
