"""Stored predictors that were changed on purpose: refused when they are loaded, or of use."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from traitcast.cli import cli
from traitcast.predictor.api import explain_pair, impact, predict_pair, rank_sources, what_if_pair
from traitcast.predictor.model.bundle import from_json
from traitcast.warehouse.database.schema import SHIPPED
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import UserError

# How many documents; more by hand: TRAITCAST_FUZZ=1000 pytest tests/predictor/model/test_bundle_check.py
EXAMPLES = int(os.environ.get("TRAITCAST_FUZZ", "25"))
NAN, INFINITE = float("nan"), float("inf")
ODD: list[Any] = [None, True, 0, 1, -1, 7, 0.0, 0.5, -1.0, 1e-300, 1e300, 10**400, NAN, INFINITE, -INFINITE]
ODD += ["", "x", "1", "\ud800", "a\nb", "d01", [], {}, [0], [[1.0], 2], {"x": 1}, [None] * 8, [[[]]] * 3]


@pytest.fixture(scope="module")
def stored(warehouses: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with the predictor "default", for this file."""
    return Path(shutil.copy(warehouses[1], tmp_path_factory.mktemp("stored") / "w.duckdb"))


@pytest.fixture
def document(stored: Path) -> dict[str, Any]:
    return bundle(stored)


def bundle(stored: Path) -> dict[str, Any]:
    """The document of the stored predictor, without its digest."""
    with Warehouse.open(stored, read_only=True) as warehouse:
        found: dict[str, Any] = json.loads(warehouse.predictor("default").bundle)
    del found["digest"]
    assert all("booster" in layer for layer in found["layers"].values())
    return found


def tree(document: dict[str, Any]) -> dict[str, Any]:
    booster = document["layers"]["new source"]["booster"]
    found: dict[str, Any] = booster["learner"]["gradient_booster"]["model"]["trees"][0]
    return found


Change = Callable[[dict[str, Any]], object]
CHANGES: tuple[tuple[str, Change], ...] = (
    ("the document is an object, not complete: it lacks 'gains'", lambda d: d.pop("gains")),
    ("the document is an object, not one with a 'more'", lambda d: d.update(more=1)),
    (r"names\[1\] is 7, not a text", lambda d: d["names"].__setitem__(1, 7)),
    (r"names is a list of 18, not without repetitions", lambda d: d["names"].__setitem__(1, "d00")),
    (r"about.models is a list of 0", lambda d: d["about"]["models"].clear()),
    (r"about.half_width is 'x', not a number", lambda d: d["about"].update(half_width="x")),
    (r"about.settings.features is an object, not complete", lambda d: d["about"]["settings"]["features"].pop("tier")),
    (r"about.outcome is 'x', not one of 'gain'", lambda d: d["about"].update(outcome="x")),
    (r"likeness\[2\]\[0\] is a list of 17, not of length 18", lambda d: d["likeness"][2][0].pop()),
    (r"likeness\[0\]\[0\]\[3\] is nan", lambda d: d["likeness"][0][0].__setitem__(3, NAN)),
    (r"gains.level is a list of 1, not known", lambda d: d["gains"]["level"][0].__setitem__(0, None)),
    (r"gains.spread is a list of 1, not known", lambda d: d["gains"]["spread"][0].__setitem__(0, 0.0)),
    (
        r"gains.reliability\[0\]\[0\] is 2, not a number of 0 to 1",
        lambda d: d["gains"]["reliability"][0].__setitem__(0, 2),
    ),
    (r"scales\[0\] is 0.0, not a number of 1e-20", lambda d: d["scales"].__setitem__(0, 0.0)),
    (r"centres\[0\] is 1e\+300", lambda d: d["centres"].__setitem__(0, 1e300)),
    (r"centres\[0\] is 1000", lambda d: d["centres"].__setitem__(0, 10**400)),
    (r"spread.mean\[0\] is 900.0, not a number of -100 to 100", lambda d: d["spread"]["mean"].__setitem__(0, 900.0)),
    (r"measured\['d01'\]\['d02'\] is a list of 0", lambda d: d["measured"]["d01"]["d02"].clear()),
    (r"a key of measured is 'x', not one of 'd00'", lambda d: d["measured"].update(x={})),
    (r"features\[0\].trait is 'x', not anything that", lambda d: d["features"][0].update(trait="x")),
    (r"traits is a list of 8, not without repetitions", lambda d: d["traits"].__setitem__(1, d["traits"][0])),
    (r"residuals.*share is a list of \d+, not as long", lambda d: d["residuals"]["measured source"]["share"].pop()),
    (r"residuals.*values is a list of \d+, not in order", lambda d: d["residuals"]["new source"]["values"].reverse()),
    (r"seen.sources.profiles\[0\] is a list of 7", lambda d: d["seen"]["sources"]["profiles"][0].pop()),
    (r"layers.new source.kind is 'nothing', not in agr", lambda d: d["layers"]["new source"].update(kind="nothing")),
    (
        r"layers.*trees\[0\].split_indices\[0\] is 10000000, not",
        lambda d: tree(d)["split_indices"].__setitem__(0, 10**7),
    ),
    (r"layers.*left_children.* is a list of 2, not the children", lambda d: tree(d)["left_children"].__setitem__(1, 0)),
    (
        r"layers.*trees\[0\].left_children\[0\] is 4000000, not",
        lambda d: tree(d)["left_children"].__setitem__(0, 4 * 10**6),
    ),
    (r"layers.*trees\[0\].sum_hessian\[0\] is 0.0, not a number", lambda d: tree(d)["sum_hessian"].__setitem__(0, 0.0)),
    (
        r"layers.*trees\[0\].base_weights\[0\] is 1, not a number with",
        lambda d: tree(d)["base_weights"].__setitem__(0, 1),
    ),
)


@pytest.mark.parametrize(("message", "change"), CHANGES, ids=[message for message, _ in CHANGES])
def test_a_document_that_does_not_fit_is_refused_with_its_place(
    document: dict[str, Any], message: str, change: Change
) -> None:
    change(document)
    wanted = (
        rf"^the stored predictor 'mine' is damaged \({message}.*\)\. Fit a new one with: traitcast fit --name mine$"
    )
    with pytest.raises(UserError, match=wanted):
        from_json(json.dumps(document), "traitcast fit --name mine", "mine")


def test_words_of_another_number_than_the_sketches_are_refused(document: dict[str, Any], stored: Path) -> None:
    changed = {**document, "word_weights": {"prompt": [1.0] * 5, "response": [1.0] * 5}}
    with (
        Warehouse.open(stored, read_only=True) as warehouse,
        pytest.raises(UserError, match=r"weighs 5 words of a \w+, but sketches here have 32. Fit a new one with"),
    ):
        predict_pair(warehouse, from_json(json.dumps(changed)), "d01", "d02")


def test_a_command_names_the_predictor_and_what_fits_it_again(document: dict[str, Any], fitted: Path) -> None:
    with duckdb.connect(str(fitted)) as connection:
        connection.execute(
            "UPDATE traitcast_own.predictors SET bundle = ?", [json.dumps({**document, "flat": [], "model": None})]
        )
    done = CliRunner().invoke(cli, ["predict", "d01", "d02", "--warehouse", str(fitted)])
    assert (done.exit_code, done.stdout) == (2, "")
    found = " ".join(done.stderr.split())
    assert "the stored predictor 'default' is damaged (flat is a list of 0, not an object" in found
    again = re.search(r"Fit a new one with: traitcast (fit --matrix law --warehouse \S+)$", found)
    assert again, found
    assert CliRunner().invoke(cli, again[1].split()).exit_code == 0


@settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_a_changed_document_is_refused_or_of_use(stored: Path, seed: int) -> None:
    refused_or_of_use(stored, Random(seed))


def refused_or_of_use(stored: Path, draw: Random) -> bool:
    """Whether the stored document is refused with one or two of its values changed; it must be of use if not."""
    changed = bundle(stored)
    for _ in range(draw.randint(1, 2)):
        mutate(changed, draw)
    try:
        predictor = from_json(json.dumps(changed))
    except UserError as error:
        assert "Fit a new one with" in str(error)  # noqa: PT017 - it may be read as well
        return True
    with Warehouse.open(stored, read_only=True) as warehouse:
        for use in (
            lambda: predict_pair(warehouse, predictor, "d01", "d02"),
            lambda: rank_sources(warehouse, predictor, "d04"),
            lambda: impact(warehouse, predictor, "d03"),
            lambda: explain_pair(warehouse, predictor, "d01", "d02").sentence,
            lambda: what_if_pair(warehouse, predictor, "d01", "d02", {("source", "prompt_lix"): 30.0}),
        ):
            with suppress(UserError):
                use()
    return False


def mutate(document: Any, draw: Random) -> None:
    """Change one value somewhere in a document: another one in its place, one less, or one twice."""
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw.choice(keys)
        inner = place[key]
        if isinstance(inner, dict | list) and inner and draw.random() < 0.8:
            place = inner
            continue
        how = draw.randrange(6)
        if how == 0:
            del place[key]
        elif how == 1 and isinstance(place, list):
            place.append(inner)
        elif how == 2:
            place[key] = place[draw.choice(keys)]
        elif how < 5 and type(inner) in (int, float):
            place[key] = inner * draw.choice([-1, 0, 2, 0.1, 1e6])
        else:
            place[key] = draw.choice(ODD)
        return


def test_a_shipped_predictor_of_an_earlier_release_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    Warehouse.open(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"UPDATE {SHIPPED}.predictors SET bundle = replace(bundle, '\"schema\": ', '\"schema\": 9')")
        connection.execute("UPDATE traitcast_meta SET value = 'earlier' WHERE key = 'reference_version'")
    arguments = ["predict", "sst2", "rte", "--warehouse", str(path)]
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 2
    assert "traitcast fit --restore" in " ".join(refused.stderr.split())
    assert CliRunner().invoke(cli, ["fit", "--restore", "--warehouse", str(path)]).exit_code == 0
    assert CliRunner().invoke(cli, arguments).exit_code == 0
