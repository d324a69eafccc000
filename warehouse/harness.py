"""Result files of evaluation harnesses as rows of scores.

Owns what the files of lm-evaluation-harness (0.3 and later) and lighteval mean: which metrics are shares, which are
percentages, which results are averages of others, and which model was tuned. Refuses nothing that is not a score: what
is left out is named.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from traitcast.warehouse.console import count
from traitcast.warehouse.errors import ScoresError, nearest, some

Row = dict[str, Any]

# Of the preferred metric of each task: the headline, since tasks do not share one.
SCORE = "score"
# In the order of preference. All are shares of 1, or percentages where `_is_percent` says so.
_METRICS = ("acc", "exact_match", "exact", "em", "acc_norm", "f1", "rouge1", "rougeL", "extractive_match", "qem")
# Arguments of a model that name an adapter: of Hugging Face models, of vLLM, and weights that are added.
_ADAPTERS = ("peft", "lora_local_path", "delta", "lora_path", "adapter")
# What SCROLLS counts in percent; its accuracies are shares.
_SCROLLS, _SCROLLS_PERCENT = "scrolls", ("f1", "rouge1", "rougeL", "em")
_FILTERS = ("none", "", "strict-match")
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Results:
    """What a result file gave.

    Parameters
    ----------
    rows
        One per task, metric and filter: model, source, target, seed, metric, filter, score, n, standard_error.
    notes
        What was left out, a line each.
    warnings
        What is probably a mistake, a line each.
    settings
        How each target was asked, in words: by its name, in files that say so.
    """

    rows: list[Row]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


def is_result(content: Any) -> bool:
    """Whether a JSON document is a result file of a harness."""
    return isinstance(content, dict) and isinstance(content.get("results"), dict)


def read_result(
    file: Path,
    content: Mapping[str, Any],
    *,
    source: str | None = None,
    source_from: str | None = None,
    sources: Mapping[str, str] | None = None,
    model: str | None = None,
    seed: int | None = None,
) -> Results:
    """The scores of one result file, which is of one model.

    Parameters
    ----------
    file
        For messages.
    content
        The JSON document: `{"results": {task: {"acc,none": .7, "acc_stderr,none": .01}}, ...}`.
    source
        The dataset that the model was tuned on; empty for the base, None where it is not said.
    source_from
        The model argument that tells it instead, such as `peft`: the last part of its path, checkpoints aside.
    sources
        Model, adapter path, or the last part of that path -> dataset, empty for the base.
    model
        The name of the base model, where the file has another one, such as that of merged weights.
    seed
        The run, where several files are of one source.

    Raises
    ------
    ScoresError
        For a file without any score, or a model argument that it does not have.
    """
    arguments = _arguments(content)
    named = _model_name(content, arguments)
    adapter = _adapter(arguments)
    ours = _object(content.get("traitcast"))
    source = str(ours["source"]) if source is None and "source" in ours else source
    tuned, warnings = _tuned_on(file, arguments, named, source, source_from, sources or {})
    run = (ours.get("seed", 0) if seed is None else seed) if tuned else 0
    left: Counter[str] = Counter()
    rows, settings = [], {}
    targets = Counter(target_name(task) for task in content["results"])
    for task, metrics in content["results"].items():
        if not isinstance(metrics, dict):
            raise ScoresError(f"{file}: results of task {task!r} must be a mapping of metrics.")
        if _is_average(content, task):
            left[f"{task} (an average of other results)"] += 1
            continue
        found = [row for key, value in metrics.items() if (row := _row(file, task, metrics, key, value, left))]
        if not found and not any(name.startswith(f"{task} (") for name in left):
            names = sorted({key.split(",")[0] for key in metrics if key.strip() and not _is_detail(key)})
            left[f"{task} ({', '.join(names) or 'no result'})"] += 1
        size = _object(_object(content.get("n-samples")).get(task)).get("effective")
        target = target_name(task)
        if targets[target] > 1:
            # lighteval asks one benchmark with different numbers of examples.
            target = f"{target}_{task.rpartition('|')[2]}"
        settings[target] = _settings(content, task)
        same = {"model": model or named, "source": tuned, "target": target, "seed": run, "n": size}
        rows += [same | row for row in found]
    if not rows:
        raise ScoresError(
            f"{file}: no task has one of the metrics {', '.join(_METRICS)}. "
            f"Its tasks: {some(list(content['results']), 5)}"
        )
    if adapter and source is None and source_from is None and not tuned and not sources:
        warnings.append(
            f"{file.name}: the model has an adapter ({adapter}), yet it is imported as the base: say what it was "
            "tuned on with --source DATASET"
        )
    notes = []
    if limit := _object(content.get("config")).get("limit"):
        notes.append(f"{file.name}: scored on a part of each task only (limit {limit})")
    if left:
        tasks = count(left.total(), "task")
        notes.append(f"{file.name}: {tasks} left out, without a score to compare: {some(list(left), _SHOWN)}")
    return Results(rows, tuple(notes), tuple(warnings), settings)


def headline(
    rows: Mapping[int, Row], stored: Mapping[tuple[str, str, str, int], Mapping[str, float]] | None = None
) -> list[tuple[int, Row]]:
    """One row of each task as a row of the metric `SCORE`, with the number of the row it comes from.

    A task has one metric for all sources of a model, base included, or its gains would compare two metrics: the
    preferred one of those that all of them have. Tasks without a common metric have no headline.

    stored: scores by metric of each (model, source, target, seed) that is there already; the metric of a task is then
    the one that its headline was taken from.
    """
    found: dict[tuple[str, str], dict[tuple[str, int], dict[str, tuple[int, Row]]]] = {}
    for number, row in rows.items():
        models = found.setdefault((row["model"], row["target"]), {})
        models.setdefault((row["source"], row["seed"]), {})[row["metric"]] = (number, row)
    before: dict[tuple[str, str], set[str]] = {}
    for (model, _, target, _), scores in (stored or {}).items():
        if SCORE in scores:
            same = {metric for metric, score in scores.items() if metric != SCORE and score == scores[SCORE]}
            before[model, target] = before.get((model, target), same) & same
    chosen = []
    for task, models in found.items():
        common = set.intersection(*(set(metrics) for metrics in models.values()))
        if task in before:
            common &= before[task]
        if common:
            one = next(iter(models.values()))
            metric = min(common, key=lambda name: _rank(one[name][1]))
            chosen += [(metrics[metric][0], {**metrics[metric][1], "metric": SCORE}) for metrics in models.values()]
    return chosen


def _rank(row: Row) -> tuple[int, int]:
    """The place of a metric and filter in the order of preference."""
    kind = row["filter"]
    place = _FILTERS.index(kind) if kind in _FILTERS else len(_FILTERS)
    return _METRICS.index(row["metric"].split(",")[0]), place


def target_name(task: str) -> str:
    """`arc_challenge` of lighteval's `leaderboard|arc:challenge|25`; other names as they are."""
    parts = task.split("|")
    return (parts[1] if len(parts) > 2 else task).replace(":", "_")


def adapter_name(path: str) -> str:
    """The last part of the path of an adapter that names it: `lora-gsm8k` of `/runs/lora-gsm8k/checkpoint-300`."""
    parts = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in ("/", ".", "..")]
    named = [part for part in parts if not part.startswith(("checkpoint-", "checkpoint_")) and part != "final"]
    return (named or parts or [path])[-1]


def _tuned_on(
    file: Path,
    arguments: Mapping[str, Any],
    named: str,
    source: str | None,
    source_from: str | None,
    sources: Mapping[str, str],
) -> tuple[str, list[str]]:
    """(the dataset, empty for the base; warnings)."""
    if source is not None:
        return source, []
    adapter = _adapter(arguments)
    if sources:
        for name in (adapter, adapter_name(adapter)) if adapter else (named,):
            if name in sources:
                return sources[name], []
        what = adapter or named
        raise ScoresError(
            f"{file}: `sources` of the recipe does not say what {what!r} was tuned on{nearest(what, sources)} Add it, "
            "with an empty text for the base model."
        )
    if source_from is None:
        return "", []
    if source_from not in ("peft", *arguments):
        raise ScoresError(
            f"{file}: --source-from {source_from}: the model has no such argument{nearest(source_from, arguments)} "
            f"It has: {', '.join(arguments) or 'none'}."
        )
    value = adapter if source_from == "peft" else str(arguments.get(source_from) or "")
    return (adapter_name(value) if value else ""), []


def _adapter(arguments: Mapping[str, Any]) -> str:
    """The path of an adapter, "" where the model has none."""
    return next((str(arguments[key]) for key in _ADAPTERS if arguments.get(key)), "")


def _model_name(content: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """The name of the model, the same however its path is written; with its revision, which is another model."""
    general = _object(content.get("config_general"))
    inside = _object(general.get("model_config"))
    places = (
        arguments.get("pretrained"),
        content.get("model_name"),
        general.get("model_name"),
        inside.get("model_name"),
    )
    named = next((str(name) for name in places if name), None) or _object(content.get("config")).get("model") or "model"
    name = str(named).strip("'\"").rstrip("/") or "model"
    revision = str(arguments.get("revision") or "main").strip("'\"")
    return name if revision in ("main", "master", "None") else f"{name}@{revision}"


def _settings(content: Mapping[str, Any], task: str) -> str:
    """How a task was asked, in words."""
    shots = _object(content.get("n-shot")).get(task)
    limit = _object(content.get("config")).get("limit")
    template = content.get("chat_template_sha") or content.get("chat_template")
    said = [f"{count(shots, 'example')} in the prompt"] if isinstance(shots, int) else []
    said += ["a chat template"] if template else []
    return ", ".join([*said, f"limit {limit}"] if limit else said)


def _arguments(content: Mapping[str, Any]) -> dict[str, Any]:
    arguments = _object(content.get("config")).get("model_args")
    if isinstance(arguments, str) and arguments.lstrip().startswith("{"):
        try:
            return dict(_object(json.loads(arguments)))
        except ValueError:
            return {}
    if isinstance(arguments, str):
        return dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    return dict(_object(arguments))


def _is_average(content: Mapping[str, Any], task: str) -> bool:
    """Whether a result is made of others in the same file: a group of subtasks, or lighteval's `all`."""
    results = content["results"]
    if task == "all" and any("|" in other for other in results):
        return True
    parts = _object(content.get("group_subtasks")).get(task)
    if isinstance(parts, list) and parts:
        return any(part in results for part in parts)
    if any(str(_object(metrics).get("alias", "")).startswith(" - ") for metrics in _parts_below(results, task)):
        return True
    groups = _object(content.get("groups"))
    return task in groups and any(other not in groups for other in results)


def _parts_below(results: Mapping[str, Any], task: str) -> list[Any]:
    """The results behind one that is not indented, up to the next such one: 0.4.0 shows groups so."""
    names = list(results)
    if str(_object(results[task]).get("alias", "")).startswith(" "):
        return []
    found = []
    for name in names[names.index(task) + 1 :]:
        if not str(_object(results[name]).get("alias", "")).startswith(" "):
            break
        found.append(results[name])
    return found


def _is_detail(key: str) -> bool:
    return key.partition(",")[0] == "alias" or "_stderr" in key


def _row(file: Path, task: str, metrics: Mapping[str, Any], key: str, value: Any, left: Counter[str]) -> Row | None:
    """The metric, filter, score and standard error of one entry; None for what is not a score, counted in `left`."""
    metric, _, kind = key.partition(",")
    if metric not in _METRICS or not _is_number(value):
        return None
    error: Any = metrics.get(f"{metric}_stderr,{kind}" if kind else f"{metric}_stderr")
    scale: float = 0.01 if _is_percent(task, metrics, metric) else 1.0
    if not 0 <= value * scale <= 1:
        if metric in ("acc", "acc_norm"):
            raise ScoresError(
                f"{file}: {key} of {task} is {value:g}, yet harnesses write shares of 1, so other scores of the file "
                "may be percentages too. Divide them by 100, or import the file that the harness wrote."
            )
        # What is counted in percent without a sign of it, as rouge1 of some tasks, is left out and named.
        left[f"{task} ({key} {value:g}, no share of 1)"] += 1
        return None
    return {
        "metric": metric if kind in ("", "none") else f"{metric},{kind}",
        "filter": kind or "none",
        "score": value * scale,
        "standard_error": error * scale if _is_number(error) else None,
    }


def _is_percent(task: str, metrics: Mapping[str, Any], metric: str) -> bool:
    """SQuAD's official script, which has `exact` beside `f1`, counts in percent, and SCROLLS; every other in shares."""
    if task.startswith(_SCROLLS) and metric in _SCROLLS_PERCENT:
        return True
    exact = any(key.partition(",")[0] == "exact" for key in metrics)
    return metric in ("exact", "f1") and exact


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _object(value: Any) -> Mapping[str, Any]:
    """A JSON object, or an empty one for anything else: all but the results may be missing or odd."""
    return value if isinstance(value, dict) else {}


def result_files(folder: Path) -> Iterator[Path]:
    """The JSON files below a folder that may be results, by name; samples and hidden files are not."""
    for file in sorted(folder.rglob("*.json")):
        if not any(part.startswith(".") for part in file.relative_to(folder).parts):
            yield file
