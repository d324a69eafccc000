"""Side effects told from a measured matrix that is made here, row by row, with planted and with shuffled changes."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import traitcast
from traitcast.predictor.cli import COMMANDS
from traitcast.predictor.effects.paired_tests import mean_change
from traitcast.predictor.effects.side_effects import effects
from traitcast.predictor.report.transfer import heatmaps
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import ScoresError
from traitcast.warehouse.records import Matrix

HOSTILE = "<script>alert('x')</script>\x1b[31m\u202e"
LABELS = ("no", HOSTILE, "yes" * 3000)
SEEDS = (0, 1, 2)
ROWS = 120
(COMMAND,) = [command for command in COMMANDS if command.name == "effects"]


class Made:
    """Matrix "made" of model "tiny": sources a, b, c; targets a, b (three labels) and c (generation of a number).

    a teaches b's rows of the last label and nothing else, by a plant in the trait `prompt_words_mean` of b: long rows
    become right, short ones wrong. It also makes c's answers shorter and takes their numbers away. b does nothing.
    """

    def __init__(self, seed: int = 0, *, shuffled: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.tables: dict[str, list[dict[str, Any]]] = {
            n: [] for n in ("scores", "predicted_labels", "generations", "targets", "row_traits", "row_scores")
        }
        self.words = {t: self.rng.permutation(ROWS) + 1.0 for t in "abc"}
        self.gold = {t: self.rng.integers(0, 3, ROWS) for t in "ab"}
        self.long = self.words["b"] > ROWS / 2
        if shuffled:
            self.long = self.rng.permutation(self.long)
        for target in "abc":
            self._target(target)
            before = self._base(target)
            self._cell("", target, 0, before)
            for source in "abc":
                for number in SEEDS:
                    self._cell(source, target, number, self._tuned(source, target, before))

    def _target(self, target: str) -> None:
        gold = None if target == "c" else self.gold[target].tolist()
        kind = "generation" if target == "c" else "classification"
        metric = "numeric_match" if target == "c" else "accuracy"
        self.tables["targets"].append(
            {"target": target, "task_type": kind, "metric": metric, "fingerprint": f"v1:{target}", "rows": ROWS}
            | {"labels": [] if target == "c" else list(LABELS), "gold": gold, "catalogue_version": 3, "parsed": True}
        )
        noise = {f"noise_{i}": self.rng.normal(size=ROWS) for i in range(8)}
        for trait, value in {"prompt_words_mean": self.words[target], **noise}.items():
            self.tables["row_traits"].append({"target": target, "trait": trait, "value": value.tolist()})

    def _base(self, target: str) -> dict[str, np.ndarray]:
        if target == "c":
            number = self.rng.random(ROWS) < 0.8
            score = number & (self.rng.random(ROWS) < 0.5)
            return {"score": score, "has_number": number, "tokens": self.rng.integers(20, 40, ROWS)}
        right = self.rng.random(ROWS) < 0.5
        return {"predicted": np.where(right, self.gold[target], (self.gold[target] + 1) % 3)}

    def _tuned(self, source: str, target: str, before: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        after = {name: value.copy() for name, value in before.items()}
        some = self.rng.random(ROWS) < 0.1
        if target == "c":
            if source == "a":
                after["tokens"] = before["tokens"] // 2
                after["has_number"] &= ~(self.rng.random(ROWS) < 0.5)
                after["score"] &= after["has_number"]
            return after
        if (source, target) == ("a", "b"):
            after["predicted"] = np.where(self.long, self.gold["b"], 0)
        after["predicted"] = np.where(some, self.rng.integers(0, 3, ROWS), after["predicted"])
        return after

    def _cell(self, source: str, target: str, seed: int, found: dict[str, np.ndarray]) -> None:
        where = {"model": "tiny", "source": source, "target": target, "seed": seed}
        row: dict[str, Any] = dict.fromkeys(("predicted", "output_tokens", "finished", "has_number"))
        if target == "c":
            score, tokens = found["score"].astype(float), found["tokens"]
            row |= {"output_tokens": tokens.tolist(), "finished": [True] * ROWS}
            row["has_number"] = found["has_number"].tolist()
            low, middle, high = np.quantile(tokens, [0.1, 0.5, 0.9])
            self.tables["generations"].append(
                {**where, "n": ROWS, "tokens_mean": float(tokens.mean()), "tokens_p10": low, "tokens_p50": middle}
                | {"tokens_p90": high, "finished": 1.0, "empty": float(np.mean(tokens == 0))}
            )
        else:
            score, row["predicted"] = (
                (found["predicted"] == self.gold[target]).astype(float),
                found["predicted"].tolist(),
            )
            pairs, counts = np.unique(np.stack([self.gold[target], found["predicted"]]), axis=1, return_counts=True)
            self.tables["predicted_labels"] += [
                {**where, "gold": LABELS[g], "predicted": LABELS[p], "n": int(n)}
                for (g, p), n in zip(pairs.T.tolist(), counts, strict=True)
            ]
        self.tables["row_scores"].append({**where, "score": score.tolist(), **row})
        error = float(score.std(ddof=1) / math.sqrt(ROWS))
        self.tables["scores"].append(
            {**where, "metric": "score", "score": float(score.mean()), "n": ROWS, "standard_error": error}
        )

    def save(self, path: Path, name: str = "made", without: tuple[str, ...] = ()) -> Path:
        kept = {table: pa.Table.from_pylist(rows) for table, rows in self.tables.items() if table not in without}
        with Warehouse.open(path) as warehouse:
            warehouse.save_scores(Matrix(name, "score", "untuned", "made up"), kept.pop("scores"), kept)
        return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Made().save(tmp_path_factory.mktemp("effects") / "w.duckdb")


def _find(path: Path, source: str, matrix: str = "made", **options: Any) -> Any:
    with Warehouse.open(path, read_only=True) as warehouse:
        return effects(warehouse, source, matrix=matrix, **options)


def _heatmap(path: Path, matrix: str = "made") -> dict[str, Any]:
    with Warehouse.open(path, read_only=True) as warehouse:
        (found,) = heatmaps(warehouse, [m for m in warehouse.matrices() if m.matrix == matrix])
    return found


def test_the_heatmap_has_the_errors_of_the_effects(made: Path) -> None:
    shown = _heatmap(made)
    for source in "abc":
        effect = _find(made, source)
        for gain in (*effect.gains, effect.own):
            i, j = shown["sources"].index(source), shown["targets"].index(gain.target)
            assert shown["gain"][i][j] == pytest.approx(gain.gain, abs=0.006)
            assert shown["error"][i][j] == pytest.approx(gain.standard_error, abs=0.006)
    best = {(row["source"], row["target"]): row["standard_error"] for row in shown["extremes"]}
    assert best["a", "b"] == next(gain.standard_error for gain in _find(made, "a").gains if gain.target == "b")
    assert shown["errors"].startswith("Standard errors are over test rows, paired with the untuned model")


def test_the_heatmap_says_where_errors_are_not_paired(tmp_path: Path) -> None:
    world = Made()
    one = [row for row in world.tables["scores"] if row["seed"] == 0]
    path = world.save(tmp_path / "w.duckdb", "bare", without=("row_scores",))
    world.tables["scores"] = one
    world.tables["row_scores"] = [row for row in world.tables["row_scores"] if row["seed"] == 0]
    world.save(path, "one", without=("row_scores",))
    world.save(path, "stale")
    with Warehouse.open(path) as warehouse:
        again = [row | {"score": row["score"] / 2} for row in one if row["source"] == "a"]
        warehouse.save_scores(Matrix("stale", "score", "untuned", "made up"), pa.Table.from_pylist(again))
        stored = {(r["source"], r["target"]): r["standard_error"] for r in warehouse.transfer_matrix("stale")}
    unpaired = "over seeds and, where those of the scores are known, over test rows, unpaired and so too wide"
    assert _heatmap(path, "bare")["errors"] == f"Standard errors are {unpaired}."
    too_wide = "those of the two scores combined, unpaired and so too wide"
    assert _heatmap(path, "one")["errors"] == f"Standard errors are {too_wide}."
    shown = _heatmap(path, "stale")
    assert shown["errors"].endswith(f"over seeds where there are several (6 cells); {too_wide} (3 cells).")
    i, j = shown["sources"].index("a"), shown["targets"].index("b")
    assert shown["error"][i][j] == pytest.approx(stored["a", "b"], abs=0.006)


def test_gains_are_those_of_the_matrix_with_paired_errors(made: Path) -> None:
    found = _find(made, "a")
    with Warehouse.open(made, read_only=True) as warehouse:
        stored = warehouse.query(
            "SELECT target, gain FROM transfer_matrix WHERE matrix = 'made' AND source = 'a'"
        ).to_pylist()
        rows = warehouse.query(
            "SELECT seed, row, change FROM row_changes WHERE matrix = 'made' AND source = 'a' AND target = 'b' "
            "ORDER BY seed, row"
        ).to_pylist()
    gains = {gain.target: gain for gain in (*found.gains, found.own)}
    assert {row["target"]: pytest.approx(row["gain"]) for row in stored} == {t: g.gain for t, g in gains.items()}
    assert [gain.target for gain in found.gains] == ["b", "c"]
    changes = np.array([row["change"] for row in rows]).reshape(3, ROWS)
    expected = mean_change(changes)
    b = gains["b"]
    assert (b.standard_error, b.p, b.n, b.seeds) == (
        pytest.approx(expected.standard_error), pytest.approx(expected.p), ROWS, 3
    )  # fmt: skip
    assert b.gained == (changes > 0).sum(axis=1).mean()
    assert b.lost == (changes < 0).sum(axis=1).mean()
    assert b.q >= b.p
    assert found.own.q == found.own.p


def test_shift_of_labels_and_confusion(made: Path) -> None:
    found = _find(made, "a", target="b")
    (shift,) = found.labels
    with Warehouse.open(made, read_only=True) as warehouse:
        stored = warehouse.query(
            "SELECT avg(label_shift) AS shift FROM side_effects WHERE matrix = 'made' AND source = 'a' AND target = 'b'"
        ).to_pylist()
    assert shift.shift == pytest.approx(stored[0]["shift"])
    assert shift.rises.label == "no"
    assert shift.p < 0.001
    assert shift.rises.change == pytest.approx(shift.rises.share - shift.rises.base_share)
    assert sum(label.change for label in shift.labels) == pytest.approx(0, abs=1e-9)
    assert all(label.standard_error > 0 for label in shift.labels)
    assert shift.chance < shift.shift
    confusion = found.confusion
    assert confusion is not None
    assert confusion.before.sum() == confusion.after.sum() == ROWS
    assert set(confusion.gold) == set(LABELS)
    assert confusion.after[:, confusion.answers.index("no")].sum() / ROWS == pytest.approx(shift.rises.share / 100)
    assert _find(made, "b").labels[0].p > 0.01, "b changes a tenth of the answers at random"


def test_lengths_and_malformed_answers(made: Path) -> None:
    found = _find(made, "a")
    (drift,) = found.lengths
    assert drift.target == "c"
    assert drift.drift == pytest.approx(drift.tokens - drift.base_tokens)
    assert drift.drift < -9
    assert drift.q < 1e-6
    assert drift.quantiles[1] < drift.base_quantiles[0]
    errors = {error.error: error for error in found.formats}
    assert set(errors) == {"empty", "unfinished", "no number"}
    assert errors["no number"].change == pytest.approx(errors["no number"].share - errors["no number"].base_share)
    assert errors["no number"].q < 1e-6
    assert found.formats[0].error == "no number"
    assert errors["empty"].change == 0
    assert errors["empty"].p == 1


def test_planted_kinds_of_rows_are_found_and_no_others(made: Path) -> None:
    found = _find(made, "a", target="b")
    first = found.kinds[0]
    assert first.trait == "prompt_words_mean"
    assert first.correlation > 0.35
    assert first.upper > 0 > first.lower
    assert first.difference == pytest.approx(first.upper - first.lower)
    assert first.agreement == 1
    assert {kind.trait for kind in found.kinds if kind.q <= 0.05 and kind.trait.startswith("noise")} == set()
    whole = _find(made, "a")
    assert (whole.kinds_by_target[0].trait, whole.kinds_by_target[0].target) == ("prompt_words_mean", "b")
    assert all(kind.q <= 0.05 for kind in whole.kinds_by_target)
    assert whole.tests >= 2 * 9
    assert all(kind.target is None and kind.targets == 2 for kind in whole.kinds)


def test_shuffled_changes_give_no_kinds_of_rows(tmp_path: Path) -> None:
    """The same changes dealt to other rows: at q <= 0.05 one table in twenty may hold a find, ten hold 0 to 3."""
    false = 0
    for seed in range(10):
        path = Made(seed, shuffled=True).save(tmp_path / "w.duckdb", f"shuffled{seed}")
        found = _find(path, "a", f"shuffled{seed}", target="b")
        traits = [kind for kind in found.kinds if not kind.trait.startswith("label = ")]
        assert len(traits) == 9
        false += any(kind.q <= 0.05 for kind in traits)
    assert false <= 3


def test_pairs_both_ways(made: Path) -> None:
    found = _find(made, "a")
    there = {gain.target: gain.gain for gain in found.gains}
    for pair in found.asymmetries:
        (back,) = [gain.gain for gain in _find(made, pair.target).gains if gain.target == "a"]
        assert (pair.there, pair.back) == (pytest.approx(there[pair.target]), pytest.approx(back))
        assert pair.difference == pytest.approx(pair.there - pair.back)
        assert pair.standard_error > 0
    assert {pair.target for pair in found.asymmetries} == {"b", "c"}


def test_without_rows_it_gives_what_it_can_and_says_what_is_missing(tmp_path: Path) -> None:
    rows = ("row_scores", "row_traits", "targets")
    path = Made().save(tmp_path / "w.duckdb", without=rows)
    found = _find(path, "a", target="b")
    assert found.kinds == ()
    assert found.gains[0].gained is None
    assert found.gains[0].standard_error > 0
    assert math.isnan(found.labels[0].p)
    assert found.labels[0].standard_error > 0, "over seeds"
    assert any("traitcast matrix ingest --pack DIR --name made" in note and "of b" in note for note in found.notes)
    errors = {error.error for error in _find(path, "a").formats}
    assert errors == {"empty", "unfinished"}
    found = _find(Made().save(path, "bare", (*rows, "predicted_labels", "generations")), "a", "bare")
    assert (found.labels, found.lengths, found.formats, found.kinds) == ((), (), (), ())
    assert len(found.gains) == 2
    assert any("traitcast matrix plan" in note for note in found.notes)
    found = _find(Made().save(path, "untold", ("row_traits",)), "a", "untold")
    assert any("No traits are stored for the test rows of a, b, c" in note for note in found.notes)


def test_rows_that_are_not_those_of_the_scores_are_left_out(tmp_path: Path) -> None:
    """As in a file that was written before new scores took the old rows away: scores, labels and rows disagree."""
    made = Made()
    for row in made.tables["scores"]:
        if row["source"] == "a" and row["target"] == "b" and row["seed"] == 1:
            row["score"] -= 1 / ROWS
    found = _find(made.save(tmp_path / "w.duckdb"), "a", target="b")
    (gain,) = found.gains
    assert (gain.n, gain.gained, found.kinds) == (None, None, ())
    with Warehouse.open(tmp_path / "w.duckdb", read_only=True) as warehouse:
        sql = "SELECT gain FROM transfer_matrix WHERE matrix = 'made' AND source = 'a' AND target = 'b'"
        assert gain.gain == pytest.approx(warehouse.query(sql).to_pylist()[0]["gain"])
    assert any(
        note.startswith("The scores do not match the stored results on single rows of b:") for note in found.notes
    )
    for row in made.tables["predicted_labels"]:
        if row["source"] == "a":
            row["predicted"] = "another"
    merged: dict[str, Any] = {}
    for row in made.tables["predicted_labels"]:
        key = json.dumps([row[name] for name in ("source", "target", "seed", "gold", "predicted")])
        merged[key] = {**row, "n": row["n"] + merged.get(key, {"n": 0})["n"]}
    made.tables["predicted_labels"] = list(merged.values())
    (shift,) = _find(made.save(tmp_path / "w.duckdb", "odd"), "a", "odd", target="a").labels
    assert math.isnan(shift.p), "labels that rows do not give are told without them"


@pytest.mark.parametrize(
    ("seeds", "errors", "told"),
    [
        (1, True, ["unpaired, and are too wide", "With one seed, standard errors cover the test rows only"]),
        (3, True, ["unpaired, and are too wide"]),
        (1, False, ["standard errors are unknown", "With one seed and no standard errors"]),
        (3, False, ["errors cover seeds only"]),
    ],
)
def test_notes_say_what_errors_without_rows_are_over(tmp_path: Path, seeds: int, errors: bool, told: list[str]) -> None:
    made = Made()
    for name in ("scores", "predicted_labels", "generations"):
        made.tables[name] = [row for row in made.tables[name] if row["seed"] < seeds]
    if not errors:
        for row in made.tables["scores"]:
            row["standard_error"] = None
    notes = _find(made.save(tmp_path / "w.duckdb", without=("row_scores", "row_traits", "targets")), "a").notes
    phrases = ("unpaired, and are too wide", "errors cover seeds only", "standard errors are unknown", "With one seed")
    assert [note for note in notes if any(phrase in note for phrase in phrases)] == list(notes)
    assert len(notes) == len(told)
    assert all(phrase in note for phrase, note in zip(told, notes, strict=True))


def test_rows_of_some_seeds_only_are_not_taken_for_all(tmp_path: Path) -> None:
    made = Made()
    made.tables["row_scores"] = [row for row in made.tables["row_scores"] if row["seed"] != 2]
    found = _find(made.save(tmp_path / "w.duckdb"), "a")
    assert all(gain.n is None and gain.seeds == 3 for gain in found.gains)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "aa"}, r"nothing was tuned on 'aa' in matrix 'made'.*a, b, c.*traitcast predict aa TARGET"),
        ({"source": "a", "target": "z"}, r"'a' was not scored on 'z'.*a, b, c.*traitcast predict a z"),
        ({"source": "a", "model": "tinny"}, r"no model 'tinny'; did you mean 'tiny'\?"),
    ],
)
def test_what_was_not_measured_is_refused(made: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(ScoresError, match=message):
        _find(made, **options)


def test_several_models_need_a_choice(made: Path) -> None:
    with (
        Warehouse.open(made, read_only=True) as warehouse,
        pytest.raises(ScoresError, match=r"has 4 models \(.*Choose it with --model NAME"),
    ):
        effects(warehouse, "mnli", matrix="prompt_transferability")


def test_from_the_command_line(made: Path) -> None:
    def call(*words: str) -> Any:
        return CliRunner().invoke(COMMAND, [*words, "--matrix", "made", "--warehouse", str(made)])

    done = call("a")
    assert done.exit_code == 0, done.output
    titles = [line for line in done.stdout.splitlines() if re.match("[A-Z]", line)]
    assert [title.split(" ")[0] for title in titles] == [
        *("Tuning", "Largest", "Largest", "On", "Shift", "Answer", "Malformed", "Kinds", "Kinds", "Both")
    ]
    document = json.loads(call("a", "--format", "json").stdout)
    assert document["gains"][0]["target"] == "b"
    assert document["own"]["target"] == "a"
    assert {"labels", "lengths", "formats", "kinds", "kinds_by_target", "asymmetries", "notes"} <= set(document)
    assert len(call("a", "--target", "b", "--top", "1").stdout) < len(call("a", "--target", "b").stdout)
    assert call("nobody").exit_code == 2


def test_the_footnote_is_of_columns_that_are_there(made: Path) -> None:
    run = CliRunner().invoke
    full = run(COMMAND, ["a", "--matrix", "made", "--warehouse", str(made)])
    assert "standard_error: over rows and seeds" in full.stderr
    bare = run(COMMAND, ["mnli", "--matrix", "prompt_transferability", "--model", "T5", "--warehouse", str(made)])
    assert bare.exit_code == 0
    assert "standard_error" not in bare.output
    assert "q: false discovery rate" not in bare.output


def test_hostile_labels_stay_text(made: Path) -> None:
    done = CliRunner().invoke(COMMAND, ["a", "--target", "b", "--matrix", "made", "--warehouse", str(made)])
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    assert "\u202e" not in done.output
    assert "\\x1b[31m" in done.output
    assert max(map(len, done.stdout.splitlines())) < 400
    shown = traitcast.effects("a", target="b", matrix="made", warehouse=made)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_help_has_an_example() -> None:
    text = CliRunner().invoke(COMMAND, ["--help"]).output
    assert "traitcast effects sst2 --target mpqa" in text
