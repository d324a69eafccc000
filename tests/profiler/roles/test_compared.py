"""Two responses and a verdict: every way to write one gives the same pairs, and what may mean either is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traitcast.profiler.leakage import other_splits
from traitcast.profiler.reading.reader import read
from traitcast.profiler.roles.compared import TIE, better, verdict_forms
from traitcast.profiler.roles.spec import DatasetSpec, parse_spec
from traitcast.warehouse.errors import InputError

N = 12
PROMPTS = [f"What does bike {i} cost in this shop?" for i in range(N)]
FIRST = [f"It costs {i} pounds" for i in range(N)]
SECOND = [f"Bike {i} is not for sale here" for i in range(N)]
# 0: the first is better, 1: the second, None: a tie.
BEST = [(0, 1, None)[i % 3] for i in range(N)]


def write(folder: Path, rows: Sequence[dict[str, Any]], name: str = "a.jsonl") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(first: str, second: str, verdict: str, words: dict[int | None, Any]) -> list[dict[str, Any]]:
    return [
        {"prompt": p, "id": i, first: a, second: b, verdict: words[best]}
        for i, (p, a, b, best) in enumerate(zip(PROMPTS, FIRST, SECOND, BEST, strict=True))
    ]


def pairs_of(path: Path, **how: Any) -> list[tuple[list[str], str, str]]:
    examples = read(path, **how)
    assert examples.spec.task_type == "preference"
    assert any(f"{N // 3} of {N} rows left out: a tie by " in warning for warning in examples.warnings)
    return [(row["fields"], row["response"], row["rejected"]) for row in examples.table.to_pylist()]


EXPECTED = [
    ([p], (a, b)[best], (b, a)[best])
    for p, a, b, best in zip(PROMPTS, FIRST, SECOND, BEST, strict=True)
    if best is not None
]
WAYS: dict[str, tuple[str, str, str, dict[int | None, Any]]] = {
    "arena": ("response_a", "response_b", "winner", {0: "model_a", 1: "model_b", None: "tie (bothbad)"}),
    "letters": ("answer_A", "answer_B", "preferred", {0: "A", 1: "B", None: "tie"}),
    "judge": ("assistant_a", "assistant_b", "verdict", {0: "[[A]]", 1: "[[B]]", None: "[[C]]"}),
    "camel": ("ResponseA", "ResponseB", "Winner", {0: "ResponseA", 1: "ResponseB", None: "Tie"}),
    "weak name": ("response_a", "response_b", "label", {0: "A", 1: "B", None: "both"}),
    "place": ("response_0", "response_1", "better_response_id", {0: 0, 1: 1, None: "tie"}),
    "number": ("output_1", "output_2", "preference", {0: 1, 1: 2, None: 0}),
    "number as float": ("output_1", "output_2", "preference", {0: 1.0, 1: 2.0, None: 0.0}),
    "name of a column": ("response-1", "response-2", "choice", {0: "response-1", 1: "response-2", None: "neither"}),
    "name from 0": ("response_0", "response_1", "choice", {0: "response_0", 1: "response_1", None: "same"}),
    "sign": ("response1", "response2", "overall_preference", {0: -2, 1: 3, None: 0}),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_verdict_gives_the_same_pairs(tmp_path: Path, way: str) -> None:
    assert pairs_of(write(tmp_path, rows_of(*WAYS[way]))) == EXPECTED


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    way=st.sampled_from(sorted(WAYS)),
    order=st.randoms(use_true_random=False),
    case=st.sampled_from([str.lower, str.upper, str.title]),
    more=st.booleans(),
)
def test_order_case_and_bookkeeping_change_nothing(
    tmp_path: Path, way: str, order: Any, case: Callable[[str], str], more: bool
) -> None:
    rows = [{case(name): value for name, value in row.items()} for row in rows_of(*WAYS[way])]
    if more:
        # Of the kind that a benchmark keeps: which models they were, and checksums of their texts.
        extra = ("model_a", "model_b", "response_0_sha256", "response_1_sha256")
        rows = [row | {name: f"{name[0]}{i}" for name in extra} for i, row in enumerate(rows)]
    names = list(rows[0])
    order.shuffle(names)
    assert pairs_of(write(tmp_path, [{name: row[name] for name in names} for row in rows])) == EXPECTED


SCORES: dict[int | None, tuple[float, float]] = {0: (0.5, -0.5), 1: (1, 3), None: (2, 2)}


@pytest.mark.parametrize(
    ("columns", "prompt"),
    [
        (("human_ref_A", "human_ref_B", "score_A", "score_B"), "history"),
        (("answer_0", "answer_1", "score_0", "score_1"), "question"),
        (("response_a", "response_b", "winner_model_a", "winner_model_b"), "prompt"),
    ],
)
def test_scores_say_which_is_better(tmp_path: Path, columns: tuple[str, ...], prompt: str) -> None:
    rows = [
        {prompt: p, "labels": int(best == 0), **dict(zip(columns, (a, b, *SCORES[best]), strict=True))}
        for p, a, b, best in zip(PROMPTS, FIRST, SECOND, BEST, strict=True)
    ]
    path = write(tmp_path, rows)
    assert pairs_of(path) == EXPECTED
    assert read(path).table["margin"].to_pylist()[:2] == ["1.0", "2.0"]


def test_prompts_inside_of_objects_chats_and_lists(tmp_path: Path) -> None:
    def both(make: Callable[[int], dict[str, Any]]) -> list[tuple[list[str], str, str]]:
        return pairs_of(write(tmp_path, [make(i) for i in range(N)]))

    def turn(who: str, said: str) -> dict[str, str]:
        return {"role": who, "content": said}

    winner = {0: "model_a", 1: "model_b", None: "tie"}
    assert (
        both(
            lambda i: {
                "info": {"id": f"x{i}", "post": PROMPTS[i]},
                "summaries": [{"text": FIRST[i], "policy": "a"}, {"text": SECOND[i], "policy": "b"}],
                "choice": "tie" if BEST[i] is None else BEST[i],
            }
        )
        == EXPECTED
    )
    assert (
        both(
            lambda i: {
                "conversation_a": [turn("user", PROMPTS[i]), turn("assistant", FIRST[i])],
                "conversation_b": [turn("user", PROMPTS[i]), turn("assistant", SECOND[i])],
                "model_a": f"model {i % 5}",
                "model_b": f"model {i % 4}",
                "winner": winner[BEST[i]],
            }
        )
        == EXPECTED
    )
    assert (
        both(
            lambda i: {
                "prompt": json.dumps([PROMPTS[i]]),
                "response_a": json.dumps([FIRST[i]]),
                "response_b": json.dumps([SECOND[i]]),
                "winner": winner[BEST[i]],
            }
        )
        == EXPECTED
    )


def test_two_responses_in_a_list(tmp_path: Path) -> None:
    def both(make: Callable[[int], dict[str, Any]]) -> list[tuple[list[str], str, str]]:
        return pairs_of(write(tmp_path, [{"prompt": PROMPTS[i], **make(i)} for i in range(N)]))

    place = {0: 0, 1: 1, None: "tie"}
    assert both(lambda i: {"responses": [FIRST[i], SECOND[i]], "chosen": place[BEST[i]]}) == EXPECTED
    grades = {0: [8.0, 7.5], 1: [3.0, 9.0], None: [5.0, 5.0]}
    assert both(lambda i: {"answer1": FIRST[i], "answer2": SECOND[i], "score": grades[BEST[i]]}) == EXPECTED


@pytest.mark.parametrize(
    ("columns", "words", "reason", "roles"),
    [
        (
            ("response_a", "response_b", "preference"),
            (0, 1),
            "'preference' says which of 'response_a' and 'response_b' is better, but not how",
            "task_type=preference text=prompt answer=preference options=response_a,response_b answer_form=index",
        ),
        (
            ("human_ref_A", "human_ref_B", "labels"),
            (0, 1),
            "the line below takes 0 for 'human_ref_B' and 1 for 'human_ref_A'",
            "task_type=preference text=prompt answer=labels options=human_ref_B,human_ref_A answer_form=index",
        ),
        (
            ("response_1", "response_2", "choice"),
            (0, 1),
            "for the other way round swap the two options",
            "task_type=preference text=prompt answer=choice options=response_1,response_2 answer_form=index",
        ),
        (
            ("response_a", "response_b", "preferred"),
            (True, False),
            "the line below takes 0 for 'response_a' and 1 for 'response_b'",
            "task_type=preference text=prompt answer=preferred options=response_a,response_b answer_form=index",
        ),
        (
            ("response_a", "response_b", "preference"),
            (-1, 1),
            "takes below 0 for 'response_a' and above 0 for 'response_b'",
            "task_type=preference text=prompt answer=preference options=response_a,response_b answer_form=sign",
        ),
        (
            ("response_a", "response_b", "winner"),
            ("gpt", "llama"),
            "its values name neither",
            "text=prompt,response_a,response_b label=winner",
        ),
    ],
)
def test_what_may_mean_either_is_asked(
    tmp_path: Path, columns: tuple[str, str, str], words: tuple[Any, Any], reason: str, roles: str
) -> None:
    path = write(tmp_path, rows_of(*columns, dict(zip((0, 1, None), (*words, words[0]), strict=True))))
    with pytest.raises(InputError) as caught:
        read(path)
    assert reason in str(caught.value)
    assert f"--roles '{roles}'" in str(caught.value)
    assert read(path, roles=[roles]).rows == N


def test_places_may_be_three_valued(tmp_path: Path) -> None:
    """0, 1 and 2 beside A and B: a tie may be the 0 or the 2."""
    assert verdict_forms([0, 1, 2], [("x", "y")] * 3, "winner", "ab") == ("number", "")
    assert verdict_forms([0, 1, 2], [("x", "y")] * 3, "winner", "12") == ("number",)
    assert verdict_forms(["x", "y"], [("x", "y")] * 2, "winner", "ab") == ("text",)
    assert verdict_forms(["tie", None], [("x", "y")] * 2, "winner", "ab") == ("letter",)
    spec = DatasetSpec("preference", ("p",), options_fields=("a", "b"), answer_field="w", answer_form="text")
    found = [better({"a": "x", "b": other, "w": w}, spec, "") for other, w in (("y", "y"), ("x", "x"), ("y", None))]
    assert found == [1, TIE, None]


def test_a_missing_response_is_counted(tmp_path: Path) -> None:
    rows = rows_of(*WAYS["arena"])
    rows[0]["response_b"] = None
    rows[1]["winner"] = ""
    found = read(write(tmp_path, rows))
    assert "2 of 12 rows dropped: no value in 'response_a, response_b, winner'" in found.warnings


def test_a_tie_may_be_0_or_2(tmp_path: Path) -> None:
    path = write(tmp_path, rows_of("response_a", "response_b", "preference", {0: 1, 1: 2, None: 0}))
    with pytest.raises(InputError, match="takes 1 for 'response_a' and 2 for 'response_b'"):
        read(path)


def test_a_verdict_that_names_neither_is_refused(tmp_path: Path) -> None:
    rows = rows_of(*WAYS["arena"])
    rows[7]["winner"] = "model_q"
    path = write(tmp_path, rows)
    roles = ["task_type=preference text=prompt options=response_a,response_b answer=winner answer_form=letter"]
    with pytest.raises(InputError, match=r"line 8: 'winner' holds 'model_q', which names none of response_a and "):
        read(path, roles=roles)
    with pytest.raises(InputError, match="'winner' has a tie in all of 12 rows, which prefers nothing"):
        read(write(tmp_path, [row | {"winner": "tie"} for row in rows]))
    with pytest.raises(InputError, match="'labels' may name the better of .* in several ways: add answer_form=index"):
        read(
            write(tmp_path, rows_of("a", "b", "labels", {0: 0, 1: 1, None: 1})),
            roles=["task_type=preference text=prompt options=a,b answer=labels"],
        )


def test_multiple_choice_and_pairs_of_sentences_stay_what_they_are(tmp_path: Path) -> None:
    for columns, task in (
        (("answer_a", "answer_b", "answer"), "multiple_choice"),
        (("choice1", "choice2", "label"), "multiple_choice"),
        (("sentence1", "sentence2", "label"), "classification"),
    ):
        words = {0: 0, 1: 1, None: 0} if "label" in columns else {0: "A", 1: "B", None: "A"}
        assert read(write(tmp_path, rows_of(*columns, words))).spec.task_type == task


def test_splits_are_compared(tmp_path: Path) -> None:
    rows = rows_of(*WAYS["arena"])
    write(tmp_path / "d", rows[:9], "train.jsonl")
    write(tmp_path / "d", rows[8:], "test.jsonl")
    assert {split: len(texts) for split, texts in other_splits(read(tmp_path / "d")).texts.items()} == {"test": 4}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"options_fields": ["a", "b"]}, "answer_field, the column that says which of options_fields is better"),
        ({"options_fields": ["a", "b", "c"], "answer_field": "w"}, "two options_fields"),
        ({"options_fields": ["a", "b"], "answer_field": "w", "chosen_field": "c"}, "and no other ones"),
        ({"options_fields": ["a", "b"], "answer_field": "w", "score_fields": ["x", "y"]}, "or two score_fields"),
        (
            {"options_fields": ["a", "b"], "answer_field": "w", "answer_form": "place"},
            "index, number, letter, text, sign",
        ),
    ],
)
def test_specs_that_do_not_fit(document: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_spec({"task_type": "preference", "text_fields": ["p"], **document})
