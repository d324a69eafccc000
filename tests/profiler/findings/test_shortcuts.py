"""Words, forms and lengths that give a label away are named; those that mean it are not."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from traitcast.profiler.findings.checks import Finding
from traitcast.profiler.findings.search import find
from traitcast.profiler.reading.reader import read

WORDS = ["river", "stone", "cloud", "market", "garden", "winter", "letter", "window", "basket", "candle", "mirror"]
CUES = ("shortcut_labels", "label_keywords")


def sentence(rng: random.Random, length: int = 9) -> str:
    return " ".join(rng.choices(WORDS, k=length))


def found_in(path: Path, rows: list[dict[str, Any]]) -> dict[str, Finding]:
    path.mkdir(exist_ok=True)
    file = path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {finding.check: finding for finding in find(read(file), noise=False) if finding.check in CUES}


def single(rng: random.Random, rows: int = 300) -> list[dict[str, Any]]:
    return [{"text": sentence(rng), "label": rng.choice(["good", "bad"])} for _ in range(rows)]


def test_labels_without_a_cue_have_no_finding(tmp_path: Path) -> None:
    rng = random.Random(0)
    pairs = [{"premise": sentence(rng), "hypothesis": sentence(rng), "label": rng.choice("abc")} for _ in range(300)]
    assert found_in(tmp_path, single(rng)) == found_in(tmp_path, pairs) == {}


def test_a_word_is_named_with_its_label_and_rows(tmp_path: Path) -> None:
    rows = single(random.Random(1))
    bad = [at for at, row in enumerate(rows) if row["label"] == "bad"]
    for at in bad[:60]:
        rows[at]["text"] += " Reuters"
    rows[bad[60]]["text"] += " reuters,"
    good = next(row for row in rows if row["label"] == "good")
    good["text"] += " reuters"
    finding = found_in(tmp_path, rows)["label_keywords"]
    assert finding.rows.tolist() == [at + 1 for at in bad[:61]], "the rows that have the word and the label"
    share = f"{100 * 61 / len(bad):.1f} %"
    assert finding.detail == f"'reuters' means 'bad' in 61 of 62 rows ({share} of that label)"
    assert finding.severity == "info"


def test_a_word_that_is_the_name_of_its_label_is_the_task(tmp_path: Path) -> None:
    rows = single(random.Random(2))
    for row in rows:
        row["label"] = {"good": "card_payment", "bad": "refund"}[row["label"]]
        row["text"] += {"card_payment": " payments", "refund": " refunded"}[row["label"]]
    assert found_in(tmp_path, rows) == {}


def test_copies_do_not_make_a_word_frequent(tmp_path: Path) -> None:
    rows = single(random.Random(3), 200)
    rows += [{"text": "the very same reuters text", "label": "bad"}] * 60
    assert found_in(tmp_path, rows) == {}


def test_a_word_of_one_of_two_texts_is_worse(tmp_path: Path) -> None:
    rng = random.Random(4)
    labels = ("entailment", "neutral", "contradiction")
    rows = [{"premise": sentence(rng), "hypothesis": sentence(rng), "label": rng.choice(labels)} for _ in range(300)]
    for number, row in enumerate(rows):
        row["premise"] += " nobody"
        if row["label"] == "contradiction" and number % 2:
            row["hypothesis"] = "nobody " + row["hypothesis"]
    found = found_in(tmp_path, rows)
    assert set(found) == {"shortcut_labels"}
    assert found["shortcut_labels"].detail.startswith("'nobody' in hypothesis means 'contradiction' in ")
    assert found["shortcut_labels"].severity == "warning"


def test_forms_and_lengths_give_labels_away(tmp_path: Path) -> None:
    rng = random.Random(5)
    rows = single(rng)
    for row in rows:
        if row["label"] == "bad" and rng.random() < 0.5:
            row["text"] += " "
    finding = found_in(tmp_path, rows)["shortcut_labels"]
    assert finding.detail.startswith("a blank at the end means 'bad' in ")
    assert "; " not in finding.detail
    rows = [{**row, "text": sentence(rng, 20 if row["label"] == "bad" else 9)} for row in rows]
    detail = found_in(tmp_path, rows)["shortcut_labels"].detail
    assert detail.count("characters means") == 2, "one for each label"


def test_the_longest_option_may_be_the_right_one(tmp_path: Path) -> None:
    rng = random.Random(6)
    rows: list[dict[str, Any]] = []
    for _ in range(200):
        options = [sentence(rng, 2) for _ in range(4)]
        rows.append({"question": sentence(rng), "options": options, "answer": rng.randrange(4)})
    assert found_in(tmp_path, rows) == {}
    for row in rows[:120]:
        row["options"][row["answer"]] += " which is far longer than others"
    found = found_in(tmp_path, rows)["shortcut_labels"]
    assert found.detail.startswith("the longest option is right in ")
    assert found.detail.endswith("where 25.0 % would be chance")
    assert set(range(1, 121)) <= set(found.rows.tolist())


def test_chance_makes_no_cue(tmp_path: Path) -> None:
    """Of 2,000 words that 20 to 40 rows have, some fit a label well by chance."""
    rng = random.Random(7)
    words = [f"w{n}" for n in range(400)]
    rows = [{"text": " ".join(rng.sample(words, 12)), "label": rng.choice("ab")} for _ in range(800)]
    assert found_in(tmp_path, rows) == {}
