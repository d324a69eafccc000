"""Records lm_eval.json: what lm-evaluation-harness itself scores for the tiny model of conftest.py.

    python -m venv harness && harness/bin/pip install lm-eval torch transformers tokenizers
    harness/bin/python tests/training/engine/record_lm_eval.py

Needed again only when the tiny model, the tiny tokenizer or the prompt format changes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from conftest import make_model, make_tokenizer  # noqa: E402

from traitcast.training.plan.prompts import Prompter, Row, Task  # noqa: E402

SENTIMENT = Task(
    "sentiment",
    "classification",
    "accuracy",
    "Decide whether it is good.",
    ("sentence",),
    ("negative", "positive", "very positive"),
)
CHOICE = Task("choice", "multiple_choice", "accuracy", "Choose the right answer.", ("premise", "question"))
NOUNS = ("film", "actors", "plant", "soil", "apple", "question", "number", "water")


def rows_of(task: Task) -> list[Row]:
    """24 rows with options of one to many tokens, unlike in number."""
    rows = []
    for i in range(24):
        a, b = NOUNS[i % 8], NOUNS[(i * 3 + 1) % 8]
        if task.task_type == "classification":
            rows.append(Row((f"The {a} was {'good' if i % 2 else 'bad'} and the {b} too, {i} times.",), "", (), i % 3))
        else:
            options = (f"the {a}", f"{b} and {a} were good", f"{i * 7} dollars", b)[: 2 + i % 3]
            rows.append(Row((f"Some {a} is in the {b}.", f"What is {i} plus {a}?"), "", options, i % len(options)))
    return rows


def harness_task(task: Task, prompter: Prompter, folder: Path) -> dict[str, Any]:
    """A harness task over the exported prompts."""
    path = folder / f"{task.name}.jsonl"
    with path.open("w") as stream:
        for row in rows_of(task):
            line = {"prompt": prompter.text(task, row), "options": row.choices(task), "gold": row.gold}
            stream.write(json.dumps(line) + "\n")
    return {
        "task": task.name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{prompt}}",
        "doc_to_choice": "{{options}}",
        "doc_to_target": "{{gold}}",
        "target_delimiter": "" if prompter.chat else " ",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }


def record(*, chat: bool) -> dict[str, Any]:
    """What the harness gives for both tasks with plain or chat prompts."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM

    tokenizer = make_tokenizer(chat=chat)
    model = HFLM(pretrained=make_model(), tokenizer=tokenizer, batch_size=7, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        configs = [harness_task(task, Prompter(tokenizer), Path(folder)) for task in (SENTIMENT, CHOICE)]
        results = lm_eval.simple_evaluate(model, tasks=configs, log_samples=True, bootstrap_iters=0)
    recorded = {}
    for task in (SENTIMENT, CHOICE):
        samples = sorted(results["samples"][task.name], key=lambda sample: sample["doc_id"])
        recorded[task.name] = {
            "task_type": task.task_type,
            "instruction": task.instruction,
            "field_names": task.field_names,
            "labels": task.labels,
            "rows": [{"fields": r.fields, "options": r.options, "gold": r.gold} for r in rows_of(task)],
            "loglikelihoods": [[float(pair[0]) for pair in sample["filtered_resps"]] for sample in samples],
            "acc": results["results"][task.name]["acc,none"],
            "acc_norm": results["results"][task.name]["acc_norm,none"],
        }
    return recorded


def main() -> None:
    """Write the fixture."""
    import lm_eval

    recorded = {"lm_eval": lm_eval.__version__, "plain": record(chat=False), "chat": record(chat=True)}
    (HERE / "lm_eval.json").write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
