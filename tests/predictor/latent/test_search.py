"""`latent`: from a matrix in the warehouse to factors, their ends and traits, and back into the warehouse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from traitcast.predictor.cli import COMMANDS
from traitcast.predictor.latent.gain_table import gain_table
from traitcast.predictor.latent.search import Latent, latent_of
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.report.latent import axes, biplot
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import ScoresError, UserError
from traitcast.warehouse.records import Cells, LatentRecord, Matrix, TraitMatrix


class Desk:
    """Cells and traits as a warehouse hands them out."""

    def __init__(self, cells: Cells, traits: TraitMatrix) -> None:
        self._cells, self._traits = cells, traits

    def cells(self, matrix: str | None, model: str | None) -> Cells:
        return self._cells

    def trait_matrix(self) -> TraitMatrix:
        return self._traits


def cells_from(gain: np.ndarray, names: Sequence[str], model: str = "m") -> Cells:
    """Cells of gains (sources, targets) or (sources, targets, seeds); NaN cells are not there."""
    table = gain if gain.ndim == 3 else gain[:, :, None]
    at = np.argwhere(np.isfinite(table))
    flat = table[tuple(at.T)]
    return Cells(
        matrix=Matrix("made", "accuracy", "untuned", "made up"),
        models=(model,) * len(flat),
        sources=tuple(names[i] for i in at[:, 0]),
        targets=tuple(names[j] for j in at[:, 1]),
        seeds=at[:, 2].astype(np.int64),
        gain=flat,
        standard_error=np.full(len(flat), np.nan),
        score=0.5 + flat / 100,
        base_score=np.full(len(flat), 0.5),
    )


def run(path: Path, *arguments: str) -> Result:
    command = next(c for c in COMMANDS if c.name == "latent")
    return CliRunner().invoke(command, [*arguments, "--warehouse", str(path)])


@pytest.fixture(scope="module")
def found(world: ProfileSet, law: Cells) -> Latent:
    return latent_of(Desk(law, world.traits), bootstraps=30)  # type: ignore[arg-type]


def test_the_planted_factor_is_found_with_its_trait(found: Latent, world: ProfileSet) -> None:
    assert found.factors
    assert found.parallel.factors >= len(found.factors)
    assert (found.measured, found.filled, found.diagonal) == (18 * 17, 0, 18)
    assert found.noise is None
    assert found.unit == "pp"
    first = found.factors[0]
    assert first.share.low < first.share.value < first.share.high
    # The law: sources of more entropy gain more, on every target.
    traits = {(a.factor, a.side, a.trait) for a in found.found}
    assert (1, "source", "label_entropy_bits") in traits
    assert found.loadings[:, 0].min() > 0
    top = [p.dataset for p in found.points(1, "source")[:3]]
    entropy = dict(zip(world.traits.names, world.traits.values[:, 0], strict=True))
    assert min(entropy[name] for name in top) > 2
    titles = [title for title, _ in found.tables()]
    assert titles[-1].startswith(f"Traits that survive the correction: {len(found.found)} of ")


def test_it_is_the_same_every_time_and_for_cells_in_any_order(found: Latent, world: ProfileSet, law: Cells) -> None:
    order = np.random.default_rng(0).permutation(len(law.gain))
    shuffled = replace(
        law,
        **{name: tuple(getattr(law, name)[i] for i in order) for name in ("models", "sources", "targets")},
        **{name: getattr(law, name)[order] for name in ("seeds", "gain", "standard_error", "score", "base_score")},
    )
    again = latent_of(Desk(shuffled, world.traits), bootstraps=30)  # type: ignore[arg-type]
    assert json.dumps(again.as_row(), default=str) == json.dumps(found.as_row(), default=str)


def test_no_profile_is_told_and_is_no_error(law: Cells, world: ProfileSet) -> None:
    nobody = replace(world.traits, names=tuple(f"other{i}" for i in range(18)))
    latent = latent_of(Desk(law, nobody), factors=1, bootstraps=5)  # type: ignore[arg-type]
    assert latent.associations == ()
    assert latent.notes[-1].startswith("18 datasets without a profile, and so without traits: d00, d01")
    assert "No trait was tested: 0 sources and 0 targets have a profile" in latent.remarks[-1]


def test_noise_gives_no_factors_and_says_so(world: ProfileSet) -> None:
    names = world.traits.names[:12]
    gain = np.random.default_rng(3).normal(size=(12, 12))
    latent = latent_of(Desk(cells_from(gain, names), world.traits))  # type: ignore[arg-type]
    assert latent.factors == latent.found == latent.associations == ()
    assert latent.scores.shape == (12, 0)
    assert latent.sentence.startswith("0 factors in the 12 x 12 gains of m on made. Parallel analysis finds")
    assert latent.tables() == []
    assert latent.remarks[-1].endswith("traitcast latent --matrix made --model m --factors 2")
    json.loads(json.dumps(latent.as_row()))
    asked = latent_of(Desk(cells_from(gain, names), world.traits), factors="2", bootstraps=20)  # type: ignore[arg-type]
    assert asked.scores.shape == (12, 2)
    assert "treat all of them as noise" in asked.sentence
    assert any(line.startswith("Not stable: factor 1, factor 2") for line in asked.remarks)
    assert not asked.found
    assert "No trait survives the correction for 32 tests. The closest one is " in asked.remarks[-1]


def test_a_map_takes_two_factors_where_one_is_found(world: ProfileSet) -> None:
    rng, names = np.random.default_rng(0), world.traits.names[:12]
    desk = Desk(cells_from(rng.normal(size=12)[:, None] * rng.normal(1, 0.1, 12) * 5, names), world.traits)
    one, two = (latent_of(desk, bootstraps=5, least=least) for least in (0, 2))  # type: ignore[arg-type]
    assert len(one.factors) == 1
    again = latent_of(desk, bootstraps=5, factors=2)  # type: ignore[arg-type]
    assert two.tables() == again.tables()
    assert two.sentence.endswith(", cross-validation 1; one more than that is shown: treat the last one as noise.")
    noise = Desk(cells_from(np.random.default_rng(3).normal(size=(12, 12)), names), world.traits)
    assert not latent_of(noise, bootstraps=5, least=2).factors  # type: ignore[arg-type]


def test_four_datasets_are_never_sent_to_two_factors(world: ProfileSet) -> None:
    gain = np.random.default_rng(1).normal(size=(4, 4))
    latent = latent_of(Desk(cells_from(gain, world.traits.names[:4]), world.traits))  # type: ignore[arg-type]
    assert (latent.most, latent.factors) == (1, ())
    assert latent.remarks[-1].endswith("To see one anyway: traitcast latent --matrix made --model m --factors 1")
    with pytest.raises(
        UserError, match=r"a map needs two factors, and this one has 0 factors\. With so few datasets, one is the most"
    ):
        biplot(latent)


def test_the_noise_of_seeds_is_a_ceiling(world: ProfileSet) -> None:
    rng = np.random.default_rng(0)
    names = world.traits.names
    mean = rng.normal(size=(18, 18))
    seeds = mean[:, :, None] * 2 + 2 * rng.normal(size=(18, 18, 4))
    table = gain_table(cells_from(seeds, names))
    # Signal of variance 4 and noise of 4 / 4.
    assert table.noise(double=False) == pytest.approx(0.2, abs=0.05)
    assert table.noise(double=True) == pytest.approx(0.2, abs=0.05)
    assert gain_table(cells_from(mean, names)).noise(double=False) is None
    latent = latent_of(Desk(cells_from(seeds, names), world.traits), bootstraps=5)  # type: ignore[arg-type]
    assert any(line.startswith("Noise of the seeds makes up ") for line in latent.remarks)


def test_bare_sources_go_and_missing_cells_are_filled(world: ProfileSet) -> None:
    gain = np.random.default_rng(0).normal(size=(10, 10)) * 3
    gain[0, 4:] = np.nan
    gain[5, 6] = np.nan
    table = gain_table(cells_from(gain, world.traits.names[:10]))
    assert table.sources == world.traits.names[1:10]
    assert table.notes == ("Left out, because more than half of their cells are missing: source d00",)
    latent = latent_of(Desk(cells_from(gain, world.traits.names[:10]), world.traits), factors=1, bootstraps=5)  # type: ignore[arg-type]
    assert (latent.filled, latent.measured, latent.diagonal) == (1, 9 * 10 - 9 - 1, 10)


def test_standardised_targets_count_alike(world: ProfileSet) -> None:
    rng = np.random.default_rng(0)
    gain = rng.normal(size=(12, 1)) * np.ones(12) + 0.5 * rng.normal(size=(12, 12))
    gain[:, 3] = 50 * rng.normal(size=12)
    cells = cells_from(gain, world.traits.names[:12])
    in_pp = latent_of(Desk(cells, world.traits), factors=1, bootstraps=5)  # type: ignore[arg-type]
    in_sd = latent_of(Desk(cells, world.traits), factors=1, standardise=True, bootstraps=5)  # type: ignore[arg-type]
    assert int(np.abs(in_pp.loadings[:, 0]).argmax()) == 3
    assert np.abs(in_sd.loadings[3, 0]) < np.median(np.abs(in_sd.loadings[:, 0]))
    assert in_sd.unit == "sd"


def test_what_has_no_factors_is_refused(world: ProfileSet) -> None:
    names = world.traits.names
    gain = np.random.default_rng(0).normal(size=(8, 8))
    two = cells_from(gain, names)
    with pytest.raises(ScoresError, match="has 2 models .m, n., and factors are those of one. .*--model m"):
        gain_table(replace(two, models=("n", *two.models[1:])))
    with pytest.raises(ScoresError, match="'made' has 8 sources and 3 targets of m to look for factors in; at least 4"):
        gain_table(cells_from(gain[:, :3], names))
    with pytest.raises(ScoresError, match="every target gains the same from every source of m"):
        gain_table(cells_from(np.tile(np.arange(8.0), (8, 1)), names))
    with pytest.raises(ScoresError, match="has no scores of tuned models"):
        gain_table(cells_from(np.full((4, 4), np.nan), names))
    gain[:, 2] = 1.0
    table = gain_table(cells_from(gain, names), standardise=True)
    assert table.notes == ("Targets with the same gain from every source, and so on no factor: d02",)
    desk = Desk(cells_from(gain, names), world.traits)
    for bad in ("0", "4", "two", -1):
        with pytest.raises(UserError, match="8 sources x 8 targets take auto, or 1 to 3. Try: traitcast"):
            latent_of(desk, factors=bad)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="unknown method 'varimx'; did you mean 'varimax'"):
        latent_of(desk, method="varimx")  # type: ignore[arg-type]


def test_shares_are_told_of_what_centring_leaves(world: ProfileSet) -> None:
    rng = np.random.default_rng(0)
    gain = 3 * rng.normal(size=(12, 1)) + 4 * np.outer(rng.normal(size=12), rng.normal(size=12))
    cells = cells_from(gain + 0.5 * rng.normal(size=(12, 12)), world.traits.names[:12])
    plain, double = (
        latent_of(Desk(cells, world.traits), factors=2, centre=centre, bootstraps=5)  # type: ignore[arg-type]
        for centre in ("target", "double")
    )
    for latent, left in (
        (plain, "of the differences between sources"),
        (double, "of the differences beyond the levels of sources and targets"),
    ):
        assert f"] {left}, as many as requested" in latent.sentence
        assert "On held-out cells, the factors predict " in latent.remarks[0]
        assert all(title.endswith(f"{left})") for title in axes(latent))
    assert "differences between sources" not in " ".join([double.sentence, *double.remarks, *axes(double)])


def test_levels_alone_leave_nothing_to_double_centring(world: ProfileSet) -> None:
    rng = np.random.default_rng(0)
    gain = 3 * rng.normal(size=(8, 1)) + 40 * rng.normal(size=(1, 8))
    desk = Desk(cells_from(gain, world.traits.names), world.traits)
    message = (
        "every gain of m is the level of its source plus that of its target, so --centre double leaves nothing .* "
    )
    with pytest.raises(ScoresError, match=message + "traitcast latent --matrix made --model m --factors 1$"):
        latent_of(desk, centre="double")  # type: ignore[arg-type]
    assert latent_of(desk, factors=1, bootstraps=5).explained.value == pytest.approx(1)  # type: ignore[arg-type]
    some = Desk(cells_from(gain + 0.01 * rng.normal(size=(8, 8)), world.traits.names), world.traits)
    assert latent_of(some, centre="double", bootstraps=5).sentence  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["varimax", "nmf"])
def test_other_methods_tell_the_same_gains(method: str, world: ProfileSet, law: Cells) -> None:
    latent = latent_of(Desk(law, world.traits), method=method, bootstraps=5)  # type: ignore[arg-type]
    assert latent.factors
    assert latent.explained.value > 0.5
    assert (latent.scores.min() >= 0) == (method == "nmf")
    # A score of 0 is no end: many sources share it.
    ends = {(row["side"], row["end"]) for row in latent.end_rows()}
    assert (("source", "lowest") in ends) == (method != "nmf")
    assert ("two non-negative factors for each" in latent.sentence) == (method == "nmf")


def test_html_is_escaped(found: Latent) -> None:
    hostile = replace(found, sources=("<script>x</script>", *found.sources[1:]), model="<b>")
    shown = hostile._repr_html_()
    assert "<script>" not in shown
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown


def test_the_command_prints_saves_and_is_idempotent(law_warehouse: Path) -> None:
    result = run(law_warehouse, "--format", "json", "--save")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["matrix"] == "law"
    assert len(document["scores"]) == len(document["factors"]) * 36
    assert document["factors"][0]["name"] == "factor 1"
    assert {"matrix", "parallel_analysis", "cross_validation", "explained", "noise", "traits", "sentence"} <= set(
        document
    )
    with Warehouse.open(law_warehouse, read_only=True) as warehouse:
        stored = warehouse.latent("law", "m")
    again = run(law_warehouse, "--save")
    assert again.exit_code == 0
    assert "they replace" not in again.stderr
    with Warehouse.open(law_warehouse, read_only=True) as warehouse:
        assert warehouse.latent("law", "m") == stored
        rows = warehouse.query("SELECT dataset FROM latent_scores WHERE factor = 1 AND side = 'source' ORDER BY -score")
        found = [row["dataset"] for row in document["scores"] if row["factor"] == 1 and row["side"] == "source"]
        assert rows["dataset"].to_pylist() == found
        with pytest.raises(UserError, match="no factors of 'law', 'm' by 'nmf' are stored. Find them with: .*--save"):
            warehouse.latent("law", "m", "nmf")
    assert stored.about["measured"] == document["measured"]
    assert [row["trait"] for row in stored.traits] == [row["trait"] for row in document["traits"]]


def test_factors_found_otherwise_are_replaced_in_words(law_warehouse: Path) -> None:
    saved = [
        run(law_warehouse, "--factors", "1", "--save", *form).stderr
        for form in ([], ["--centre", "double"], ["--standardise"])
    ]
    where = "latent_scores and latent_traits"
    assert f"{where}; they replace those with" not in saved[0]
    assert f"{where}; they replace those with centre target\n" in saved[1]
    assert f"{where}; they replace those with centre double and unit pp\n" in saved[2]


def test_new_scores_take_stored_factors_away(law_warehouse: Path) -> None:
    with Warehouse.open(law_warehouse) as warehouse:
        rows = warehouse.query("SELECT model, source, target, seed, metric, score, n, standard_error FROM scores")
        about = {
            "centre": "target",
            "unit": "pp",
            "sources": 18,
            "targets": 18,
            "measured": 1,
            "filled": 0,
            "factors": 0,
        }
        about |= {"parallel_factors": 0, "cross_validated_factors": 0, "seed": 0, "explained": float("nan")}
        warehouse.save_latent(LatentRecord("law", "m", "pca", about, (), (), ()))
        assert warehouse.latent("law", "m").about["explained"] is None
        at = rows.schema.get_field_index("score")
        other = rows.slice(0, 1).set_column(at, "score", pa.array([0.0123]))
        warehouse.save_scores(Matrix("law", "accuracy", "untuned", "again"), other)
        with pytest.raises(UserError, match="no factors of"):
            warehouse.latent("law", "m")


def test_what_was_found_is_told_before_a_map_is_refused(law_warehouse: Path, tmp_path: Path) -> None:
    refused = run(law_warehouse, "--factors", "1", "--plot", str(tmp_path / "map.svg"))
    assert refused.exit_code == 2
    assert "--factors 1 finds one. Use --factors 2, or leave out --plot." in refused.stderr
    drawn = run(law_warehouse, "--factors", "2", "--plot", str(tmp_path / "map.svg"))
    assert drawn.exit_code == 0
    assert drawn.stdout.startswith("2 factors in the 18 x 18 gains")
    assert (tmp_path / "map.svg").read_text().startswith("<svg")


def test_the_command_reads_well(law_warehouse: Path) -> None:
    result = run(law_warehouse, "--factors", "1", "--top", "2")
    assert result.exit_code == 0
    assert result.stdout.startswith("1 factor in the 18 x 18 gains of m on law, ")
    assert result.stdout.count(" highest ") == 4
    assert "Factors: share of the centred gains" in result.stdout
    refused = run(law_warehouse, "--factors", "99")
    assert refused.exit_code == 2
    assert f"Try: traitcast latent --matrix law --model m --warehouse {law_warehouse}" in refused.stderr
