"""All checks on planted datasets: every planted row is found, by its number, and no other."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traitcast.profiler.findings import labels
from traitcast.profiler.findings.checks import Finding
from traitcast.profiler.findings.context import Context
from traitcast.profiler.findings.search import find
from traitcast.profiler.leakage import other_splits
from traitcast.profiler.reading.examples import Examples
from traitcast.profiler.reading.reader import read

WORDS = [
    *(
        "river",
        "stone",
        "cloud",
        "market",
        "garden",
        "winter",
        "letter",
        "window",
        "basket",
        "candle",
        "mirror",
        "pocket",
    ),
    *(
        "ladder",
        "bridge",
        "forest",
        "copper",
        "button",
        "carpet",
        "dinner",
        "engine",
        "fabric",
        "guitar",
        "hammer",
        "island",
    ),
    *("jacket", "kettle", "lemon", "marble", "needle", "orange", "pepper", "quartz"),
]


def sentence(rng: random.Random, length: int = 9) -> str:
    return " ".join(rng.choices(WORDS, k=length)) + "."


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def found_in(examples: Examples, **options: Any) -> list[Finding]:
    return find(examples, others=other_splits(examples), **options)


def by_check(path: Path, **options: Any) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for finding in found_in(read(path), **options):
        found[finding.check] = sorted({*found.get(finding.check, []), *finding.rows.tolist()})
    return found


def classified(seed: int = 0, rows: int = 200) -> list[dict[str, Any]]:
    """Clean rows: two classes that words like their names give away."""
    rng = random.Random(seed)
    signs = {"warm": ["warm", "warmer", "warmth"], "cold": ["cold", "colder", "coldest"]}
    labels = [rng.choice(["warm", "cold"]) for _ in range(rows)]
    return [
        {"text": f"{sentence(rng)} {rng.choice(signs[label])} {rng.choice(signs[label])}", "label": label}
        for label in labels
    ]


def test_a_clean_dataset_has_no_finding(tmp_path: Path) -> None:
    assert by_check(write(tmp_path / "clean.jsonl", classified())) == {}


@pytest.mark.parametrize("seed", range(3))
def test_planted_rows_are_found_and_no_others(tmp_path: Path, seed: int) -> None:
    rows, rng = classified(seed), random.Random(seed)
    places = rng.sample(range(20, 200), 9)
    other = {"warm": "cold", "cold": "warm"}
    rows[places[0]] = dict(rows[3])
    rows[places[1]] = {"text": rows[5]["text"].title() + "!", "label": other[rows[5]["label"]]}
    rows[places[2]]["text"] = "  "
    rows[places[3]]["text"] += " cafÃ© visit"
    rows[places[4]]["text"] += " mail me: jo@example.org"
    rows[places[5]]["text"] += " key AKIAIOSFODNN7EXAMPLE"
    rows[places[6]]["text"] = "a warm day,warm\na cold day,cold\nno day,warm"
    rows[places[7]]["text"] = "Сегодня очень холодный день"
    rows[places[8]]["text"] += "<br /><br />"
    found = by_check(write(tmp_path / "planted.jsonl", rows), noise=False)
    at = [place + 1 for place in places]
    assert found == {
        "exact_duplicate": [at[0]],
        "conflicting_labels": sorted([6, at[1]]),
        "empty_prompt": [at[2]],
        "wrong_encoding": [at[3]],
        "personal_data": [at[4]],
        "secret": [at[5]],
        "glued_rows": [at[6]],
        "other_script": [at[7]],
        "markup": [at[8]],
    }


def test_wrong_labels_are_contradicted(tmp_path: Path) -> None:
    rows = classified(1, 600)
    planted = random.Random(1).sample(range(600), 6)
    for place in planted:
        rows[place]["label"] = {"warm": "cold", "cold": "warm"}[rows[place]["label"]]
    found = by_check(write(tmp_path / "noisy.jsonl", rows))
    assert set(found) == {"label_noise"}
    hits = set(found["label_noise"])
    assert hits <= {place + 1 for place in planted}
    assert len(hits) >= 4
    rng = random.Random(2)
    for row in rows:
        row["label"] = rng.choice(["warm", "cold"])
    assert by_check(write(tmp_path / "random.jsonl", rows)) == {}, "a model that knows nothing contradicts nobody"


def test_leaks_between_splits_and_datasets(tmp_path: Path) -> None:
    rows = classified(3)
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "train.jsonl", rows)
    leaked = [{**rows[9], "text": rows[9]["text"].title()}, dict(rows[150])]
    test = [row for row in classified(4, 60) if row["text"] not in {r["text"] for r in rows}]
    write(folder / "test.jsonl", [*test, *leaked])
    found = found_in(read(folder), noise=False)
    assert [(f.check, f.rows.tolist(), f.detail) for f in found] == [
        ("split_leak", [10, 151], f"2 of {len(test) + 2} in 'test'")
    ]
    benchmark = read(write(tmp_path / "benchmark.jsonl", [*classified(5, 30), rows[0]]))
    against = find(read(folder), noise=False, against={"benchmark": benchmark})
    assert [(f.check, f.rows.tolist(), f.detail) for f in against] == [("contamination", [1], "benchmark")]


def test_responses_that_are_cut_refuse_or_open_alike(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [{"prompt": sentence(rng), "response": sentence(rng, rng.randint(8, 30))} for _ in range(200)]
    assert by_check(write(tmp_path / "clean.jsonl", rows)) == {}
    for place in range(0, 200, 20):
        rows[place]["response"] = (sentence(rng, 60))[:250].rstrip().ljust(250, "x")
    rows[7]["response"] = "I'm sorry, but I can't help with that."
    rows[11]["response"] = ""
    found = by_check(write(tmp_path / "cut.jsonl", rows))
    assert found == {"cut_response": list(range(1, 200, 20)), "refusal": [8], "empty_response": [12]}
    for row in rows[:60]:
        row["response"] = "Sure, here is my answer: " + sentence(rng, rng.randint(8, 30))
    findings = {f.check: f for f in found_in(read(write(tmp_path / "open.jsonl", rows)))}
    assert findings["shared_opening"].rows.tolist() == list(range(1, 61))
    assert findings["shared_opening"].detail == "60 as in row 1"


def test_lengths_far_out_and_rare_classes(tmp_path: Path) -> None:
    rows, rng = classified(6), random.Random(6)
    for row in rows:
        row["text"] += " " + sentence(rng, rng.randint(1, 20))
    rows[50]["text"] = sentence(rng, 9000)
    rows[60]["label"] = "mild"
    found = {f.check: f for f in find(read(write(tmp_path / "odd.jsonl", rows)), noise=False)}
    assert set(found) == {"length_outlier", "rare_class"}
    assert found["length_outlier"].rows.tolist() == [51]
    assert found["length_outlier"].sentence.startswith("1 row (0.5 %) is far longer or shorter than the others: 1 long")
    assert found["rare_class"].sentence == "1 row (0.5 %) belongs to a class with fewer than 5 rows: 'mild' 1"


def test_equal_prompts_may_have_different_free_answers(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [{"prompt": "Tell me a story.", "response": sentence(rng)} for _ in range(40)]
    assert "conflicting_labels" not in by_check(write(tmp_path / "stories.jsonl", rows))


def test_rows_that_nearly_repeat_another_are_found_once(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [{"prompt": sentence(rng, 20), "response": sentence(rng, 12)} for _ in range(60)]
    rows[20] = {key: "Well, " + text for key, text in rows[4].items()}
    rows[30] = {key: "Well, " + text for key, text in rows[20].items()}
    rows[40] = {"prompt": "So " + rows[5]["prompt"], "response": sentence(rng, 12)}
    rows[50] = {"prompt": rows[6]["prompt"].title(), "response": rows[6]["response"]}
    findings = {f.check: f for f in found_in(read(write(tmp_path / "near.jsonl", rows)))}
    assert set(findings) == {"near_duplicate"}, "row 41 answers otherwise"
    assert findings["near_duplicate"].rows.tolist() == [21, 31, 51], "row 31 is near 21, which goes, and 5, which stays"
    assert findings["near_duplicate"].detail == "row 21 is like row 5"


def test_a_question_about_the_same_passage_is_another_row(tmp_path: Path) -> None:
    rng = random.Random(0)
    passage = sentence(rng, 200)
    rows = [{"context": passage, "question": sentence(rng, 6), "answer": "a"} for _ in range(30)]
    rows[12]["question"] = rows[3]["question"] + "?"
    assert by_check(write(tmp_path / "passage.jsonl", rows))["near_duplicate"] == [13]


def test_near_leaks_between_splits_and_datasets(tmp_path: Path) -> None:
    rows = classified(3)
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "train.jsonl", rows)
    test = [{**row, "text": row["text"] + " really"} for row in (rows[9], rows[20])] + [rows[30], *classified(4, 30)]
    write(folder / "test.jsonl", test)
    found = {f.check: f for f in found_in(read(folder), noise=False)}
    assert {check: f.rows.tolist() for check, f in found.items()} == {"split_leak": [31], "near_split_leak": [10, 21]}
    assert found["near_split_leak"].detail == "2 like one of the 33 compared in 'test'"
    benchmark = {"bench": read(write(tmp_path / "bench.jsonl", test))}
    found = {f.check: f for f in find(read(folder), noise=False, against=benchmark)}
    assert {check: f.rows.tolist() for check, f in found.items()} == {
        "contamination": [31],
        "near_contamination": [10, 21],
    }


def test_texts_in_another_language_are_found(tmp_path: Path) -> None:
    rows = [
        {"text": f"this is the {n} time that we have been to the {sentence(random.Random(n))}", "label": "ab"[n % 2]}
        for n in range(60)
    ]
    rows[5]["text"] = (
        "Wir haben die Stadt schon so oft gesehen und wollen nun auch einmal etwas anderes machen, aber noch nicht "
        "heute, denn wir haben keine Zeit."
    )
    rows[9]["text"] = (
        "Les enfants vont avec leur mère dans le jardin, puis ils sont sur la place où nous avons été hier soir tous"
    )
    found = {f.check: f for f in found_in(read(write(tmp_path / "mixed.jsonl", rows)), noise=False)}
    assert found["other_language"].rows.tolist() == [6, 10]
    assert found["other_language"].detail == "de 1, fr 1"
    german = write(
        tmp_path / "german.jsonl", [rows[5] | {"text": f"{rows[5]['text']} {n}"} for n in range(30)] + rows[:1]
    )
    english = [
        *rows[:1],
        {"text": rows[0]["text"] + " and it is what they have for us, as you would know by now", "label": "a"},
    ]
    write(
        german,
        [{"text": f"{rows[5]['text']} {sentence(random.Random(n))}", "label": "ab"[n % 2]} for n in range(30)]
        + english,
    )
    found = {f.check: f for f in found_in(read(german), noise=False)}
    assert found["other_language"].detail == "en 1"


def test_faults_of_conversations_are_found_by_the_numbers_of_their_rows(tmp_path: Path) -> None:
    rng = random.Random(0)

    def chat(*speakers: str) -> list[dict[str, str]]:
        return [{"role": speaker, "content": sentence(rng)} for speaker in speakers]

    rows = [chat("system", "user", "assistant") for _ in range(20)]
    rows[3] = [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]
    rows[7], rows[9] = chat("user", "user", "assistant"), chat("user", "system", "user", "assistant")
    found = by_check(write(tmp_path / "chats.jsonl", [{"messages": row} for row in rows]))
    expected = {"empty_row": [4], "turn_order": [8], "late_system": [10]}
    assert found == expected, "row 4 is dropped, and counts"


def test_judged_responses_are_texts_and_not_classes(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [{"prompt": sentence(rng), "completion": sentence(rng, 12), "label": n % 2 == 0} for n in range(60)]
    rows[20]["prompt"] = rows[3]["prompt"]
    rows[30]["completion"] = "Write to jo@example.org, please."
    rows[40] = {**rows[6], "label": False}
    assert by_check(write(tmp_path / "judged.jsonl", rows)) == {"personal_data": [31], "conflicting_labels": [7, 41]}


def test_pairs_are_the_same_with_the_same_response_that_was_rejected(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [{"prompt": sentence(rng), "chosen": sentence(rng), "rejected": sentence(rng)} for _ in range(60)]
    rows[20] = {**rows[3], "rejected": sentence(rng)}
    rows[30] = dict(rows[4])
    rows[40] = {"prompt": rows[5]["prompt"], "chosen": rows[5]["rejected"], "rejected": rows[5]["chosen"]}
    rows[50]["rejected"] = f" {rows[50]['chosen']} "
    rows[55]["rejected"] = sentence(rng, 400)
    found = by_check(write(tmp_path / "pairs.jsonl", rows), context=Context(300))
    expected = {"exact_duplicate": [31], "turned_pair": [6, 41], "equal_pair": [51], "over_context": [56]}
    assert found == expected


def test_copies_are_in_one_fold_and_classes_in_all() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [400, 80, 40])
    groups = np.concatenate([np.arange(500), rng.integers(0, 500, 20)])
    folds = labels._folds(y, groups, 0)
    assert all(len(set(folds[groups == group])) == 1 for group in range(500))
    counts = np.stack([np.bincount(folds[y == label], minlength=labels.FOLDS) for label in range(3)])
    assert (counts.min(axis=1) >= [90, 15, 5]).all()
    assert (folds != labels._folds(y, groups, 1)).any()


def test_signs_tell_prompts_apart(tmp_path: Path) -> None:
    """What differs in ">" alone is another question; what differs in a full stop is not."""
    for one, other, same in (
        ("{} > 7", "{} < 7", False),
        ("C{}", "C{}++", False),
        ("so {} :)", "so {} :(", False),
        ("<< A >> {} [[ B ]]", "A {} << [[ B ]] >>", False),
        ("is it {}?", "is it {}", True),
    ):
        rows = [{"text": (one, other)[at % 2].format(at // 2), "label": "yn"[at % 2]} for at in range(60)]
        assert ("conflicting_labels" in by_check(write(tmp_path / "a.jsonl", rows))) is same, one


def test_two_spellings_of_a_label_are_no_contradiction(tmp_path: Path) -> None:
    rows = [{"text": f"ticket {at // 2}", "label": ("Late", "late")[at % 2]} for at in range(60)]
    assert "conflicting_labels" not in by_check(write(tmp_path / "a.jsonl", rows))
    rows[1]["label"] = "lost"
    assert by_check(write(tmp_path / "a.jsonl", rows))["conflicting_labels"] == [1, 2]
