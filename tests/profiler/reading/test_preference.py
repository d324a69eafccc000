"""Preference data in every layout: the same rows, and traits that a plain calculation gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traitcast.profiler.leakage import other_splits
from traitcast.profiler.passes.all_rows import count_rows
from traitcast.profiler.profile import profile
from traitcast.profiler.reading.reader import read
from traitcast.profiler.roles.spec import DatasetSpec, parse_spec
from traitcast.profiler.variants import write_variants
from traitcast.training.plan.planning import PlanSettings, plan
from traitcast.warehouse import dataset_card
from traitcast.warehouse.commands.datasets import _heading
from traitcast.warehouse.errors import InputError

PAIRS = [
    (f"What is {i}?", f"it is {i}" + " indeed" * (i % 3), f"{i} is nothing" * (1 + i % 2), float(i % 5) - 1)
    for i in range(12)
]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


Shape = Callable[[str, str, str], dict[str, Any]]
SHAPES: dict[str, Shape] = {
    "text": lambda p, c, r: {"prompt": p, "chosen": c, "rejected": r},
    "question": lambda p, c, r: {"question": p, "chosen": c, "rejected": r, "id": p},
    "other names": lambda p, c, r: {"instruction": p, "response_chosen": c, "response_rejected": r},
    "turns": lambda p, c, r: {"prompt": [user(p)], "chosen": [assistant(c)], "rejected": [assistant(r)]},
    "whole chats": lambda p, c, r: {"chosen": [user(p), assistant(c)], "rejected": [user(p), assistant(r)]},
    "whole chats beside the prompt": lambda p, c, r: {
        "prompt": p,
        "prompt_id": p[:9],
        "chosen": [user(p), assistant(c)],
        "rejected": [user(p), assistant(r)],
    },
    "sharegpt": lambda p, c, r: {
        "conversations": [{"from": "human", "value": p}],
        "chosen": {"from": "gpt", "value": c},
        "rejected": {"from": "gpt", "value": r},
    },
    "chats as text": lambda p, c, r: {
        "chosen": json.dumps([user(p), assistant(c)]),
        "rejected": json.dumps([user(p), assistant(r)]),
    },
    "dialogues": lambda p, c, r: {
        "chosen": f"\n\nHuman: {p}\n\nAssistant: {c}",
        "rejected": f"\n\nHuman: {p}\n\nAssistant: {r}",
    },
}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("shape", SHAPES)
def test_every_layout_gives_the_same_rows(tmp_path: Path, shape: str) -> None:
    examples = read(write(tmp_path / "a.jsonl", [SHAPES[shape](p, c, r) for p, c, r, _ in PAIRS]))
    assert examples.spec.task_type == "preference"
    found = examples.table.to_pylist()
    prompt = (lambda p: f"Human: {p}") if shape == "dialogues" else (lambda p: p)
    assert [(row["fields"], row["response"], row["rejected"]) for row in found] == [
        ([prompt(p)], c, r) for p, c, r, _ in PAIRS
    ]


def test_traits_are_those_of_a_plain_calculation(tmp_path: Path) -> None:
    rows = [{"prompt": p, "chosen": c, "rejected": r, "score_chosen": m, "score_rejected": 1} for p, c, r, m in PAIRS]
    examples = read(write(tmp_path / "a.jsonl", rows))
    assert examples.spec.score_fields == ("score_chosen", "score_rejected")
    found = {}
    for block in (3, 100):
        totals = count_rows(examples.table, np.zeros(0, np.int64), rows=block)
        found[block] = {name: estimate.value for name, estimate in totals.preferences.traits().items()}
    assert found[3] == found[100]
    gaps = [len(c) - len(r) for _, c, r, _ in PAIRS]
    shared = [len(set(c.split()) & set(r.split())) / len(set(c.split()) | set(r.split())) for _, c, r, _ in PAIRS]
    assert found[3] == pytest.approx(
        {
            "preference_length_gap": np.mean(gaps),
            "preference_longer_share": np.mean([1.0 if g > 0 else 0.5 if g == 0 else 0.0 for g in gaps]),
            "preference_rejected_overlap": np.mean(shared),
            "preference_margin_mean": np.mean([m - 1 for *_, m in PAIRS]),
        }
    )


def test_a_profile_shows_its_pairs(tmp_path: Path) -> None:
    rows = [{"prompt": p, "chosen": c, "rejected": r, "margin": 2.5} for p, c, r, _ in PAIRS]
    examples = read(write(tmp_path / "a.jsonl", rows))
    found = profile(examples, processes=1)
    gaps = [len(c) - len(r) for _, c, r, _ in PAIRS]
    shorter = f"has {-sum(gaps) / len(gaps):.1f} characters fewer on average, and is longer in "
    assert f"{shorter}{sum((g > 0) + (g == 0) / 2 for g in gaps) / len(gaps):.0%}" in _heading(found)
    assert "mean margin 2.5" in _heading(found)
    assert "| margin mean | 2.5 |" in dataset_card._pairs(found)
    plain = read(write(tmp_path / "b.jsonl", [{"prompt": p, "completion": c} for p, c, *_ in PAIRS]))
    other = profile(plain, processes=1)
    assert "pairs:" not in _heading(other)
    assert dataset_card._pairs(other) == ""
    assert not [t for t in other.traits if t.trait.startswith("response_preference_")], "it is the profile of before"


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.text(max_size=8), st.text(max_size=8), st.sampled_from([None, -1.5, 0.0, 2.0])),
        min_size=1,
        max_size=8,
    )
)
def test_any_pairs_merge_and_stay_in_range(pairs: list[tuple[str, str, float | None]]) -> None:
    import pyarrow as pa

    from traitcast.profiler.reading.examples import table_schema

    spec = DatasetSpec("preference", ("p",), chosen_field="c", rejected_field="r")
    rows = [
        {
            "fields": ["p"],
            "options": None,
            "response": c,
            "label": None,
            "rejected": r,
            "margin": None if m is None else repr(m),
        }
        for c, r, m in pairs
    ]
    table = pa.Table.from_pylist(rows, schema=table_schema(spec))
    one, many = (count_rows(table, np.zeros(0, np.int64), rows=n).preferences.traits() for n in (100, 1))
    assert one == many
    longer, overlap = one["preference_longer_share"].value, one["preference_rejected_overlap"].value
    assert longer is not None
    assert 0 <= longer <= 1
    assert overlap is None or 0 <= overlap <= 1


def test_a_prompt_inside_of_the_chats_is_not_said_to_be_left_out(tmp_path: Path) -> None:
    long = [(f"{p} and tell me more about that number, please", c, r) for p, c, r, _ in PAIRS]
    rows = [SHAPES["whole chats beside the prompt"](p, c, r) for p, c, r in long]
    assert read(write(tmp_path / "a.jsonl", rows)).left_out == ()


@pytest.mark.parametrize("label", [[True, False], ["true", "false"], ["True", "False"]])
@pytest.mark.parametrize("chat", [False, True])
def test_responses_that_were_judged_one_by_one(tmp_path: Path, label: list[Any], chat: bool) -> None:
    said = (lambda text: [assistant(text)]) if chat else (lambda text: text)
    asked = (lambda text: [user(text)]) if chat else (lambda text: text)
    rows = [{"prompt": asked(p), "completion": said(c), "label": label[i % 2]} for i, (p, c, *_) in enumerate(PAIRS)]
    examples = read(write(tmp_path / "a" / "train.jsonl", rows))
    assert examples.spec.task_type == "preference"
    assert examples.table.column_names == ["fields", "options", "response", "label"]
    assert examples.table["response"].to_pylist() == [c for _, c, *_ in PAIRS]
    assert {str(name).lower() for name in examples.table["label"].to_pylist()} == {"true", "false"}


def test_whole_conversations_that_were_judged(tmp_path: Path) -> None:
    rows = [{"messages": [user(p), assistant(c)], "label": i % 2 == 0} for i, (p, c, *_) in enumerate(PAIRS)]
    examples = read(write(tmp_path / "a.jsonl", rows))
    assert examples.spec.task_type == "preference"
    found = examples.table.slice(0, 1).to_pylist()[0]
    assert (found["fields"], found["response"], found["label"]) == ([PAIRS[0][0]], PAIRS[0][1], "true")


RANKED: dict[str, Shape] = {
    "scores": lambda p, c, r: {"prompt": p, "responses": [c, "so so", r], "scores": [3, 2.5, 1]},
    "ranks": lambda p, c, r: {"prompt": p, "completions": [c, "so so", r], "ranks": [1, 2, 3]},
    "objects": lambda p, c, r: {"question": p, "answers": [{"answer": c, "rank": 1}, {"answer": r, "rank": 2}]},
    "graded": lambda p, c, r: {
        "instruction": p,
        "completions": [{"response": c, "model": "m", "overall_score": 9.0}, {"response": r, "overall_score": 1}],
    },
}


@pytest.mark.parametrize("shape", RANKED)
def test_a_ranked_list_is_its_best_and_its_worst(tmp_path: Path, shape: str) -> None:
    rows = [RANKED[shape](p, c, r) for p, c, r, _ in PAIRS]
    examples = read(write(tmp_path / "a.jsonl", rows))
    found = [(row["fields"], row["response"], row["rejected"]) for row in examples.table.to_pylist()]
    assert found == [([p], c, r) for p, c, r, _ in PAIRS]
    for row in rows[:2]:
        for value in row.values():
            if isinstance(value, list):
                value.reverse()
    rows[0] |= {"scores": [1, 2, 3]} if "scores" in rows[0] else {}
    rows[1] |= {"scores": [1, 2, 3]} if "scores" in rows[1] else {}
    with pytest.raises(InputError, match="are not sorted by '.*', the best one first; sort them"):
        read(write(tmp_path / "b.jsonl", rows))


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        (("messages", "rejected_response"), {"chosen_field": "messages", "rejected_field": "rejected_response"}),
        (("prompt", "answer", "is_good"), {"answer_field": "answer", "label_field": "is_good"}),
        (("query", "positive", "negative"), {"chosen_field": "positive", "rejected_field": "negative"}),
        (("query", "pos", "neg"), {"chosen_field": "pos[0]", "rejected_field": "neg[0]"}),
        (("question", "response_j", "response_k"), {"chosen_field": "response_j", "rejected_field": "response_k"}),
        (("input", "preferred_output", "non_preferred_output"), {"messages_field": "input.messages"}),
        (("question", "pos_answer", "neg_answer"), {"chosen_field": "pos_answer.answer"}),
    ],
)
def test_other_names_of_preferences(tmp_path: Path, columns: tuple[str, ...], roles: dict[str, str]) -> None:
    def value(name: str, i: int) -> Any:
        p, c, r, _ = PAIRS[i]
        better = name in ("answer", "positive", "pos", "pos_answer", "response_j")
        said = c if better else p if name in ("prompt", "query", "question") else r
        special: dict[str, Any] = {
            "messages": [user(p), assistant(c)],
            "is_good": i % 2 == 0,
            "input": {"messages": [user(p)]},
            "preferred_output": [assistant(c)],
            "non_preferred_output": [assistant(r)],
            "pos": [said],
            "neg": [said],
            "pos_answer": {"answer": said, "score": 1.0},
            "neg_answer": {"answer": said, "score": 0.0},
        }
        return special.get(name, said)

    rows = [{name: value(name, i) for name in columns} for i in range(len(PAIRS))]
    examples = read(write(tmp_path / "a.jsonl", rows))
    assert examples.spec.task_type == "preference"
    assert {key: getattr(examples.spec, key) for key in roles} == roles
    assert examples.table["response"].to_pylist() == [c for _, c, *_ in PAIRS]
    assert examples.table["fields"][0].as_py() == [PAIRS[0][0]]


@pytest.mark.parametrize(
    ("columns", "reason", "roles"),
    [
        (
            {"instruction": str, "output": list},
            "'output' holds two responses a row",
            "text=instruction chosen=output[0] rejected=output[1]",
        ),
        (
            {"query": str, "pos": list, "neg": list},
            "'pos' and 'neg' hold several responses a row",
            "text=query chosen=pos[0] rejected=neg[0]",
        ),
    ],
)
def test_what_may_be_a_preference_is_asked_about(
    tmp_path: Path, columns: dict[str, type], reason: str, roles: str
) -> None:
    made = {
        str: lambda name, i: f"{name} {i} in some words",
        list: lambda name, i: [f"{name} {i} is so", f"{name} {i} is not so"],
    }
    path = write(tmp_path / "a.jsonl", [{n: made[kind](n, i) for n, kind in columns.items()} for i in range(60)])
    with pytest.raises(InputError) as caught:
        read(path)
    assert reason in str(caught.value)
    assert f"--roles '{roles}'" in str(caught.value)
    assert read(path, roles=[roles]).rows == 60


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    extra=st.sets(st.sampled_from(["id", "model", "created_at", "source_url", "uuid", "split"])),
    order=st.randoms(use_true_random=False),
    case=st.sampled_from([str.lower, str.title, str.upper]),
)
def test_order_case_and_bookkeeping_change_nothing(
    tmp_path: Path, shape: str, extra: set[str], order: Any, case: Callable[[str], str]
) -> None:
    rows = []
    for i, (p, c, r, _) in enumerate(PAIRS):
        row = {case(name): value for name, value in SHAPES[shape](p, c, r).items()}
        row |= {name: f"{name} {i % 3}" for name in extra if case(name) not in row and name not in row}
        rows.append(row)
    names = sorted(rows[0])
    order.shuffle(names)
    examples = read(write(tmp_path / "a.jsonl", [{name: row[name] for name in names} for row in rows]))
    found = [(row["fields"][-1], row["response"], row["rejected"]) for row in examples.table.to_pylist()]
    prompt = "Human: {}" if shape == "dialogues" else "{}"
    assert found == [(prompt.format(p), c, r) for p, c, r, _ in PAIRS]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    rows = [SHAPES["text"](p, c, r) for p, c, r, _ in PAIRS]
    rows[0]["rejected"] = None
    rows[1]["chosen"] = " "
    rows[2]["rejected"] = rows[2]["chosen"]
    examples = read(write(tmp_path / "a.jsonl", rows))
    assert examples.rows == 10
    assert "2 of 12 rows dropped: no value in 'chosen, rejected'" in examples.warnings
    assert "1 of 10 rows have the same text as both responses, which prefers nothing" in examples.warnings
    other = read(write(tmp_path / "b.jsonl", [*rows[:2], rows[2] | {"rejected": "x"}, *rows[3:]]))
    assert other.fingerprint != examples.fingerprint, "the rejected response is part of the content"


def test_stated_roles_and_specs(tmp_path: Path) -> None:
    rows = [{"ask": p, "good": c, "bad": r, "by": m} for p, c, r, m in PAIRS]
    path = write(tmp_path / "a.jsonl", rows)
    examples = read(path, roles=["text=ask chosen=good rejected=bad scores=by"])
    assert examples.table["margin"].to_pylist() == [repr(m) for *_, m in PAIRS]
    assert parse_spec({"text_fields": ["ask"], "answer_field": "good", "label_field": "by"}).task_type == "preference"
    for document, message in (
        (
            {"chosen_field": "a"},
            "preference needs either chosen_field and rejected_field, or answer_field .or messages",
        ),
        (
            {"chosen_field": "a", "rejected_field": "b", "score_fields": ["x", "y", "z"]},
            "one column of margins, or two",
        ),
        ({"chosen_field": "a", "rejected_field": "a"}, "'a' is given two roles"),
    ):
        with pytest.raises(InputError, match=message):
            parse_spec(document)
    with pytest.raises(InputError, match="hold .* expected numbers"):
        read(path, roles=["chosen=good rejected=bad scores=ask"])


def test_splits_are_compared_and_planned(tmp_path: Path) -> None:
    for split, part in (("train", PAIRS[:8]), ("test", PAIRS[6:])):
        write(tmp_path / "d" / f"{split}.jsonl", [SHAPES["whole chats"](p, c, r) for p, c, r, _ in part])
    examples = read(tmp_path / "d")
    assert {split: len(texts) for split, texts in other_splits(examples).texts.items()} == {"test": 6}
    told: list[str] = []
    made = plan(
        tmp_path / "m",
        [str(tmp_path / "d")],
        PlanSettings("a/b", seeds=(0,)),
        on_warning=lambda _, warning: told.append(warning),
    )
    entry = made.recipe.datasets["d"]
    assert told == ["of preferences the better responses are learnt and tested on, as a generation"]
    assert (entry.task_type, entry.metric, entry.train_rows, entry.test_rows) == ("generation", "rouge_l", 8, 6)
    judged = [{"prompt": p, "completion": c, "label": i % 2 == 0} for i, (p, c, *_) in enumerate(PAIRS)]
    for split in ("train", "test"):
        write(tmp_path / "k" / f"{split}.jsonl", judged)
    entry = plan(tmp_path / "n", [str(tmp_path / "k")], PlanSettings("a/b", seeds=(0,))).recipe.datasets["k"]
    assert (entry.train_rows, entry.test_rows) == (6, 6), "a response that was judged to be bad is not learnt"
    with pytest.raises(InputError, match="preference"):
        write_variants(examples, tmp_path / "v", ["permute_labels"])
