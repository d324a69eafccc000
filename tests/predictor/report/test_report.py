"""The report: what is in it, what it says where something is missing, and that no text of a dataset becomes HTML."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import DEFINITIONS, make_profile
from traitcast.predictor import api
from traitcast.predictor.cli import evaluate, explain, fit, latent, predict, rank, report
from traitcast.predictor.report import datasets
from traitcast.predictor.report import predictor as report_predictor
from traitcast.predictor.report.headlines import headline
from traitcast.predictor.report.page import embedded, in_script, render
from traitcast.predictor.report.predictor import _offsets
from traitcast.predictor.report.sections import Report, Request, gather
from traitcast.predictor.report.transfer import _extremes, clustered
from traitcast.warehouse.console import printable
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import NotProfiledError, ScoresError, UserError
from traitcast.warehouse.records import Matrix, Profile

SCRIPT = "</script><script>window.hacked=1</script>"
HOSTILE = (SCRIPT, "<!--", "\"'`", "\u202eright to left\u202c", "\U0001f600 \u2028 end", "x" * 10_000)
KEYS = (
    *("overview", "transfer", "ranking", "explanations", "quality", "reasons"),
    *("datasets", "latent", "effects", "recipe"),
)


class Page(HTMLParser):
    """Elements of a page with their attributes, and the content of its scripts and style sheets."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] in ("script", "style") and self.cdata_elem:
            tag, attributes = self.elements[-1]
            self.raw.append((tag, attributes, data))

    def script(self, kind: str | None) -> list[str]:
        """Whole content of the scripts of one type (None: those that run)."""
        joined: dict[int, str] = {}
        for tag, attributes, data in self.raw:
            if tag == "script" and attributes.get("type") == kind:
                joined[id(attributes)] = joined.get(id(attributes), "") + data
        return list(joined.values())


def section(found: Report, key: str) -> Any:
    return next(s for s in found.sections if s.key == key)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report on the data that come with the package."""
    with Warehouse.open(tmp_path_factory.mktemp("report") / "none.duckdb", read_only=True) as warehouse:
        return gather(warehouse, Request(pairs=(("mnli", "rte"),), made="2026-01-01 00:00 UTC"))


@pytest.fixture
def hostile(warehouse_path: Path) -> Path:
    """A warehouse whose labels, warnings and models would like to be HTML."""
    counts = tuple((label, 10 + i) for i, label in enumerate(HOSTILE))
    made = make_profile("hostile", (6.0, 0.2, 20.0, 1.0, 1.0), counts)
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_profile(Profile(**{**fields(made), "details": {"split": "train", "warnings": [SCRIPT]}}))
        rows = pa.table(
            {
                "model": [SCRIPT] * 4,
                "source": ["", "hostile", "reviews", "maths"],
                "target": ["reviews"] * 4,
                "seed": pa.array([0] * 4, pa.int64()),
                "metric": ["accuracy"] * 4,
                "score": [0.5, 0.6, 0.7, 0.4],
                "n": pa.array([100] * 4, pa.int64()),
                "standard_error": [0.05] * 4,
            }
        )
        answers = {"model": [SCRIPT] * 12, "source": ["", "hostile"] * 6, "target": ["reviews"] * 12}
        answers |= {"seed": pa.array([0] * 12, pa.int64()), "n": pa.array(range(1, 13), pa.int64())}
        answers |= {"gold": [*HOSTILE, *HOSTILE], "predicted": [*HOSTILE, *reversed(HOSTILE)]}
        side_effects = {"predicted_labels": pa.table(answers)}
        warehouse.save_scores(Matrix("bad", "accuracy", "untuned", SCRIPT), rows, side_effects)
    return warehouse_path


def fields(profile: Profile) -> dict[str, Any]:
    return {name: getattr(profile, name) for name in profile.__dataclass_fields__}


def test_the_shipped_data_fill_every_section(shipped: Report) -> None:
    assert [s.key for s in shipped.sections] == list(KEYS)
    assert {s.key for s in shipped.sections if s.state != "complete"} == set()
    assert section(shipped, "ranking").data["unit"] == section(shipped, "quality").data["unit"] == "cnat"
    assert shipped.warehouse == "the data that come with traitcast"
    first = section(shipped, "transfer").data[0]
    assert first["matrix"] == "smollm2_84"
    assert np.shape(first["gain"]) == (len(first["sources"]), len(first["targets"]))
    assert [(e["source"], e["target"]) for e in section(shipped, "explanations").data] == [("mnli", "rte")]
    assert section(shipped, "datasets").data["pair"] == ["mnli", "rte"]


def test_the_numbers_are_those_of_the_commands(shipped: Report, tmp_path: Path) -> None:
    nowhere = ["--warehouse", str(tmp_path / "none.duckdb"), "--format", "json"]
    ranked = json.loads(CliRunner().invoke(rank, ["rte", *nowhere]).stdout)
    entries = section(shipped, "ranking").data["targets"]["rte"]
    assert [entry[0] for entry in entries] == [row["source"] for row in ranked]
    assert [entry[1] for entry in entries] == pytest.approx([row["gain"] for row in ranked], abs=0.0051)
    assert [entry[4:] for entry in entries] == [pytest.approx([row["low"], row["high"]], abs=0.0051) for row in ranked]
    shown = json.loads(CliRunner().invoke(explain, ["mnli", "rte", *nowhere]).stdout)
    bars = section(shipped, "explanations").data[0]["bars"]
    assert bars[0]["right"] - bars[0]["left"] == pytest.approx(abs(shown["base_value"]))
    assert bars[-1]["right"] - bars[-1]["left"] == pytest.approx(abs(shown["gain"]), abs=1e-5)


def test_gains_of_the_heatmap_are_those_of_the_view(shipped: Report, tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "none.duckdb", read_only=True) as warehouse:
        view = warehouse.query("SELECT matrix, model, source, target, gain FROM transfer_matrix").to_pylist()
    for entry in section(shipped, "transfer").data:
        mine = {(r["source"], r["target"]): r["gain"] for r in view if (r["matrix"], r["model"]) == which(entry)}
        for i, source in enumerate(entry["sources"]):
            for j, target in enumerate(entry["targets"]):
                gain = entry["gain"][i][j]
                assert (gain is None) == ((source, target) not in mine)
                assert gain is None or gain == pytest.approx(mine[source, target], abs=0.0051)


def which(entry: dict[str, Any]) -> tuple[str, str]:
    return entry["matrix"], entry["model"]


def test_an_empty_warehouse_says_what_to_run(warehouse_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = warehouse_path.with_name("empty.duckdb")
    with Warehouse.open(empty) as warehouse:
        found = gather(warehouse, Request())
    for key in ("transfer", "ranking", "explanations", "quality", "reasons", "datasets", "latent", "effects"):
        assert section(found, key).state == "missing", key
    page = render(found)
    for words in ("profile DATASET", "scores import FILE"):
        assert f"traitcast {words} --warehouse {empty}" in page


def test_profiles_alone_give_the_datasets_and_name_fit(warehouse_path: Path) -> None:
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        found = gather(warehouse, Request())
    data = section(found, "datasets").data
    assert [d["name"] for d in data["datasets"]] == ["maths", "reviews", "topics"]
    assert data["datasets"][1]["values"] == [2.0, 0.6, 20.0, 1.0, 1.0]
    assert data["datasets"][0]["values"][0] is None
    assert section(found, "datasets").notes == ("No percentiles are shown: they need more than 20 reference datasets.",)
    assert section(found, "ranking").missing[0].command == f"traitcast fit --warehouse {warehouse_path}"


def test_hostile_texts_stay_texts(hostile: Path) -> None:
    with Warehouse.open(hostile, read_only=True) as warehouse:
        text = render(gather(warehouse, Request()))
    page = Page(text)
    assert sum(tag == "script" for tag, _ in page.elements) == 3
    assert "window.hacked" not in "".join(page.script(None))
    data = json.loads(page.script("application/json")[0])
    at = {entry["name"]: entry for entry in data["sections"]["datasets"]["datasets"]}
    labels = [label for label, _ in at["hostile"]["labels"]]
    assert set(labels) == {*map(printable, HOSTILE[:-1]), "x" * (datasets.LABEL_LENGTH - 1) + "\u2026"}
    assert at["hostile"]["warnings"] == [SCRIPT]
    assert data["sections"]["transfer"][0]["model"] == SCRIPT
    effects = data["sections"]["effects"]
    assert effects["shifts"][0]["label_shift"][0]["source"] == "hostile"
    assert any(
        cell in map(printable, HOSTILE) for t in effects["sources"][0]["tables"] for row in t["rows"] for cell in row
    )
    # An isolated name still turns itself round, so that "evil" would be read as "live".
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", str(data) + text)
    assert len(text) < 1_300_000


def test_the_page_can_run_nothing_but_its_own_scripts(shipped: Report) -> None:
    text = render(shipped)
    page = Page(text)
    rule = next(a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv")) or ""
    assert rule.startswith("default-src 'none'")
    assert "unsafe" not in rule
    for script in page.script(None):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in rule
    assert not [a for tag, a in page.elements if tag in ("img", "link", "iframe", "object") or "src" in a]
    assert not [name for _, a in page.elements for name in a if name.startswith("on") or name == "style"]
    assert text.count("vegaEmbed=") + text.count("vegaEmbed =") == 1
    assert len(text.encode()) < 3_000_000
    assert render(shipped) == text


def test_the_page_has_landmarks_headings_and_labels(shipped: Report) -> None:
    page = Page(render(shipped))
    tags = [tag for tag, _ in page.elements]
    assert [tags.count(tag) for tag in ("header", "nav", "main", "footer", "h1")] == [1, 1, 1, 1, 1]
    ids = [a["id"] for _, a in page.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    labelled = {a.get("for") for tag, a in page.elements if tag == "label"}
    assert {a["id"] for tag, a in page.elements if tag in ("select", "input")} == labelled
    for _, attributes in page.elements:
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(ids)
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h\d", tag)]
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


@given(
    st.recursive(st.text() | st.floats() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_embedded_json_ends_no_script(value: Any) -> None:
    made = embedded(value)
    assert not re.search("[<>&\u2028\u2029]", made)
    again = json.loads(made)
    assert json.loads(embedded(again)) == again


def test_script_text_cannot_end_its_element() -> None:
    assert in_script("a = '</script><!-- x -->'\r\n") == "a = '<\\/script><\\!-- x -->'\n"


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(1, 6), st.randoms())
def test_clustering_orders_every_row_once(rows: int, columns: int, random: Any) -> None:
    gain = np.array([[random.choice([0.0, 1.0, np.nan, -5.0]) for _ in range(columns)] for _ in range(rows)])
    assert sorted(clustered(gain.reshape(rows, columns))) == list(range(rows))


def test_clustering_puts_like_rows_together() -> None:
    rng = np.random.default_rng(0)
    centres = 10 * rng.normal(size=(3, 8))
    kind = rng.permutation(np.repeat([0, 1, 2], 5))
    order = clustered(centres[kind] + rng.normal(size=(15, 8)))
    assert int((np.diff(kind[order]) != 0).sum()) == 2


def test_dots_of_like_value_spread_out_within_their_line() -> None:
    offsets = np.array(_offsets(np.array([0.0] * 10 + [5.0])))
    assert len(set(offsets[:10])) == 10
    assert abs(offsets).max() <= 1
    assert offsets[10] == 0


def test_more_datasets_than_fit_keep_those_that_matter(warehouse_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "MAX_DATASETS", 2)
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        assert datasets.chosen(warehouse, ["topics", "unknown"], ["reviews"]) == ["topics", "maths"]
        with monkeypatch.context() as patch:
            patch.setattr(datasets, "own_names", lambda _: ["topics"])
            assert datasets.chosen(warehouse, [], ["reviews"]) == ["topics", "reviews"]
        found = gather(warehouse, Request())
    assert section(found, "datasets").data["left_out"] == 1


def test_a_stored_evaluation_is_shown_and_goes_with_the_scores(tmp_path: Path) -> None:
    path = tmp_path / "mine.duckdb"
    arguments = ["--matrix", "prompt_transferability", "--no-baselines", "--warehouse", str(path), "--format", "json"]
    fitted = CliRunner().invoke(fit, ["--matrix", "prompt_transferability", "--warehouse", str(path)])
    assert fitted.exit_code == 0, fitted.stderr
    first = CliRunner().invoke(evaluate, [*arguments, "--save"])
    assert first.exit_code == 0
    assert "table evaluations" in first.stderr
    assert CliRunner().invoke(evaluate, [*arguments, "--save"]).exit_code == 0
    with Warehouse.open(path) as warehouse:
        stored = warehouse.evaluations("prompt_transferability")
        assert [(e["protocol"], e["seed"], e["model"]) for e in stored] == [("new-target", 0, None)]
        assert stored[0]["result"] == json.loads(first.stdout)
        scores = warehouse.query(
            "SELECT model, source, target, seed, metric, score, n, standard_error FROM scores "
            "WHERE matrix = 'prompt_transferability'"
        )
        predictor = api.predictor_of(warehouse)
        assert report_predictor.quality(warehouse, predictor, lambda _: None) is not None
        matrix = next(m for m in warehouse.matrices() if m.matrix == "prompt_transferability")
        warehouse.save_scores(matrix, scores.slice(0, 10))
        assert warehouse.evaluations("prompt_transferability") == []
        others = pc.subtract(1.0, scores["score"])
        warehouse.save_scores(matrix, scores.set_column(scores.column_names.index("score"), "score", others))
        told = r"have changed since the predictor learnt from them\. Fit it again: traitcast fit --matrix prompt_tran"
        with pytest.raises(ScoresError, match=told):
            report_predictor.quality(warehouse, predictor, lambda _: None)


def test_unknown_names_are_told(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "none.duckdb", read_only=True) as warehouse:
        with pytest.raises(
            ScoresError, match="no matrix named 'prompt_transfer'; did you mean 'prompt_transferability'"
        ):
            gather(warehouse, Request(matrix="prompt_transfer"))
        with pytest.raises(ScoresError, match="no model 'T6'"):
            gather(warehouse, Request(matrix="prompt_transferability", model="T6"))
        with pytest.raises(UserError, match="no predictor named 'mine'"):
            gather(warehouse, Request(predictor="mine"))
        with pytest.raises(NotProfiledError, match="'mnlo' is not profiled; did you mean 'mnli'"):
            gather(warehouse, Request(pairs=(("mnlo", "rte"),)))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--pairs", "mnli"], "--pairs 'mnli' is not SOURCE:TARGET"),
        (["--pairs", "mnli:mnli"], "names one dataset twice"),
        (["--model", "T5"], "--model 'T5' needs the matrix it belongs to"),
        (["-o", "no/where.html"], "does not exist. Choose another file with --output"),
        (["-o", "data.csv"], "data.csv exists and is not an HTML file"),
        (["-o", "/proc/report.html"], "cannot write /proc/report.html"),
    ],
)
def test_bad_options_are_told(arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("a")
    result = CliRunner().invoke(report, [*arguments, "--warehouse", "none.duckdb"])
    assert result.exit_code == 2
    assert told in result.stderr
    assert "predicting" not in result.stderr  # before any work
    assert [file.name for file in tmp_path.iterdir()] == ["data.csv"]


def test_the_command_writes_the_page(warehouse_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = warehouse_path.with_name("page.html")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    arguments = ["-o", str(output), "--warehouse", str(warehouse_path), "--format", "json"]
    result = CliRunner().invoke(report, arguments)
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["bytes"] == output.stat().st_size
    assert [s["section"] for s in told["sections"]] == [KEYS[0], "yours", *KEYS[1:]]
    page = output.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "1970-01-01 00:00 UTC" in page
    assert DEFINITIONS[0].trait in page


def test_commands_draw(tmp_path: Path) -> None:
    nowhere = ["--warehouse", str(tmp_path / "none.duckdb"), "--plot"]
    matrix = ["--matrix", "prompt_transferability", "--model", "T5", "--factors", "2"]
    for run, arguments, word in (
        (predict, ["mnli", "rte"], "mnli on rte"),
        (rank, ["rte", "--sources", "mnli,sst2"], "sst2"),
        (explain, ["mnli", "rte", "--top", "3"], "base value"),
        (latent, matrix, "T5 on prompt_transferability"),
    ):
        drawn = tmp_path / f"{run.name}.svg"
        result = CliRunner().invoke(run, [*arguments, *nowhere, str(drawn)])
        assert result.exit_code == 0, result.stderr
        assert word in drawn.read_text()
        assert f"drew {drawn}" in result.stderr


@pytest.fixture(scope="module")
def with_own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped data, a matrix "mine" with errors, and a dataset "zoo" with the rows of sst2."""
    path = tmp_path_factory.mktemp("own") / "own.duckdb"
    names = ["mnli", "sst2", "qqp", "zoo"]
    pairs = [(s, t) for t in names for s in ["", *names]]
    rows = pa.table(
        {
            "model": ["tiny"] * len(pairs),
            "source": [s for s, _ in pairs],
            "target": [t for _, t in pairs],
            "seed": pa.array([0] * len(pairs), pa.int64()),
            "metric": ["accuracy"] * len(pairs),
            "score": [0.5 + (0.3 * ((3 * i) % 7 - 3) / 3 if s else 0.0) for i, (s, _) in enumerate(pairs)],
            "n": pa.array([100] * len(pairs), pa.int64()),
            "standard_error": [0.03] * len(pairs),
        }
    )
    with Warehouse.open(path) as warehouse:
        twin = warehouse.profile("sst2")
        warehouse.save_profile(Profile(**{**fields(twin), "name": "zoo"}))
        warehouse.save_scores(Matrix("mine", "accuracy", "untuned", ""), rows)
    return path


def test_rankings_say_what_they_learnt_from_and_what_is_measured(with_own: Path) -> None:
    with Warehouse.open(with_own, read_only=True) as warehouse:
        found = gather(warehouse, Request(matrix="mine", model="tiny"))
    ranking = section(found, "ranking").data
    assert (ranking["learnt"], ranking["measured_in"]) == ("smollm2_84", "mine (tiny)")
    assert ranking["measured_base"] == "the untuned model"
    assert ranking["axis"].startswith("gain over the untuned model")
    assert ranking["measured"] == {}, "mine was not scored by the metric of the predictor"
    for key in ("overview", "ranking", "explanations", "quality"):
        (other,) = section(found, key).more
        assert other.what.startswith("This predictor learnt from smollm2_84, not from mine.")
        assert other.command == f"traitcast fit --matrix mine --model tiny --warehouse {with_own}"
    assert section(found, "quality").data["matrix"] == "smollm2_84"
    assert any("of the predictor on smollm2_84" in words for _, words in section(found, "overview").data["facts"])
    matrices = next(t for t in section(found, "recipe").data["tables"] if t["title"] == "Matrices")
    assert [row[0] for row in matrices["rows"]] == ["mine", "smollm2_84"]


@pytest.fixture(scope="module")
def own_report(with_own: Path) -> Report:
    with Warehouse.open(with_own, read_only=True) as warehouse:
        return gather(warehouse, Request())


def test_own_data_come_first(own_report: Report) -> None:
    found = own_report
    assert which(section(found, "transfer").data[0]) == ("mine", "tiny")
    assert section(found, "transfer").data[0]["own"] == ["zoo"]
    ranking = section(found, "ranking").data
    assert (ranking["own"], ranking["first"]) == (["zoo"], "zoo")
    assert ranking["same"] == {"sst2": ["zoo"], "zoo": ["sst2"]}
    # The twin is no telling source.
    assert section(found, "explanations").data[0]["source"] != "sst2"
    assert section(found, "datasets").data["datasets"][0]["name"] == "zoo"
    assert section(found, "effects").data["sources"][0]["source"] == "zoo"
    latent = section(found, "latent")
    assert len(latent.data) == 1
    assert "more maps. To see one:" in latent.more[0].what
    assert section(found, "ranking").more == ()


def test_own_data_have_findings_and_distributions_and_a_headline(own_report: Report) -> None:
    yours = section(own_report, "yours")
    (zoo,) = yours.data
    assert (zoo["name"], {found["severity"] for found in zoo["findings"]} <= {"error", "warning", "info"}) == (
        "zoo",
        True,
    )
    assert sum(row["share"] for row in zoo["classes"]) == pytest.approx(1)
    (prompt,) = [one for one in zoo["histograms"] if one["axis"] == "words of the prompt"]
    assert sum(row["share"] for row in prompt["rows"]) == pytest.approx(1)
    assert yours.headline.endswith("zoo.")


def test_headlines_say_what_the_numbers_say() -> None:
    gain = [[5.0, 4.0, 6.0, 5.0, 5.5], [-3.0, -2.5, -3.5, -3.0, -2.0], [9.0, -9.0, 1.0, -1.0, 0.5]]
    shown = {"matrix": "m", "sources": ["a", "b", "c"], "targets": list("vwxyz"), "gain": gain}
    told = headline("transfer", [shown])
    assert told.startswith(
        "In m, 1 source of 3 raises the other targets on average beyond two standard errors, 1 lowers"
    )
    assert "a helps most" in told
    alone = {**shown, "gain": [[1.0, None, None, None, None]] * 3}
    assert headline("transfer", [alone]) == ""
    assert headline("ranking", {"silent": True, "learnt": "m"}).startswith("No order of sources is claimed: in m,")
    run = {"targets": 9, "model": {"spearman": {"value": 0.31, "low": 0.12, "high": 0.5}}}
    assert headline("quality", {"evaluations": [run]}) == (
        "On 9 targets that it had not seen, it ranks sources better than chance: Spearman 0.31 [0.12, 0.50]."
    )
    run["model"]["spearman"]["low"] = -0.1
    assert "not clearly better than chance" in headline("quality", {"evaluations": [run]})


def test_extremes_name_a_target_once() -> None:
    rows = [
        {"source": s, "target": t, "gain": g, "standard_error": 1.0, "gains": [g]}
        for s, t, g in [("a", "x", 9.0), ("b", "x", 8.0), ("a", "y", 7.0), ("b", "y", -2.0), ("c", "x", -1.0)]
    ]
    found = _extremes(rows, {"x"})
    assert [(row["source"], row["target"]) for row in found] == [("a", "x"), ("a", "y"), ("b", "y"), ("c", "x")]
    assert [row["one_answer"] for row in found] == [True, False, False, True]


def test_the_best_and_the_worst_gain_carry_their_error_and_matrix(own_report: Report, shipped: Report) -> None:
    found = own_report
    best, worst = [fact for fact in section(found, "overview").data["facts"] if "measured gain" in fact[1]]
    # sqrt(2) times that of one score: the untuned model's has one too.
    assert re.fullmatch(r"\+\d+\.\d\u00a0pp", best[0])
    assert re.fullmatch(r"\u2212\d+\.\d\u00a0pp", worst[0])
    assert all(re.fullmatch(r"± 4\.\d: .*\(tiny in mine\)", words) for _, words in (best, worst))
    facts = [fact for fact in section(shipped, "overview").data["facts"] if "measured gain" in fact[1]]
    assert all(re.fullmatch(r"\u00b1 \d+\.\d: .*\(smollm2 in smollm2_84\)", words) for _, words in facts)
    words = section(found, "overview").data["words"][0]
    assert re.search("in mine, smollm2_84, .*smollm2_interventions, that of the untuned model", words)
    assert "in prompt_transferability, that of an average source" in words


def test_a_warehouse_that_is_not_there_is_told_where_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path))
    named = CliRunner().invoke(report, ["--warehouse", "nope.duckdb"])
    assert "nope.duckdb does not exist: the report shows the data that come with traitcast" in named.stderr
    told = "&#39;nope.duckdb&#39; does not exist: this page shows the data that come with traitcast."
    assert told in Path("report.html").read_text()
    usual = CliRunner().invoke(report, [])
    assert usual.exit_code == 0
    assert "does not exist" not in usual.stderr
    assert "does not exist: this page shows" not in Path("report.html").read_text()
    assert "datasets: No dataset is profiled yet. traitcast profile DATASET" in usual.stderr


def test_rank_says_when_a_source_is_the_target_under_another_name(with_own: Path) -> None:
    result = CliRunner().invoke(rank, ["zoo", "--sources", "sst2,mnli", "--warehouse", str(with_own)])
    assert result.exit_code == 0, result.stderr
    assert "sst2: the same rows as 'zoo' under another name, so no useful source\n" in result.stderr
    assert (
        "another name"
        not in CliRunner().invoke(rank, ["zoo", "--sources", "mnli", "--warehouse", str(with_own)]).stderr
    )


def test_pictures_say_over_what_a_gain_is(tmp_path: Path) -> None:
    nowhere = ["--warehouse", str(tmp_path / "none.duckdb"), "--plot", str(tmp_path / "x.svg")]
    over = "gain over the untuned model, cnat"
    for run, axis in ((predict, f"predicted {over} (line: 90 % interval)"), (explain, f"predicted {over}")):
        assert CliRunner().invoke(run, ["mnli", "rte", *nowhere]).exit_code == 0
        assert f">{axis}<" in (tmp_path / "x.svg").read_text()
