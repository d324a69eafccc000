"""Side effects as outcomes: learnt where they follow from traits, told in their own units, refused where unknown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

import traitcast.cli
from tests.predictor.conftest import as_profiles
from traitcast.predictor import api
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.outcomes import GAIN, OUTCOMES, outcome_of
from traitcast.predictor.report import predictor as report_predictor
from traitcast.predictor.report.page import render
from traitcast.predictor.report.sections import Request, gather
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import ScoresError, UserError
from traitcast.warehouse.records import Cells, Matrix

ROWS = 400


@pytest.fixture
def measured(law_warehouse: Path, world: ProfileSet, law: Cells) -> Path:
    """The law's warehouse with side effects in a matrix "made": lengths follow those of the source's responses, and
    a source of little entropy drags the answers to the label "a"."""
    traits, rng = world.traits, np.random.default_rng(3)
    place = {name: i for i, name in enumerate(traits.names)}
    length = np.log1p(traits.values[:, traits.traits.index("response_words_mean")])
    entropy = traits.values[:, traits.traits.index("label_entropy_bits")]
    labels, texts = [], []
    for name in traits.names:
        labels += [("", name, "a", ROWS // 2), ("", name, "b", ROWS // 2)]
        texts.append(("", name, 20.0))
    for source, target in zip(law.sources, law.targets, strict=True):
        dragged = int(np.clip(ROWS // 2 + 60 * (3 - entropy[place[source]]) + 4 * rng.normal(), 0, ROWS))
        labels += [(source, target, "a", dragged), (source, target, "b", ROWS - dragged)]
        texts.append((source, target, 20.0 + 8 * (length[place[source]] - 1) + 0.5 * rng.normal()))
    where = {"model": "m", "seed": 0}
    predicted = [where | {"source": s, "target": t, "gold": "a", "predicted": p, "n": n} for s, t, p, n in labels]
    blank = dict.fromkeys(("tokens_p10", "tokens_p50", "tokens_p90", "finished", "empty"), 0.0)
    written = [where | {"source": s, "target": t, "n": ROWS, "tokens_mean": mean} | blank for s, t, mean in texts]
    scores = [
        where | {"source": s, "target": t, "metric": "score", "score": 0.5 + 0.001 * i, "n": 9, "standard_error": 0.01}
        for i, (s, t, _) in enumerate(texts)
    ]
    with Warehouse.open(law_warehouse) as warehouse:
        warehouse.save_scores(
            Matrix("made", "score", "untuned", "side effects by a law"),
            pa.Table.from_pylist(scores),
            {"predicted_labels": pa.Table.from_pylist(predicted), "generations": pa.Table.from_pylist(written)},
        )
    return law_warehouse


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(traitcast.cli.cli, [*arguments, "--warehouse", str(path)])


@pytest.mark.parametrize("name", [pytest.param("label_shift", marks=pytest.mark.slow), "length_shift"])
def test_what_was_planted_is_found(measured: Path, name: str) -> None:
    with Warehouse.open(measured, read_only=True) as warehouse:
        made = api.evaluate_matrix(warehouse, "new-source", matrix="made", outcome=outcome_of(name))
    # Trees alone reached .5 of both: the evidence of the source comes first now (docs/lab.md, 2026-11-30).
    assert made.model["spearman"]["value"] > 0.25
    assert made.model["spearman"]["low"] > 0.0
    assert made.advantage is not None
    assert made.cells == 18 * 17


def test_units_and_signs(measured: Path) -> None:
    with Warehouse.open(measured, read_only=True) as warehouse:
        labels, lengths, gains = (warehouse.cells("made", outcome=o) for o in ("label_shift", "length_shift", "gain"))
    assert len(labels.gain) == len(lengths.gain) == len(gains.gain) == 18 * 18
    assert 0 <= labels.gain.min() < labels.gain.max() <= 50
    assert lengths.gain.max() > 1
    assert np.isnan(labels.standard_error).all()


@pytest.mark.slow
def test_commands_tell_the_outcome(measured: Path) -> None:
    fitted = run(measured, "fit", "--matrix", "made", "--outcome", "label_shift", "--format", "json")
    assert fitted.exit_code == 0, fitted.output
    assert (json.loads(fitted.stdout)["predictor"], json.loads(fitted.stdout)["outcome"]) == ("label_shift",) * 2
    one = run(measured, "predict", "d00", "d01", "--predictor", "label_shift", "--format", "json", "--save")
    document = json.loads(one.stdout)
    assert document["harm"] is None
    assert document["low"] >= 0
    assert "share of answers (%)" in one.stderr.lower()
    with Warehouse.open(measured, read_only=True) as warehouse:
        assert warehouse.query("SELECT harm FROM predictions").to_pylist() == [{"harm": None}]
    sentence = json.loads(
        run(measured, "explain", "d00", "d01", "--predictor", "label_shift", "--format", "json").stdout
    )["sentence"]
    assert "move" in sentence
    assert "% of the answers on d01 to another label" in sentence
    assert "harm" not in sentence
    assert "Raised most by" in sentence or "Lowered most by" in sentence
    assert run(measured, "fit", "--matrix", "made", "--outcome", "length_shift", "--name", "len").exit_code == 0
    table = run(measured, "explain", "d00", "d01", "--predictor", "len")
    assert "tokens longer" in table.stdout or "tokens shorter" in table.stdout
    evaluated = run(measured, "evaluate", "--matrix", "made", "--outcome", "length_shift", "--no-baselines")
    assert "tokens wide (around" in evaluated.stderr
    assert "Chance of harm" not in evaluated.stderr
    changed = run(measured, "whatif", "d00", "d01", "--predictor", "len", "--set", "label_entropy_bits=1")
    assert changed.stdout.split("\n")[0].split() == ["gain", "low", "high", "novel"], "no chance of harm, no column"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["label_shift", "length_shift"])
def test_the_report_tells_the_quality_of_the_outcome(measured: Path, name: str) -> None:
    for outcome in ("gain", name):
        options = ("--outcome", outcome, "--no-baselines", "--save")
        assert run(measured, "evaluate", "--matrix", "made", *options).exit_code == 0
    with Warehouse.open(measured) as warehouse:
        api.fit_into(warehouse, matrix="made", name=name, outcome=outcome_of(name))
        found = {s.key: s for s in gather(warehouse, Request(predictor=name)).sections}
        own, gains = ({e["outcome"]: e["result"] for e in warehouse.evaluations("made")}[o] for o in (name, "gain"))
    (shown,) = found["quality"].data["evaluations"]
    assert shown["model"] == own["model"] != gains["model"]


@pytest.mark.slow
def test_the_report_has_the_unit_and_the_measurements_of_the_outcome(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Warehouse.open(measured) as warehouse:
        api.fit_into(warehouse, matrix="made", name="len", outcome=outcome_of("length_shift"))
        found = {s.key: s for s in gather(warehouse, Request(matrix="made", predictor="len")).sections}
        monkeypatch.setattr(report_predictor, "QUICK_CELLS", 1)
        page = render(gather(warehouse, Request(matrix="law", predictor="len")))
        cells = warehouse.cells("made", outcome="length_shift")
    ranking = found["ranking"].data
    assert (ranking["unit"], ranking["noun"]) == ("tokens", "length shifts")
    assert found["quality"].data["unit"] == "tokens"
    assert found["explanations"].data[0]["unit"] == "tokens"
    expected = {
        (s, t): round(float(gain), 2)
        for s, t, gain in zip(cells.sources, cells.targets, cells.gain, strict=True)
        if s != t
    }
    assert {(s, t): gain for t, by in ranking["measured"].items() for s, gain in by.items()} == expected
    words = found["overview"].data["words"][1]
    assert "It predicts the mean length of answers (tokens) minus that of the untuned model" in words
    assert "tokens wide" in words
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert data["sections"]["ranking"]["measured"] == {}, "law holds no lengths"
    assert data["sections"]["ranking"]["targets"]["d00"][0][2] is None, "no chance of harm"


def test_a_page_keeps_no_quality_of_a_large_matrix_of_another_outcome(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_predictor, "QUICK_CELLS", 1)
    with Warehouse.open(measured) as warehouse:
        api.fit_into(warehouse, matrix="made", name="len", outcome=outcome_of("length_shift"))
        sections = gather(warehouse, Request(predictor="len")).sections
    quality = next(section for section in sections if section.key == "quality")
    (lack,) = quality.missing
    assert lack.what.endswith("only that of gains can be stored. To see it in a terminal:")
    assert lack.command == f"traitcast evaluate --matrix made --outcome length_shift --warehouse {measured}"


def test_scores_that_changed_since_are_told(measured: Path) -> None:
    with Warehouse.open(measured) as warehouse:
        api.fit_into(warehouse, matrix="made", name="len", outcome=outcome_of("length_shift"))
        others = warehouse.cells("made")
        rows = {"model": list(others.models), "source": list(others.sources), "target": list(others.targets)}
        rows |= {"seed": others.seeds.tolist(), "tokens_mean": [1.0 + i % 7 for i in range(len(others.seeds))]}
        blank = dict.fromkeys(
            ("tokens_p10", "tokens_p50", "tokens_p90", "finished", "empty"), [0.0] * len(others.seeds)
        )
        table = pa.table(rows | {"n": [ROWS] * len(others.seeds)} | blank)
        scores = pa.table(
            {name: rows[name] for name in ("model", "source", "target", "seed")}
            | {"metric": ["score"] * len(others.seeds), "score": others.score.tolist()}
        )
        warehouse.save_scores(others.matrix, scores, {"generations": table})
        sections = gather(warehouse, Request(predictor="len")).sections
    quality = next(section for section in sections if section.key == "quality")
    assert "have changed since the predictor learnt from them" in quality.missing[0].what
    assert "--outcome length_shift --name len" in quality.missing[0].what


def test_what_is_refused(measured: Path) -> None:
    message = r"'law' holds no label_shift: only a measured one does.*matrix ingest"
    with Warehouse.open(measured, read_only=True) as warehouse, pytest.raises(ScoresError, match=message):
        warehouse.cells("law", outcome="label_shift")
    with pytest.raises(UserError, match=r"unknown outcome 'label_shfit'; did you mean 'label_shift'\?"):
        outcome_of("label_shfit")


def test_no_label_shift_of_a_target_without_labels(
    measured: Path, profiles_of_count: Callable[..., ProfileSet]
) -> None:
    with Warehouse.open(measured) as warehouse:
        predictor, _ = api.fit_into(warehouse, matrix="made", name="shift", outcome=outcome_of("label_shift"))
        more = {profile.name: profile for profile in as_profiles(profiles_of_count(30))}
        plain, labelled = (
            replace(more[name], label_counts=counts) for name, counts in (("d28", ()), ("d29", (("a", 5), ("b", 5))))
        )
        for profile in (plain, labelled):
            warehouse.save_profile(profile)
        assert api.predict_pair(warehouse, predictor, "d00", "d29").gain >= 0
        message = r"label_shift is how many answers move to another label, and 'd28' has no labels.*traitcast rank d28"
        with pytest.raises(UserError, match=message):
            api.predict_pair(warehouse, predictor, "d00", "d28")
        with pytest.raises(UserError, match=message):
            api.rank_sources(warehouse, predictor, "d28")


def test_a_gain_in_another_metric_is_learnt_and_said(fitted: Path, law: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_predictor, "QUICK_CELLS", 1)
    every = {"model": list(law.models), "source": list(law.sources), "target": list(law.targets)}
    every |= {
        "seed": law.seeds.tolist(),
        "metric": ["gold_nll"] * len(law.gain),
        "score": (2 - law.gain / 100).tolist(),
    }
    targets = sorted(set(law.targets))
    base = {"model": ["m"] * len(targets), "source": [""] * len(targets), "target": targets, "seed": [0] * len(targets)}
    base |= {"metric": ["gold_nll"] * len(targets), "score": [2.0] * len(targets)}
    table = pa.concat_tables([pa.table(every), pa.table(base)])
    for name, kind in (("n", pa.int64()), ("standard_error", pa.float64())):
        table = table.append_column(name, pa.nulls(table.num_rows, kind))
    with Warehouse.open(fitted) as warehouse:
        warehouse.save_scores(Matrix("nats", "accuracy", "untuned", "a loss by the law"), table)
    made = run(fitted, "fit", "--matrix", "nats", "--metric", "gold_nll", "--name", "nll")
    assert made.exit_code == 0, made.output
    assert "Gain in cnat, the fall of gold_nll in hundredths of a nat" in made.stderr
    assert "traitcast evaluate --matrix nats --metric gold_nll" in made.stderr
    judged = ("evaluate", "--matrix", "nats", "--metric", "gold_nll", "--protocol", "random-cell", "--no-baselines")
    evaluated = run(fitted, *judged)
    assert evaluated.exit_code == 0
    assert "LEAKY" in evaluated.stderr
    with Warehouse.open(fitted, read_only=True) as warehouse:
        of_law, of_loss = (api.predictor_of(warehouse, name) for name in ("default", "nll"))
        assert of_loss.outcome == outcome_of("gain", "gold_nll") != GAIN
        pairs = [api.predict_pair(warehouse, found, "d00", "d01").gain for found in (of_law, of_loss)]
        assert pairs[0] == pytest.approx(pairs[1], abs=1e-4), "a fall of the loss is a gain"
        assert "cnat" in api.explain_pair(warehouse, of_loss, "d00", "d01").sentence
        section = next(s for s in gather(warehouse, Request(predictor="nll")).sections if s.key == "ranking")
        assert section.data["unit"] == "cnat"
        changed = api.what_if_pair(warehouse, of_loss, "d00", "d01", {("source", "label_entropy_bits"): 1.0})
        assert "cnat" in changed._repr_html_()
    told = run(fitted, "whatif", "d00", "d01", "--set", "label_entropy_bits=1", "--predictor", "nll")
    assert "effect: of this change alone, in cnat;" in told.stderr
    _measure_a_new_target(fitted, table, seeds=2)
    with Warehouse.open(fitted, read_only=True) as warehouse:
        assert api.predict_pair(warehouse, of_law, "d00", "new").measured is None, "its metric was not scored"
        found = api.predict_pair(warehouse, of_loss, "d00", "new")
        assert (found.measured, found.runs, found.unit) == (pytest.approx(-4.0), 2, "cnat")
        assert found.standard_error == pytest.approx(np.sqrt(100**2 * (0.03**2 + 0.04**2) + 2.0 / 2))
    refused = run(fitted, "fit", "--matrix", "nats", "--metric", "gold_nl")
    assert (refused.exit_code, "gold_nll" in refused.stderr) == (2, True)
    refused = run(fitted, "fit", "--outcome", "label_shift", "--metric", "gold_nll")
    assert "--metric gold_nll applies to gains, not to --outcome label_shift" in refused.stderr


def _measure_a_new_target(path: Path, like: pa.Table, seeds: int) -> None:
    """Scores of d00 and the base on a dataset that no predictor knows: losses of 2.03, 2.05 and 2.00."""
    with Warehouse.open(path) as warehouse:
        warehouse.save_profile(replace(warehouse.profile("d02"), name="new", fingerprint="v1:new"))
        rows = [("", 0, 2.0, 0.04), *(("d00", seed, 2.03 + seed * 0.02, 0.03) for seed in range(seeds))]
        columns = {"model": ["m"] * len(rows), "source": [row[0] for row in rows], "target": ["new"] * len(rows)}
        columns |= {"seed": [row[1] for row in rows], "metric": ["gold_nll"] * len(rows)}
        columns |= {"score": [row[2] for row in rows], "n": [100] * len(rows), "standard_error": [r[3] for r in rows]}
        warehouse.save_scores(Matrix("mine", "accuracy", "untuned", ""), pa.table(columns, schema=like.schema))


def test_a_gain_is_what_it_was(fitted: Path) -> None:
    assert outcome_of("gain") is GAIN is OUTCOMES[0]
    with Warehouse.open(fitted, read_only=True) as warehouse:
        predictor = api.predictor_of(warehouse)
        assert predictor.outcome is GAIN
        assert "outcome" not in predictor.about
        assert 0 < api.predict_pair(warehouse, predictor, "d00", "d01").harm < 1
