"""Profiles in the warehouse: stored once, found again, replaced only when something changed."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from traitcast.profiler.parsing.parser import MODELS
from traitcast.profiler.request import Request
from traitcast.profiler.service import (
    as_before,
    ensure_all_profiled,
    ensure_profiled,
    profile_dataset,
    profile_into,
    refuse_one_name,
)
from traitcast.warehouse.database import release
from traitcast.warehouse.database.profiles import measure_again
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import InputError, NotProfiledError, UserError

ROWS = [{"ticket": f"My bike number {i} has a flat tyre.", "team": "repair" if i % 3 else "billing"} for i in range(12)]


@pytest.fixture(autouse=True)
def no_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "none"))


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    file = tmp_path / "my tickets.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    file = tmp_path / "roles.yaml"
    file.write_text("task_type: classification\ntext_fields: [ticket]\nlabel_field: team\n")
    return file


def test_unknown_columns_ask_for_a_spec_with_the_command(tickets: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    with pytest.raises(InputError, match=r"traitcast profile '.*my tickets.jsonl' --spec roles.yaml"):
        ensure_profiled(str(tickets), path)
    with Warehouse.open(path, read_only=True) as warehouse:
        assert warehouse.dataset_names() == []


def test_profile_once_then_reuse_until_something_changes(tickets: Path, roles: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    request = Request(str(tickets), spec=roles)
    first, computed = profile_into(path, request)
    assert computed
    again, computed = profile_into(path, request)
    assert not computed
    assert again.traits == first.traits
    assert profile_into(path, Request(str(tickets), spec=roles, seed=1))[1]
    assert profile_into(path, Request(str(tickets), spec=roles, seed=1), force=True)[1]
    with tickets.open("a") as rows:
        rows.write(json.dumps({"ticket": "One more.", "team": "billing"}) + "\n")
    changed, computed = profile_into(path, request)
    assert computed
    assert changed.rows == 13
    assert changed.fingerprint != first.fingerprint


def test_where_the_rows_were_published_is_kept_and_followed(tickets: Path, roles: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    assert "published" not in profile_into(path, Request(str(tickets), spec=roles))[0].details
    stated = roles.read_text()
    for origin, kept in (("github.com/a/b@1:x.csv", ["github.com/a/b@1:x.csv"]), ("[a, 3, b]", ["a", "b"])):
        roles.write_text(f"{stated}origin: {origin}\n")
        profile, computed = profile_into(path, Request(str(tickets), spec=roles))
        assert computed, "the spec says something else now"
        assert profile.details["published"] == kept
        assert not profile_into(path, Request(str(tickets), spec=roles))[1]


def test_the_spec_of_a_file_is_given_once(tickets: Path, roles: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    profile_into(path, Request(str(tickets), name="mine", spec=roles, rows=5, seed=3))
    before = Path(path).read_bytes()
    assert ensure_profiled(str(tickets), path) == "mine"
    assert ensure_profiled("mine", path) == "mine"
    assert Path(path).read_bytes() == before
    # What it is a variant of is told anew.
    told = tmp_path / "told.yaml"
    told.write_text(roles.read_text() + "\nparent: sst2\nchanged: half dataset_rows\n")
    request = Request(str(tickets), name="mine", spec=told, rows=5, seed=3)
    made, again = profile_into(path, request)
    assert (made.parent, made.changed, again) == ("sst2", "half dataset_rows", True)
    assert not profile_into(path, request)[1]


def test_a_profile_keeps_tokens_and_languages(tmp_path: Path) -> None:
    english = "this is the time that we have been to the old mill and the river with all of them, row"
    russian = "Сегодня мы долго гуляли по старому городу"
    rows = [*(f"{english} {n}" for n in range(20)), russian]
    file = tmp_path / "mixed.csv"
    file.write_text("text,label\n" + "".join(f'"{text}",{"ab"[n % 2]}\n' for n, text in enumerate(rows)), "utf-8")
    request = Request(str(file), processes=1)
    path = str(tmp_path / "w.duckdb")
    made, _ = profile_into(path, request)
    assert made.details["languages"] == {"en": 20, "Cyrillic": 1}
    bins = [(one.low, one.high, one.n) for one in made.length_histograms if (one.part, one.unit) == ("row", "tokens")]
    assert bins == [(16, 24, 21)]
    with Warehouse.open(path, read_only=True) as warehouse:
        assert warehouse.profile("mixed").length_histograms == made.length_histograms
    assert not profile_into(path, request)[1]
    with pytest.raises(UserError, match="neither a folder here nor a hub id"):
        profile_into(path, replace(request, tokenizer="no/such/place"))


def test_the_roles_of_a_file_are_given_once(tickets: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    request = Request(str(tickets), roles=("text=ticket", "label=team"), language="en")
    first, _ = profile_into(path, request)
    assert (first.details["roles"]["label_field"], first.language) == ("team", "en")
    before = Path(path).read_bytes()
    assert ensure_profiled(str(tickets), path) == first.name
    assert Path(path).read_bytes() == before
    # Other roles or another language are another profile.
    assert profile_into(path, replace(request, roles=("answer=ticket text=team",)))[1]
    assert profile_into(path, replace(request, roles=("answer=ticket text=team",), language="de"))[1]


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_hub_dataset_is_not_fetched_again(
    tickets: Path, roles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is off: only what is stored can answer."""
    from huggingface_hub import constants

    from traitcast.profiler.traits import catalogue

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    path = str(tmp_path / "w.duckdb")
    made = profile_dataset(Request(str(tickets), name="shop_fr", spec=roles))
    details = {**made.details, "origin": "org/shop", "revision": COMMIT, "config": "fr", "spec": None}
    with Warehouse.open(path) as warehouse:
        warehouse.sync_catalogue(catalogue.CATALOGUE, catalogue.VERSION)
        warehouse.save_profile(replace(made, details=details))
        stored = warehouse.profile("shop_fr")
    assert ensure_profiled("org/shop", path) == "shop_fr"
    request = as_before("org/shop", stored)
    assert (request.name, request.config, request.revision) == ("shop_fr", "fr", COMMIT)
    # Measured with older definitions, it is read again, at the same commit and configuration.
    with Warehouse.open(path) as warehouse:
        warehouse.save_profile(replace(made, details=details | {"catalogue_version": 0}))
    with pytest.raises(InputError, match="cannot fetch org/shop: HF_HUB_OFFLINE is set"):
        ensure_profiled("org/shop", path)
    with Warehouse.open(path, read_only=True) as warehouse:
        again = measure_again(warehouse.profile("shop_fr"))
    assert f"org/shop --name shop_fr --split all --config fr --revision {COMMIT} --rows all" in again


def test_test_rows_in_train_are_warned_of(tmp_path: Path) -> None:
    rows = [{"text": f"My bike number {i} has a flat tyre.", "label": "ab"[i % 2]} for i in range(20)]
    (tmp_path / "data").mkdir()
    for split, kept in (
        ("train", rows),
        ("test", [*rows[:2], *({"text": f"new {i}", "label": "a"} for i in range(6))]),
    ):
        (tmp_path / "data" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    warnings = profile_dataset(Request(str(tmp_path / "data"))).details["warnings"]
    assert any("25.0% of the rows of the other splits have a prompt that split 'train' has too" in w for w in warnings)


def pipeline_folder(folder: Path, version: str) -> Path:
    """A spaCy pipeline in a folder: links to the installed one, under another version."""
    package = next(find_spec(name) for name in MODELS if find_spec(name))
    assert package is not None
    assert package.origin is not None
    installed = next(path.parent for path in Path(package.origin).parent.glob("*/config.cfg"))
    folder.mkdir(parents=True)
    for part in installed.iterdir():
        (folder / part.name).symlink_to(part)
    meta = json.loads((installed / "meta.json").read_text())
    (folder / "meta.json").unlink()
    (folder / "meta.json").write_text(json.dumps(meta | {"version": version}))
    return folder


def stored_model(path: str, name: str) -> str:
    with Warehouse.open(path, read_only=True) as warehouse:
        return str(warehouse.profile(name).details["spacy_model"])


def test_the_spacy_pipeline_of_a_file_is_given_once(
    tickets: Path, roles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "w.duckdb")
    folder = pipeline_folder(tmp_path / "my model", "9.1")
    monkeypatch.chdir(tmp_path)
    request = Request(str(tickets), name="mine", spec=roles, spacy_model="my model")
    assert profile_into(path, request)[1]
    model = f"{folder} 9.1, spacy {version('spacy')}"
    assert stored_model(path, "mine") == model
    # By the same folder in other words, and by the file alone from another place, nothing is done again.
    assert not profile_into(path, replace(request, spacy_model="./my model/"))[1]
    monkeypatch.chdir(tmp_path.parent)
    before = Path(path).read_bytes()
    assert ensure_profiled(str(tickets), path) == "mine"
    assert Path(path).read_bytes() == before
    # A changed file is measured with it too.
    with tickets.open("a") as rows:
        rows.write(json.dumps({"ticket": "One more.", "team": "billing"}) + "\n")
    ensure_profiled(str(tickets), path)
    assert Path(path).read_bytes() != before
    assert stored_model(path, "mine") == model
    # A new version of the pipeline is a reason to profile again; a pipeline that is gone is none.
    shutil.rmtree(folder)
    assert not profile_into(path, replace(request, spacy_model=str(folder)))[1]
    pipeline_folder(folder, "9.2")
    assert profile_into(path, replace(request, spacy_model=str(folder)))[1]


def test_a_pipeline_that_is_not_there_is_refused_before_anything_is_stored(
    tickets: Path, roles: Path, tmp_path: Path
) -> None:
    path = str(tmp_path / "w.duckdb")
    with pytest.raises(UserError, match=r"spaCy model 'no_such_model' cannot be loaded"):
        profile_into(path, Request(str(tickets), spec=roles, spacy_model="no_such_model"))
    assert not Path(path).exists()


def test_a_file_whose_name_is_no_utf8(roles: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    folder = tmp_path / os.fsdecode(b"b\xfccher")
    folder.mkdir()
    file = folder / os.fsdecode(b"caf\xe9.jsonl")
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    spec = folder / "roles.yaml"
    spec.write_bytes(roles.read_bytes())
    profile, _ = profile_into(path, Request(str(file), spec=spec))
    assert profile.name == "caf"
    assert profile.details["origin"] == f"{tmp_path}/b\\xfccher/caf\\xe9.jsonl"
    before = Path(path).read_bytes()
    assert ensure_profiled(str(file), path) == "caf"
    assert Path(path).read_bytes() == before


def test_two_inputs_of_one_name_are_refused_before_any_work(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x y.jsonl").write_text('{"text": "a", "label": "b"}\n')
    one, two = (str(tmp_path / folder / "x y.jsonl") for folder in "ab")
    with pytest.raises(UserError, match=rf"{one} and {two} would both be stored as 'x_y'.*profile '{two}' --name NAME"):
        refuse_one_name([Request(one), Request("gone.csv"), Request(two)])
    (tmp_path / "b" / "dataset.yaml").write_text("name: other\ntext_fields: [text]\nlabel_field: label\n")
    refuse_one_name([Request(one), Request(two)])
    refuse_one_name([Request("org/x"), Request("org/x", config="fr"), Request(one, name="mine"), Request(one)])
    with pytest.raises(UserError, match="org/x and elsewhere/x would both be stored as 'x'"):
        refuse_one_name([Request("org/x"), Request("elsewhere/x")])


def test_a_word_that_is_neither_name_nor_file(tmp_path: Path) -> None:
    with pytest.raises(NotProfiledError, match="no profile of 'gsm8j'"):
        ensure_profiled("gsm8j", str(tmp_path / "w.duckdb"))
    with pytest.raises(InputError):
        ensure_profiled("./nothing.jsonl", str(tmp_path / "w.duckdb"))
    with pytest.raises(InputError, match="neither a file or folder here"):
        ensure_profiled("./" + "x" * 300, str(tmp_path / "w.duckdb"))


def test_profiles_are_the_same_bytes_each_time(tickets: Path, roles: Path, tmp_path: Path) -> None:
    exports = []
    for i in (1, 2):
        path = str(tmp_path / f"{i}.duckdb")
        profile_into(path, Request(str(tickets), spec=roles, processes=i))
        with Warehouse.open(path, read_only=True) as warehouse:
            release.export(warehouse, tmp_path / str(i))
        exports.append({file.name: file.read_bytes() for file in sorted((tmp_path / str(i)).iterdir())})
    assert exports[0].keys() >= {"datasets.parquet", "traits.parquet", "sketches.parquet"}
    assert exports[0] == exports[1]


def test_replacing_a_shipped_profile_says_so_and_how_to_get_it_back(
    tickets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TRAITCAST_REFERENCE")
    path = str(tmp_path / "w.duckdb")
    request = Request(str(tickets), name="alpaca", roles=("text=ticket", "label=team"))
    profile_into(path, request)
    shipped = f"'alpaca' is one of the 84 datasets that come with traitcast; this profile, of other content, takes its \
place in {path}. Get it back: traitcast datasets --restore alpaca --warehouse {path}; to keep both give --name NAME"
    assert f"warning: {shipped}" in capsys.readouterr().err.splitlines()
    # From here on it is a profile of the user's.
    profile_into(path, replace(request, seed=1))
    assert "come with traitcast" not in capsys.readouterr().err
    with tickets.open("a") as rows:
        rows.write(json.dumps({"ticket": "One more.", "team": "billing"}) + "\n")
    profile_into(path, request)
    assert "warning: replacing the profile of 'alpaca', which had other content" in capsys.readouterr().err


def test_a_german_file_gets_no_english_traits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    german = "Die Kette ist auf dem Weg zur Arbeit abgesprungen, und der Laden war schon geschlossen, Rad"
    rows = [{"text": f"{german} {i}.", "label": "ab"[i % 2]} for i in range(20)]
    file = tmp_path / "rad.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = str(tmp_path / "w.duckdb")
    told, _ = profile_into(path, Request(str(file)))
    assert told.language == "de"
    assert {t.trait: t.value for t in told.traits}["prompt_flesch_reading_ease"] is None
    said = capsys.readouterr().err
    assert "language de by its function words" in said
    assert "warning: rad: language is 'de': what rests on English" in said
    assert not profile_into(path, Request(str(file)))[1]
    overruled, computed = profile_into(path, Request(str(file), language="en"))
    assert computed
    assert {t.trait: t.value for t in overruled.traits}["prompt_flesch_reading_ease"] is not None


def test_roles_can_be_stated_where_a_file_is_named(tickets: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    with pytest.raises(InputError, match="cannot tell the roles of the columns"):
        ensure_profiled(str(tickets), path)
    name = ensure_profiled(str(tickets), path, roles=("text=ticket label=team",), spec=None)
    assert ensure_profiled(str(tickets), path) == name
    assert ensure_profiled(str(tickets), path, roles="text=ticket label=team") == name
    with pytest.raises(UserError, match=r"is profiled already; --roles says how to read a file"):
        ensure_profiled(name, path, roles=("text=ticket",))


def test_roles_are_of_the_one_dataset_that_is_a_file(tickets: Path, roles: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    told = {"roles": ("text=ticket label=team",)}
    for name in ("a", "b"):
        profile_into(path, Request(str(tickets), name, spec=roles))
    file = tmp_path / "new.jsonl"
    file.write_bytes(tickets.read_bytes())
    assert ensure_all_profiled(["a", str(file)], path, **told) == ["a", "new"]
    with Warehouse.open(path, read_only=True) as warehouse:
        assert warehouse.profile("new").details["roles_stated"] == ["text=ticket label=team"]
    assert ensure_all_profiled([str(file), "a"], path) == ["new", "a"]
    with pytest.raises(
        UserError, match=r"--roles is about one file, .* and a and b are profiled already. Profile one by"
    ):
        ensure_all_profiled(["a", "b"], path, **told)
    with pytest.raises(UserError, match=r"are both read. Profile one by itself: .*--roles 'text=ticket label"):
        ensure_all_profiled([str(tickets), str(file)], path, **told)


def test_a_sample_that_was_cut_for_time_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from traitcast.profiler import profile as profiling

    monkeypatch.setattr(profiling, "PARSED_CHARACTERS", 1)
    monkeypatch.setattr(profiling, "LEAST_ROWS", 10)
    file, path = tmp_path / "long.csv", str(tmp_path / "w.duckdb")
    file.write_text("text,label\n" + "".join(f"a river {n},{'ab'[n % 2]}\n" for n in range(40)), "utf-8")
    made, _ = profile_into(path, Request(str(file), processes=1))
    assert (made.details["sample_rows"], made.details["sample_asked"]) == (10, 40)
    assert not profile_into(path, Request(str(file), processes=1))[1]
    assert as_before(str(file), made).rows == Request(str(file)).rows
