"""A callback for the trainers of transformers and TRL: the profile of the training rows, and what they will do.

Owns finding the rows of a trainer and what is written beside the run. It never ends a run: what fails is a warning.
Needs an extra: pip install 'traitcast[train]'.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

import traitcast
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.profiled import Profiled

# Columns that a trainer makes of texts.
_TOKENS = frozenset(("input_ids", "attention_mask", "labels", "token_type_ids", "position_ids", "special_tokens_mask"))
_MASKS = ("completion_mask", "assistant_masks")
# Rows that are turned back into texts, which costs a millisecond each.
_DECODED = 5_000
_NO_LOSS = -100


class TraitcastCallback(TrainerCallback):
    """Profiles the training rows when training begins, and predicts what tuning on them does.

    Writes `traitcast/profile.json` and `traitcast/prediction.json` into the output folder of the run, and logs both to
    Weights & Biases and to MLflow where a run of theirs is active.

    Parameters
    ----------
    dataset
        The training rows as texts: a path, a hub id or data in memory, as `traitcast.profile` takes them. By default
        those of the trainer; where it holds tokens alone, up to 5,000 random rows are turned back into texts.
    targets
        What to predict for, by name; by default every target that the predictor was fitted to.
    name
        The name of the profile.
    warehouse
        DuckDB file for the profile; by default one beside the results.
    **options
        Further options of `traitcast.profile`, such as roles, split and rows.

    Examples
    --------
    >>> trainer = Trainer(model, args, train_dataset=rows, callbacks=[TraitcastCallback("my.jsonl")])  # doctest: +SKIP
    """

    def __init__(
        self,
        dataset: Any = None,
        *,
        targets: Sequence[str] = (),
        name: str = "training_rows",
        warehouse: str | Path | None = None,
        **options: Any,
    ) -> None:
        self.dataset, self.targets, self.name, self.options = dataset, tuple(targets), name, options
        self.warehouse = warehouse

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Profile, predict, write and log, in the first process of a run."""
        if not state.is_world_process_zero:
            return
        try:
            folder = Path(args.output_dir) / "traitcast"
            folder.mkdir(parents=True, exist_ok=True)
            profile = self._profile(folder, kwargs)
            found: dict[str, Any] = {"profile": _of_profile(profile)}
            _write(folder / "profile.json", found["profile"])
            found["prediction"] = self._predict(folder)
            _write(folder / "prediction.json", found["prediction"])
            _log(found)
        except Exception as error:
            warnings.warn(f"traitcast: {error}. Training goes on without it", stacklevel=2)

    def _file(self, folder: Path) -> Path:
        return Path(self.warehouse) if self.warehouse is not None else folder / "traitcast.duckdb"

    def _profile(self, folder: Path, kwargs: Mapping[str, Any]) -> Profiled:
        dataset, options = self.dataset, dict(self.options)
        if dataset is None:
            dataset, roles = _rows_of(kwargs)
            options = {"roles": roles, **options} if roles else options
        return traitcast.profile(dataset, warehouse=self._file(folder), name=self.name, **options)

    def _predict(self, folder: Path) -> list[dict[str, Any]]:
        warehouse = self._file(folder)
        if self.targets:
            found = [traitcast.predict(self.name, target, warehouse=warehouse) for target in self.targets]
        else:
            found = list(traitcast.impact(self.name, warehouse=warehouse))
        return [one.as_row() for one in found]


def _rows_of(kwargs: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The training rows of a trainer as a dataset, and their roles where these are known."""
    dataset = getattr(kwargs.get("train_dataloader"), "dataset", None)
    columns = list(getattr(dataset, "column_names", None) or ())
    if dataset is None or not columns:
        raise UserError(
            "the trainer holds no rows that can be read: name them, TraitcastCallback(dataset=PATH, hub id or rows)"
        )
    texts = [name for name in columns if name not in (*_TOKENS, *_MASKS)]
    if texts and any(isinstance(dataset[0][name], str | list) for name in texts):
        return dataset.select_columns(texts), ()
    if "input_ids" not in columns:
        raise UserError(f"the rows of the trainer have no texts and no input_ids (columns: {', '.join(columns)})")
    tokenizer = kwargs.get("processing_class") or kwargs.get("tokenizer")
    if tokenizer is None:
        raise UserError("the trainer has tokens and no tokenizer: name the rows, TraitcastCallback(dataset=...)")
    return _decoded(dataset, tokenizer)


def _decoded(dataset: Any, tokenizer: Any) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """Rows of tokens as texts: those that are trained on are the response, those before them the prompt.

    Rows in which no token is trained on are left out.
    """
    if len(dataset) > _DECODED:
        dataset = dataset.shuffle(seed=0).select(range(_DECODED))
    rows = []
    for row in dataset:
        tokens = [int(token) for token in row["input_ids"]]
        start = next((at for at, trained in enumerate(_trained(row, len(tokens))) if trained), None)
        if start is None:
            continue
        parts = (tokenizer.decode(some, skip_special_tokens=True).strip() for some in (tokens[:start], tokens[start:]))
        rows.append(dict(zip(("prompt", "response"), parts, strict=True)))
    if not rows:
        raise UserError("no token of the training rows is trained on (every label is -100): check how they are masked")
    prompted = any(row["prompt"] for row in rows)
    return rows, ("text=prompt answer=response",) if prompted else ("answer=response",)


def _trained(row: Mapping[str, Any], size: int) -> list[bool]:
    """Which tokens count for the loss."""
    mask = next((row[name] for name in _MASKS if name in row), None)
    if mask is not None:
        return [bool(one) for one in mask]
    labels = row.get("labels")
    return [int(one) != _NO_LOSS for one in labels] if labels is not None else [True] * size


def _of_profile(profile: Profiled) -> dict[str, Any]:
    return {
        "name": profile.name,
        "fingerprint": profile.fingerprint,
        "task_type": profile.task_type,
        "rows": profile.rows,
        "warnings": profile.details.get("warnings", []),
        "findings": [
            {"finding": one.finding, "severity": one.severity, "part": one.part, "count": one.count}
            | {"looked_at": one.looked_at, "message": one.message}
            for one in profile.findings
        ],
        "traits": {trait.trait: trait.value for trait in profile.traits},
    }


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _log(found: Mapping[str, Any]) -> None:
    """Into the runs of Weights & Biases and MLflow that are active; a library that is not imported has none."""
    summary = {f"traitcast/findings/{one['finding']}": one["count"] for one in found["profile"]["findings"]}
    summary |= {f"traitcast/gain/{one['target']}": one["gain"] for one in found["prediction"]}
    wandb, mlflow = sys.modules.get("wandb"), sys.modules.get("mlflow")
    if wandb is not None and getattr(wandb, "run", None) is not None:
        wandb.run.summary.update(summary)
    if mlflow is not None and mlflow.active_run() is not None:
        for name, value in found.items():
            mlflow.log_dict({"rows": value} if isinstance(value, list) else value, f"traitcast/{name}.json")
        mlflow.log_metrics({name: float(value) for name, value in summary.items() if value is not None})
