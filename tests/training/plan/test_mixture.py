"""Mixtures: rows of several datasets in their shares, worded as training would word them, whole or not at all."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from traitcast.profiler.reading.reader import read
from traitcast.training.plan.mixture import write_mixture
from traitcast.training.plan.planning import PlanSettings, read_dataset
from traitcast.training.plan.prompts import PromptSettings, body
from traitcast.warehouse.errors import InputError


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    moods = [{"text": f"the film {i} was fine", "label": ("bad", "good")[i % 2]} for i in range(60)]
    sums = [{"question": f"{i} + 1?", "answer": str(i + 1)} for i in range(40)]
    for name, rows in (("moods", moods), ("sums", sums)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return [str(tmp_path / "moods"), str(tmp_path / "sums")]


def test_rows_are_those_of_the_parents_in_their_shares(pair: list[str], tmp_path: Path) -> None:
    made = write_mixture(pair, tmp_path / "mixed", weights=(3, 1), rows=40, seed=1)
    assert (made.name, made.rows) == ("mixed", {"moods": 30, "sums": 10})
    mixed = read(str(tmp_path / "mixed"))
    assert {part.name: part.share for part in mixed.spec.mixture} == {"moods": 0.75, "sums": 0.25}
    assert {part.fingerprint for part in mixed.spec.mixture} == {read(dataset).fingerprint for dataset in pair}
    rows = [json.loads(line) for line in (tmp_path / "mixed" / "train.jsonl").read_text().splitlines()]
    assert Counter(row["from"] for row in rows) == {"moods": 30, "sums": 10}
    # Shuffled, each row once, with the prompt that the parent would be tuned on.
    assert [row["from"] for row in rows] != sorted(row["from"] for row in rows)
    for dataset in pair:
        _, packed, *_ = read_dataset(dataset, PlanSettings("smollm2", train_rows=100))
        known = {(body(packed.task, row, PromptSettings().list_labels_up_to), row.response) for row in packed.train}
        mine = [(row["prompt"], row["response"]) for row in rows if row["from"] == packed.task.name]
        assert len(mine) == len(set(mine))
        assert set(mine) < known
    assert any("Options:\n- bad\n- good" in row["prompt"] for row in rows)
    assert mixed.table.num_rows == 40


def test_rows_add_up_and_the_folder_may_be_the_present_one(
    pair: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_mixture(pair, tmp_path / "third", weights=(1, 2), rows=20)
    assert made.rows == {"moods": 7, "sums": 13}
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert write_mixture(pair, Path(), rows=11).name == "here"
    with pytest.raises(InputError, match="are none"):
        write_mixture(pair, tmp_path / "tiny", weights=(1e-320, 1))


def test_a_seed_gives_the_same_mixture(pair: list[str], tmp_path: Path) -> None:
    texts = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        made = write_mixture(pair, tmp_path / name, seed=seed)
        assert made.rows == {"moods": 40, "sums": 40}
        texts.append((made.folder / "train.jsonl").read_text())
    assert texts[0] == texts[1] != texts[2]


def test_what_is_refused(pair: list[str], tmp_path: Path) -> None:
    into = tmp_path / "mixed"
    with pytest.raises(InputError, match="two datasets or more; 1 was given"):
        write_mixture(pair[:1], into)
    with pytest.raises(InputError, match=r"weights are 1; give one positive number for each of the 2 datasets"):
        write_mixture(pair, into, weights=(1,))
    with pytest.raises(InputError, match=r"weights are 1,-1; give one positive number"):
        write_mixture(pair, into, weights=(1, -1))
    with pytest.raises(
        InputError, match=r"90% of 100 rows are 90, and sums has 40 training rows. Give at most --rows 44"
    ):
        write_mixture(pair, into, weights=(1, 9), rows=100)
    assert write_mixture(pair, tmp_path / "most", weights=(1, 9), rows=44).rows == {"moods": 4, "sums": 40}
    with pytest.raises(InputError, match="two datasets are called 'sums'"):
        write_mixture([pair[1], pair[1]], into)
    assert not into.exists()
    into.mkdir()
    (into / "mine.txt").write_text("kept")
    with pytest.raises(InputError, match="exists already"):
        write_mixture(pair, into)
    assert [path.name for path in into.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("mixture", ["[a, b]", "{a: 0}", "{a: yes}", "{}", "{1: 2}"])
def test_a_spec_with_a_bad_mixture_is_refused(mixture: str, pair: list[str], tmp_path: Path) -> None:
    folder = Path(pair[1])
    spec = f"task_type: generation\ntext_fields: [question]\nanswer_field: answer\nmixture: {mixture}\n"
    (folder / "dataset.yaml").write_text(spec, encoding="utf-8")
    with pytest.raises(InputError, match="mixture"):
        read(str(folder))
